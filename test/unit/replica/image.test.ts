import assert from 'node:assert/strict'
import { test } from 'node:test'
import { snapshotHash } from '@horus/core/master/snapshot'
import { MalformedMessage } from '@horus/core/message/layout'
import { Random } from '@horus/core/random'
import { ImageBuilder, openImage, type PayloadSource } from '@horus/core/replica/image'
import { Shard } from '@horus/core/shard'
import type { LogIndex } from '@horus/core/units'
import { logWithSession, SHARD } from '../job/log.ts'

/** Books with `count` adds of one large job each; the log goes on while their image is put together. */
function play(count: number, seed: number) {
  const random = new Random(seed)
  const { log, session } = logWithSession()
  const add = (): void => void log.add(session, [{ payload: new Uint8Array(random.below(2000)).fill(random.below(256)) }])
  for (let i = 0; i < count; i++) add()
  const expected = log.shard.snapshot()
  const through = log.index as LogIndex
  const builder = new ImageBuilder(log.shard.freeze(), through)
  const given = new Set<number>()
  const freed = new Set<number>()
  // Half of the entries have to be read first, some are given up.
  const asked = new Set<number>()
  const source: PayloadSource = {
    wanted: (from, to) => log.shard.liveEntries(from, to),
    next: (from) => log.shard.nextLive(from),
    ahead: () => false,
    read: (index) => {
      if (random.chance(0.5) && !asked.has(index)) {
        asked.add(index)
        return undefined
      }
      if (random.chance(0.1)) {
        freed.add(index)
        return null
      }
      given.add(index)
      return log.entries[index - 1]
    },
  }
  let steps = 0
  for (;; steps++) {
    if (builder.step(random.pick([1, 10]), source) === 'complete') break
    if (random.chance(0.3)) add()
  }
  const parts: Uint8Array[] = []
  for (let at = 0; at < builder.totalBytes; at += parts.at(-1)!.length) parts.push(builder.chunk(at, 8192))
  return { log, builder, expected, through, given, freed, image: new Uint8Array(Buffer.concat(parts)), steps }
}

test('what lies between the last entry before a recovery and the first one behind it costs no step', () => {
  const { log, session } = logWithSession()
  log.add(session, [{ payload: new Uint8Array(10) }])
  const entry = log.index
  log.shard.recover(1)
  const builder = new ImageBuilder(log.shard.freeze(), log.shard.appliedIndex)
  const read: number[] = []
  const source: PayloadSource = {
    wanted: (from, to) => log.shard.liveEntries(from, to),
    next: (from) => log.shard.nextLive(from),
    ahead: () => false,
    read: (index) => {
      read.push(index)
      return log.entries[index - 1]
    },
  }
  let steps = 1
  while (builder.step(10_000, source) !== 'complete') steps++
  assert.deepEqual([read, steps < 10], [[entry], true])
})

test('while others are asked for an entry, those that are wanted next are looked for too, once', () => {
  const { log, session } = logWithSession()
  for (let i = 0; i < 5; i++) log.add(session, [{ payload: new Uint8Array(10) }])
  const entries = log.shard.liveEntries()
  const builder = new ImageBuilder(log.shard.freeze(), log.index as LogIndex)
  const looked: (readonly LogIndex[])[] = []
  let isAskedFor = false
  const source: PayloadSource = {
    wanted: (from, to) => log.shard.liveEntries(from, to),
    next: (from) => log.shard.nextLive(from),
    read: (index) => (index === entries[1] ? undefined : log.entries[index - 1]),
    ahead: (_index, next) => {
      if (isAskedFor) looked.push(next)
      return isAskedFor
    },
  }
  while (builder.step(10_000, source) !== 'waits');
  isAskedFor = true
  for (let i = 0; i < 3; i++) builder.step(10_000, source)
  assert.deepEqual(looked, [entries.slice(2)])
})

test('an image that is put together in steps holds the books at its index and every entry that could be had', () => {
  const { log, builder, expected, through, given, freed, image, steps } = play(1500, 3)
  assert.ok(steps > 20 && image.length > 1024 * 1024)
  assert.equal(builder.hash, snapshotHash(image))
  const { books, entries } = openImage(image)
  assert.deepEqual(books, expected)
  assert.equal(Shard.restore(SHARD, books).appliedIndex, through)
  const seen: number[] = []
  while (!entries.isAtEnd) {
    for (const { index, bytes } of entries.take(10_000)) {
      seen.push(index)
      assert.deepEqual(bytes, log.entries[index - 1])
    }
  }
  assert.deepEqual(seen, [...given])
  assert.equal(seen.length + freed.size, 1500)
  assert.ok(seen.every((index) => index <= through))
})

test('an image that is cut off is malformed', () => {
  const { image } = play(3, 4)
  let whole = 0
  for (let length = 0; length < image.length; length++) {
    try {
      const { entries } = openImage(image.subarray(0, length))
      while (!entries.isAtEnd) entries.take(Infinity)
      // Between two entries nothing tells that more were to come: the hash over the whole does.
      whole++
    } catch (error) {
      assert.ok(error instanceof MalformedMessage)
    }
  }
  assert.ok(whole <= 3)
})
