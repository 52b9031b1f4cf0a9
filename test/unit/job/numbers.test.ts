import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NumberIndex } from '@horus/core/job/numbers'
import { Random } from '@horus/core/random'

test('an index does as a Map does, whatever comes and goes', () => {
  const random = new Random(7)
  const index = new NumberIndex()
  const map = new Map<number, number>()
  for (let i = 0; i < 60_000; i++) {
    // Dense numbers, a stride of a power of two and numbers beyond 32 bits: what would pile up under a plain mask.
    const number = random.pick([random.between(1, 800), 4096 * random.between(1, 400), 2 ** 40 + random.between(1, 400)])
    if (random.chance(0.5)) {
      index.set(number, i)
      map.set(number, i)
    } else assert.equal(index.delete(number), map.delete(number))
    assert.equal(index.find(number), map.get(number) ?? -1)
    assert.equal(index.size, map.size)
  }
  for (const [number, value] of map) assert.equal(index.find(number), value)
})

test('job 0 is never in an index', () => {
  const index = new NumberIndex()
  index.set(1, 5)
  assert.equal(index.find(0), -1)
  assert.equal(index.delete(0), false)
  assert.equal(index.size, 1)
})
