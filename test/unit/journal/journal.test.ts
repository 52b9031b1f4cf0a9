//! What a journal does while nothing goes wrong.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { joined } from '@horus/core/bytes'
import { logIndex, shardId } from '@horus/core/units'
import { SimulatedDevice } from '@horus/core/world/device'
import { JournalHost, SMALL, blob, locate } from './host.ts'

test('a fresh journal opens its first segment and finds nothing', () => {
  const host = JournalHost.started()
  assert.deepEqual(host.recoveredJournal, { shards: [], doubt: false, empty: true, position: 0 })
  assert.deepEqual(host.segmentFiles, ['journal-00000001'])
})

test('what was reported durable is found after a kill and after a loss of power', () => {
  for (const power of [false, true]) {
    const host = JournalHost.started()
    host.hardState(1, 3, 2, 1)
    host.append(1, 1, [blob(100, 1), blob(2000, 2)], 3)
    const ticket = host.append(2, 1, [blob(10, 3)], 4)
    host.flush()
    assert.equal(host.durableTickets.get(2), ticket)
    const after = power ? host.crashed(5) : host.restarted()
    const shard = after.found(1)!
    assert.deepEqual([shard.first, shard.last, shard.suspect], [1, 2, false])
    assert.deepEqual(shard.terms, [{ index: 1, term: 3 }])
    assert.equal(shard.hardState?.vote, 1)
    assert.equal(shard.hardState?.self, 2)
    assert.deepEqual(shard.hardState?.extra, new Uint8Array([7]))
    assert.deepEqual(after.read(1, 1), blob(100, 1))
    assert.deepEqual(after.read(1, 2), blob(2000, 2))
    assert.deepEqual(after.read(2, 1), blob(10, 3))
  }
})

test('nothing is durable before the device has answered, and one write carries all that gathered', () => {
  const host = JournalHost.started()
  const before = host.requests.length
  host.append(1, 1, [blob(10, 1)])
  host.turn()
  host.append(1, 2, [blob(10, 2)])
  host.append(2, 1, [blob(10, 3)])
  host.turn()
  assert.equal(host.requests.length, before + 1)
  assert.equal(host.durableTickets.size, 0)
  host.step()
  assert.equal(host.durableTickets.get(1), 1)
  assert.equal(host.requests.length, before + 2)
  host.step()
  assert.equal(host.durableTickets.get(1), 2)
  assert.equal(host.durableTickets.get(2), 3)
})

test('large bodies go to the device uncopied', () => {
  const host = JournalHost.started()
  const body = blob(4000, 1)
  host.append(1, 1, [body])
  host.turn()
  const write = host.requests.at(-1)!
  assert.ok(write.kind === 'write' && write.durable && write.pieces.includes(body))
})

test('a lower index supersedes what was there, in memory and on disk', () => {
  const host = JournalHost.started()
  host.append(1, 1, [blob(10, 1), blob(10, 2), blob(10, 3)], 1)
  host.flush()
  host.append(1, 2, [blob(10, 4)], 2)
  host.flush()
  assert.equal(host.journal.has(shardId(1), logIndex(3)), false)
  const after = host.restarted()
  assert.equal(after.found(1)!.last, 2)
  assert.deepEqual(after.found(1)!.terms, [{ index: 1, term: 1 }, { index: 2, term: 2 }])
  assert.deepEqual(after.read(1, 2), blob(10, 4))
})

test('the newest durable snapshot is found whole, with the log behind it', () => {
  const host = JournalHost.started()
  host.append(1, 1, Array.from({ length: 20 }, (_, i) => blob(50, i)))
  host.snapshot(1, 10, 1, blob(30_000, 7))
  host.append(1, 21, [blob(50, 20)], 2)
  host.flush()
  const shard = host.restarted().found(1)!
  assert.equal(shard.snapshot?.index, 10)
  assert.deepEqual(joined(shard.snapshot!.pieces), blob(30_000, 7))
  assert.deepEqual(shard.snapshot?.configuration, new Uint8Array([1, 2, 3]))
  assert.deepEqual([shard.first, shard.last], [11, 21])
  assert.deepEqual(shard.terms, [{ index: 11, term: 1 }, { index: 21, term: 2 }])
})

test('trimmed segments are used again, and kept payloads stay readable until they are released', () => {
  const host = JournalHost.started()
  for (let i = 1; i <= 100; i++) {
    host.append(1, i, [blob(4000, i)])
    host.flush()
  }
  assert.ok(host.segmentFiles.length > 5)
  host.snapshot(1, 100, 1, blob(100, 1))
  host.flush()
  host.trim(1, 100, [3])
  host.flush()
  assert.equal(host.segmentFiles.length, 2)
  assert.equal(host.device.files().length - host.segmentFiles.length, 2)
  assert.deepEqual(host.read(1, 3), blob(4000, 3))
  const after = host.restarted()
  assert.deepEqual(after.read(1, 3), blob(4000, 3))
  after.input({ kind: 'keep', shard: shardId(1), from: logIndex(1), through: logIndex(100), indexes: [logIndex(3)] })
  assert.equal(after.journal.has(shardId(1), logIndex(4)), false)
  assert.deepEqual(after.read(1, 3), blob(4000, 3))
  after.input({ kind: 'release', shard: shardId(1), indexes: [logIndex(3)] })
  after.flush()
  assert.equal(after.read(1, 3), undefined)
  assert.deepEqual(after.unreadables, [{ shard: 1, index: 3 }])
  assert.equal(after.found(1)!.suspect, false)
})

/** Ten entries of one shard, each in a flush of its own behind one of another; none of them in memory. */
function interleaved(): JournalHost {
  const host = JournalHost.started()
  for (let i = 1; i <= 10; i++) {
    host.append(2, i, [blob(300, 1000 + i)])
    host.append(1, i, [blob(100, i)])
    host.flush()
  }
  return host.restarted()
}

test('entries with others between them come with one read', () => {
  const host = interleaved()
  const before = host.requests.length
  host.input({ kind: 'fetch', shard: shardId(1), from: logIndex(1), to: logIndex(8), maxBytes: 1024 * 1024 })
  host.settle()
  assert.deepEqual([host.requests.length - before, host.loads], [1, 1])
  for (let i = 1; i <= 8; i++) assert.deepEqual(host.journal.entry(shardId(1), logIndex(i)), blob(100, i))
  assert.equal(host.journal.entry(shardId(2), logIndex(1)), undefined)
  // Nor does what lay between them stay in memory with them.
  assert.equal(host.journal.entry(shardId(1), logIndex(1))!.buffer.byteLength, 100)
})

test('no more is read than stays in memory until it is taken', () => {
  const small = { ...SMALL, cacheBytes: 4096 }
  const device = new SimulatedDevice()
  const before = JournalHost.started(device, 1, small)
  before.append(1, 1, [blob(1500, 1), blob(1500, 2), blob(1500, 3)])
  before.flush()
  device.kill()
  const host = JournalHost.started(device, 2, small)
  host.input({ kind: 'fetch', shard: shardId(1), from: logIndex(1), to: logIndex(3), maxBytes: 1024 * 1024 })
  host.settle()
  assert.deepEqual(host.journal.entry(shardId(1), logIndex(1)), blob(1500, 1))
})

test('what cannot be read between two entries costs neither of them', () => {
  const host = interleaved()
  const { name, at } = locate(host, blob(300, 1003))
  host.device.spoil(name, at + 100)
  host.input({ kind: 'fetch', shard: shardId(1), from: logIndex(1), to: logIndex(8), maxBytes: 1024 * 1024 })
  host.settle()
  assert.deepEqual([host.loads, host.unreadables], [1, []])
  assert.deepEqual(host.journal.entry(shardId(1), logIndex(1)), blob(100, 1))
})

test('an installed snapshot brings payloads, and the log goes on behind it', () => {
  const host = JournalHost.started()
  host.append(1, 1, [blob(10, 1), blob(10, 2)])
  host.flush()
  host.snapshot(1, 50, 4, blob(500, 1))
  host.input({ kind: 'payloads', shard: shardId(1), ticket: host.ticket, entries: [{ index: logIndex(2), term: 2 as never, bytes: blob(10, 22) }, { index: logIndex(40), term: 3 as never, bytes: blob(10, 40) }] })
  host.input({ kind: 'reset', shard: shardId(1), ticket: host.ticket, index: logIndex(50), term: 4 as never })
  host.append(1, 51, [blob(10, 51)], 4)
  host.flush()
  for (const each of [host, host.restarted()]) {
    assert.deepEqual(each.read(1, 2), blob(10, 22))
    assert.deepEqual(each.read(1, 40), blob(10, 40))
    assert.deepEqual(each.read(1, 51), blob(10, 51))
    assert.equal(each.journal.has(shardId(1), logIndex(1)), false)
  }
})

test('the live payloads of a sparse segment move on, so that it can go', () => {
  let host = JournalHost.started()
  const live: number[] = []
  let index = 0
  for (let round = 0; round < 12; round++) {
    const from = index + 1
    for (let i = 0; i < 16; i++) {
      host.append(1, ++index, [blob(4000, index)])
      host.flush()
    }
    host.snapshot(1, index, 1, blob(10, index))
    host.flush()
    live.push(from + 3)
    host.trim(1, index, [from + 3])
    host.flush()
    host.flush()
  }
  assert.ok(host.segmentFiles.length <= 6, `${host.segmentFiles.length} segments hold 12 payloads`)
  for (let start = 0; start < 2; start++) {
    for (const each of live) assert.deepEqual(host.read(1, each), blob(4000, each))
    host = host.restarted(start + 5)
  }
})
