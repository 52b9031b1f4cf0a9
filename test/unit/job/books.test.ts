import assert from 'node:assert/strict'
import { test } from 'node:test'
import { backoffMs } from '@horus/core/job/backoff'
import { Batches } from '@horus/core/job/batches'
import { EndedJobs } from '@horus/core/job/ended'
import { Keys } from '@horus/core/job/keys'
import { ENDED_BYTES_MAX, ENDED_COUNT_MAX, KEY_WINDOW_MS } from '@horus/core/job/limits'
import { OptionSets } from '@horus/core/job/options'
import { JobState } from '@horus/core/message/client'
import { Backoff } from '@horus/core/message/command'
import { Random } from '@horus/core/random'
import { imageOf, readBack } from '../image.ts'

const set = (change: object) => ({ maxAttempts: 5, backoffKind: Backoff.exponential as number, baseMs: 1000, maxMs: 300_000, leaseMs: 0, ...change })
const job = (number: number, endedAt = 0) => ({ number, state: JobState.completed, lane: 3, attempt: 1, maxAttempts: 5, lostLeases: 0, addedAt: 0, endedAt })

test('backoff doubles from one second to five minutes, a fifth to either side', () => {
  for (let attempt = 1; attempt <= 12; attempt++) {
    const middle = Math.min(1000 * 2 ** (attempt - 1), 300_000)
    const seen = new Set<number>()
    for (let number = 1; number <= 200; number++) {
      const delay = backoffMs(set({}), number, attempt)
      assert.ok(Number.isInteger(delay) && delay >= middle * 0.8 && delay <= Math.min(middle * 1.2, 300_000))
      assert.equal(backoffMs(set({}), number, attempt), delay)
      seen.add(delay)
    }
    assert.ok(seen.size > 50)
  }
})

test('a fixed backoff is just that', () => {
  assert.equal(backoffMs(set({ backoffKind: Backoff.fixed, baseMs: 70 }), 1, 9), 70)
})

test('a backoff whose base is 0 or above its most does not loop or overshoot', () => {
  assert.equal(backoffMs(set({ baseMs: 0 }), 1, 60_000), 0)
  assert.ok(backoffMs(set({ baseMs: 9000, maxMs: 500 }), 1, 3) <= 500)
})

test('a payload is found by number, in the batch where it was added', () => {
  const batches = new Batches()
  batches.append(1, 100, 0, 50, 7)
  batches.append(101, 2, 0, 60, 8)
  batches.append(103, 4, 5, 60, 8)
  const where = (number: number) => {
    const record = batches.find(number)
    return record < 0 ? undefined : [batches.entryIndex(record, number), batches.ordinal(record, number)]
  }
  assert.deepEqual([where(0), where(1), where(100), where(101), where(104), where(107)], [undefined, [50, 0], [50, 99], [60, 0], [60, 6], undefined])
})

test('an add entry in several batches is free with the very last of its jobs, in any order', () => {
  const random = new Random(5)
  for (let round = 0; round < 200; round++) {
    let batches = new Batches()
    batches.append(1, 1, 0, 10, 0)
    for (let at = 0; at < 30; at++) batches.append(2 + at, 1, at * 2, 20, 0)
    batches.append(32, 1, 0, 30, 0)
    const order = Array.from({ length: 30 }, (_, i) => i + 2).sort(() => random.fraction() - 0.5)
    order.forEach((number, i) => {
      assert.equal(batches.release(number), i === 29 ? 20 : 0)
      if (i % 7 === 0) batches = readBack(batches.freeze(), (input) => Batches.read(input))
    })
    const left: number[] = []
    batches.liveEntries(0, Infinity, left)
    assert.deepEqual(left, [10, 30])
  }
})

test('adds of one job each do as batches of one do, in a record for those that follow one another', () => {
  const random = new Random(9)
  let batches = new Batches()
  const live = new Map<number, { readonly entry: number; readonly addedAt: number }>()
  let number = 1
  let entry = 1
  let addedAt = 0
  for (let i = 0; i < 6000; i++) {
    if (random.chance(0.55)) {
      if (random.chance(0.1)) entry++
      if (random.chance(0.1)) number++
      if (random.chance(0.1)) addedAt++
      batches.append(number, 1, 0, entry, addedAt)
      live.set(number++, { entry: entry++, addedAt })
    } else if (live.size > 0) {
      const doomed = random.chance(0.5) ? [...live.keys()][0]! : random.pick([...live.keys()])
      assert.equal(batches.release(doomed), live.get(doomed)!.entry)
      live.delete(doomed)
    }
    if (i % 40 !== 0) continue
    for (let each = 1; each <= number; each++) {
      const record = batches.find(each)
      assert.equal(record >= 0, live.has(each))
      if (record >= 0) assert.deepEqual([batches.entryIndex(record, each), batches.addedAt(record), batches.ordinal(record, each)], [live.get(each)!.entry, live.get(each)!.addedAt, 0])
    }
    const entries = [...live.values()].map((each) => each.entry)
    const from = random.below(entry)
    const to = from + random.below(60)
    const found: number[] = []
    batches.liveEntries(from, to, found)
    assert.deepEqual(found, entries.filter((each) => each >= from && each <= to))
    assert.equal(batches.holdsEntry(from), entries.includes(from))
    const image = imageOf(batches.freeze())
    batches = readBack(batches.freeze(), (input) => Batches.read(input))
    assert.deepEqual(imageOf(batches.freeze()), image)
  }
})

test('a hundred thousand adds of one job each within a few milliseconds are a few bytes', () => {
  const batches = new Batches()
  for (let i = 1; i <= 100_000; i++) batches.append(i, 1, 0, 10 + i, Math.floor(i / 20_000))
  assert.ok(imageOf(batches.freeze()).length < 150)
})

test('batches that have ended take no room', () => {
  const batches = new Batches()
  let largest = 0
  for (let i = 1; i < 20_000; i++) {
    batches.append(i, 1, 0, i, 0)
    if (i > 10) assert.equal(batches.release(i - 10), i - 10)
    if (i % 1000 === 0) largest = Math.max(largest, imageOf(batches.freeze()).length)
  }
  assert.ok(largest < 250)
})

test('of ended jobs no more than the newest ten thousand are kept', () => {
  const left: number[] = []
  const ended = new EndedJobs((state) => left.push(state))
  for (let i = 1; i <= ENDED_COUNT_MAX + 5; i++) {
    ended.push(job(i), new Uint8Array(2).fill(i), 0, 2)
    if (i % 1000 === 0) assert.ok(ended.find(i) >= 0)
  }
  assert.deepEqual([ended.size, left.length, ended.find(5)], [ENDED_COUNT_MAX, 5, -1])
  const slot = ended.find(ENDED_COUNT_MAX + 5)
  assert.deepEqual(ended.result(slot), new Uint8Array(2).fill(ENDED_COUNT_MAX + 5))
})

test('results take no more than their share, and come back whole wherever they lie', () => {
  const ended = new EndedJobs(() => undefined)
  const source = new Uint8Array(20 * 1024 * 1024)
  for (let i = 1; i <= 5; i++) {
    source[0] = source[source.length - 1 - i] = i
    ended.push(job(i), source, 0, source.length - i)
    assert.ok(ended.size * source.length <= ENDED_BYTES_MAX + source.length)
    const result = ended.result(ended.find(i))
    assert.deepEqual([result.length, result[0], result[result.length - 1]], [source.length - i, i, i])
  }
  assert.equal(ended.size, 3)
})

test('a ring of results does as a list does', () => {
  const random = new Random(11)
  let ended = new EndedJobs(() => undefined)
  let list: { number: number; endedAt: number; result: Uint8Array }[] = []
  let now = 0
  for (let i = 1; i < 4000; i++) {
    now += random.below(6000)
    const result = Uint8Array.from({ length: random.below(200) }, () => random.below(256))
    ended.push(job(i, now), Uint8Array.from([1, ...result, 2]), 1, result.length)
    list.push({ number: i, endedAt: now, result })
    if (random.chance(0.1)) {
      ended.expire(now)
      list = list.filter((each) => each.endedAt + 3_600_000 > now)
    }
    if (random.chance(0.01)) {
      const before = ended
      ended = new EndedJobs(() => undefined)
      readBack(before.freeze(), (input) => ended.read(input))
    }
    const some = random.pick(list)
    if (random.chance(0.3)) assert.deepEqual(ended.result(ended.find(some.number)), some.result)
    assert.equal(ended.size, list.length)
  }
})

test('a key is remembered for its window and not longer', () => {
  const keys = new Keys()
  keys.remember('a', 1, 1000)
  keys.remember('b', 2, 2000)
  keys.forget(1000 + KEY_WINDOW_MS - 1)
  assert.equal(keys.find('a'), 1)
  keys.forget(1000 + KEY_WINDOW_MS)
  assert.deepEqual([keys.find('a'), keys.find('b'), keys.size, keys.expiresNext], [undefined, 2, 1, 2000 + KEY_WINDOW_MS])
})

test('equal options are kept once, and forgotten with the last job that has them', () => {
  const sets = new OptionSets()
  const first = sets.use(set({ maxAttempts: 9 }))
  assert.equal(sets.use(set({ maxAttempts: 9 })), first)
  assert.equal(sets.use(set({})), 0)
  sets.drop(first)
  assert.equal(sets.get(first).maxAttempts, 9)
  sets.drop(first)
  assert.equal(sets.use(set({ maxAttempts: 3 })), first)
})
