import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '@horus/core/random'
import { allTargets, fuzz } from './fuzz.ts'
import { mutated } from './mutate.ts'
import { BrokenPromise } from './target.ts'

const ROUNDS: Readonly<Record<string, number>> = { books: 60, disks: 30 }
const ROUNDS_DEFAULT = 2000

test('whatever bytes come from outside, every promise about them holds', () => {
  for (const target of allTargets()) {
    const { tally, failure } = fuzz(target, 1, 0, ({ rounds }) => rounds >= (ROUNDS[target.name] ?? ROUNDS_DEFAULT))
    if (failure !== undefined) throw new Error(`${failure.target}, round ${failure.round}`, { cause: failure.error })
    assert.ok(tally.taken > 0, `${tally.name} takes what is whole`)
    assert.ok(target.name === 'books' || tally.refused > 0, `${tally.name} refuses what is broken`)
  }
})

test('a parser that believes in a length is caught', () => {
  const samples = [Uint8Array.of(2, 10, 20), Uint8Array.of(3, 1, 2, 3)]
  const gullible = {
    name: 'gullible',
    round(random: Random): 'taken' {
      const bytes = mutated(random, random.pick(samples), samples)
      if (bytes.subarray(1, 1 + bytes[0]!).length !== bytes[0]) throw new BrokenPromise('fewer bytes than it said')
      return 'taken'
    },
  }
  assert.ok(fuzz(gullible, 1, 0, ({ rounds }) => rounds >= 200).failure?.error instanceof BrokenPromise)
})
