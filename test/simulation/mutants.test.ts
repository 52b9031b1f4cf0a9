import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MUTANTS } from './mutants/all.ts'
import { hunt } from './mutants/hunt.ts'
import { misfit } from './mutants/tree.ts'

test('every planted bug fits the sources, and has a name of its own', () => {
  assert.deepEqual(MUTANTS.map((mutant) => misfit(mutant)).filter((why) => why !== undefined), [])
  assert.equal(new Set(MUTANTS.map(({ name }) => name)).size, MUTANTS.length)
})

test('a bug that is planted in a copy of core is caught there', async () => {
  const easy = MUTANTS.find(({ name }) => name === 'session table not in the snapshot')!
  assert.equal((await hunt(easy, 20)).caught, true)
})
