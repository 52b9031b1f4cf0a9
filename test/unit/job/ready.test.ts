import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Freezer } from '@horus/core/freeze'
import { Lanes } from '@horus/core/job/lanes'
import { laneOf } from '@horus/core/job/names'
import { ReadyList } from '@horus/core/job/ready'
import { Random } from '@horus/core/random'
import { imageOf, readBack } from '../image.ts'

function take(list: ReadyList, limit: number, bound = Infinity): number[] {
  const into = new Float64Array(limit)
  return [...into.subarray(0, list.take(limit, bound, into, 0))]
}

function restored(list: ReadyList): ReadyList {
  return readBack(list.freeze(), (input) => ReadyList.read(input))
}

function setOf(numbers: readonly number[]): ReadyList {
  const list = new ReadyList()
  for (const number of numbers) list.push(number, 1)
  return list
}

test('the smallest number goes first, whether it is new or has come back', () => {
  const list = new ReadyList()
  list.push(1, 5)
  list.push(8, 2)
  assert.deepEqual(take(list, 3), [1, 2, 3])
  list.giveBack(2)
  list.giveBack(6)
  assert.deepEqual([list.size, list.next], [6, 2])
  assert.deepEqual(take(list, 9, 8), [2, 4, 5, 6])
  assert.deepEqual(take(list, 9), [8, 9])
  assert.deepEqual([list.size, list.next], [0, Infinity])
})

test('a removed job is stepped over, wherever it waits', () => {
  const list = new ReadyList()
  list.push(1, 6)
  list.remove(3)
  list.remove(1)
  assert.deepEqual([list.next, list.has(3), list.has(4)], [2, false, true])
  assert.deepEqual(take(restored(list), 9), [2, 4, 5, 6])
  list.giveBack(1)
  list.remove(1)
  assert.deepEqual(take(list, 9), [2, 4, 5, 6])
  assert.equal(list.size, 0)
})

test('a list does as a sorted set does', () => {
  const random = new Random(3)
  let list = new ReadyList()
  let waiting: number[] = []
  const out: number[] = []
  let next = 1
  for (let i = 0; i < 5000; i++) {
    const draw = random.below(10)
    if (draw < 4) {
      next += random.below(3)
      const count = random.between(1, 9)
      list.push(next, count)
      for (let k = 0; k < count; k++) waiting.push(next++)
    } else if (draw < 7) {
      const limit = random.between(1, 12)
      const bound = random.chance(0.3) ? next - random.below(20) : Infinity
      const expected = waiting.filter((number) => number < bound).slice(0, limit)
      assert.deepEqual(take(list, limit, bound), expected)
      waiting = waiting.filter((number) => !expected.includes(number))
      out.push(...expected)
    } else if (draw < 8 && out.length > 0) {
      const [back] = out.splice(random.below(out.length), 1)
      list.giveBack(back!)
      waiting = [...waiting, back!].sort((a, b) => a - b)
    } else if (draw < 9 && waiting.length > 0) {
      const [gone] = waiting.splice(random.below(waiting.length), 1)
      list.remove(gone!)
    } else list = restored(list)
    assert.deepEqual([list.size, list.next], [waiting.length, waiting[0] ?? Infinity])
    if (i % 50 === 0) assert.deepEqual(imageOf(list.freeze()), imageOf(setOf(waiting).freeze()), 'equal sets are equal runs')
  }
})

test('ten million waiting jobs in one batch are a few bytes', () => {
  const list = new ReadyList()
  list.push(1, 10_000_000)
  assert.ok(imageOf(list.freeze()).length < 16)
})

test('lanes go by priority, then by number over the names asked for', () => {
  const lanes = new Lanes()
  const put = (priority: number, name: number, first: number, count: number): void => lanes.open(laneOf(priority, name)).push(first, count)
  put(0, 0, 1, 2)
  put(9, 1, 3, 1)
  put(0, 2, 4, 2)
  put(0, 0, 6, 1)
  put(9, 0, 7, 1)
  const order = (names?: number[]): number[] => {
    const numbers = new Float64Array(9)
    const which = new Uint32Array(9)
    const copy = readBack(lanes.freeze(), (input) => Lanes.read(input, new Freezer()))
    return [...numbers.subarray(0, copy.take(names && new Set(names), 9, numbers, which))]
  }
  assert.deepEqual(order(), [3, 7, 1, 2, 4, 5, 6])
  assert.deepEqual(order([0]), [7, 1, 2, 6])
  assert.deepEqual(order([1, 2]), [3, 4, 5])
  assert.equal(lanes.waiting(new Set([0])), 4)
})

test('lanes that ran dry make room for others', () => {
  const lanes = new Lanes()
  const numbers = new Float64Array(1)
  for (let name = 0; name < 5000; name++) {
    lanes.open(laneOf(1, name)).push(name + 1, 1)
    assert.equal(lanes.take(undefined, 1, numbers, new Uint32Array(1)), 1)
  }
  let open = 0
  lanes.each(() => open++)
  assert.ok(open <= 512)
})
