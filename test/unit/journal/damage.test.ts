//! What a journal does when the disk lies, rots, fills up or fails.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { joined } from '@horus/core/bytes'
import { Random } from '@horus/core/random'
import { logIndex, shardId, term } from '@horus/core/units'
import { SimulatedDevice } from '@horus/core/world/device'
import { JournalHost, SMALL, blob, locate } from './host.ts'
import { same } from './model.ts'

/** Two shards with a hard state, a snapshot and some log each, over several segments. */
function populated(seed = 1): JournalHost {
  const host = JournalHost.started(new SimulatedDevice(), seed)
  for (const shard of [1, 2]) {
    host.hardState(shard, 1)
    host.snapshot(shard, 0, 0, blob(100, shard))
  }
  for (let i = 1; i <= 40; i++) {
    for (const shard of [1, 2]) host.append(shard, i, [blob(2000, shard * 1000 + i)])
    host.flush()
  }
  host.rest()
  return host
}

function intact(host: JournalHost, shard: number): boolean {
  const found = host.found(shard)
  if (!found || found.last !== 40 || found.hardState?.term !== 1 || !found.snapshot || !same(joined(found.snapshot.pieces), blob(100, shard))) return false
  for (let index = 1; index <= 40; index++) {
    const bytes = host.read(shard, index)
    if (!bytes || !same(bytes, blob(2000, shard * 1000 + index))) return false
  }
  return true
}

test('rot anywhere below the last mark is noticed: a shard is whole, or it is suspect', () => {
  const random = new Random(5)
  const undamaged = populated()
  const trailer = undamaged.requests.findLast(({ kind }) => kind === 'write')
  assert.ok(trailer?.kind === 'write')
  let suspects = 0
  for (let round = 0; round < 120; round++) {
    const device = undamaged.device.clone()
    const { name, size } = random.pick(device.files().filter(({ name: each }) => !each.includes('spare')))
    const end = name === trailer.file ? trailer.at : size
    const at = random.below(end)
    const length = Math.min(random.chance(0.5) ? 1 : random.below(3000), end - at)
    for (let i = 0; i < length; i++) device.rot(name, at + i, 1 << random.below(8))
    const host = JournalHost.started(device, 1000 + round)
    assert.equal(host.failure, undefined)
    for (const shard of [1, 2]) {
      if (host.found(shard)?.suspect) suspects++
      else if (host.found(shard) === undefined) assert.ok(host.recoveredJournal!.doubt)
      else assert.ok(intact(host, shard), `round ${round}: ${name} at ${at}, ${length} bytes: shard ${shard} is whole`)
    }
  }
  assert.ok(suspects > 30)
})

test('one rotten entry makes its own shard suspect and no other, until the copy has another number', () => {
  const host = populated()
  const { name, at } = locate(host, blob(2000, 1010))
  host.device.rot(name, at + 5)
  let after = host.restarted(50)
  assert.equal(after.found(1)!.suspect, true)
  assert.equal(after.found(2)!.suspect, false)
  assert.ok(intact(after, 2))
  after = after.restarted(51)
  assert.equal(after.found(1)!.suspect, true, 'a later start does not forget it')
  after.hardState(1, 5, 9)
  after.append(1, 10, [blob(5, 5)], 5)
  after.flush()
  after = after.restarted(52)
  assert.equal(after.found(1)!.suspect, false)
  assert.deepEqual([after.found(1)!.hardState?.self, after.found(1)!.last], [9, 10])
})

test('a rotten payload below the snapshot is told when it is read, and makes nobody suspect', () => {
  const host = populated()
  host.snapshot(1, 40, 1, blob(10, 3))
  host.flush()
  host.trim(1, 40, [10])
  host.rest()
  const { name, at } = locate(host, blob(2000, 1010))
  host.device.rot(name, at + 5)
  const after = host.restarted(50)
  assert.equal(after.found(1)!.suspect, false)
  assert.equal(after.read(1, 10), undefined)
  assert.deepEqual(after.unreadables, [{ shard: 1, index: 10 }])
})

test('a snapshot that was given up does not go on with the pieces of the next one, where the beginning of that is lost', () => {
  const host = JournalHost.started(new SimulatedDevice())
  host.hardState(1, 1)
  host.snapshot(1, 0, 0, blob(100, 1))
  const pieceBytes = SMALL.segmentBytes! >> 3
  const [a, b, c, d, e] = [1, 2, 3, 4, 5].map((seed) => blob(pieceBytes, 10 + seed)) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array]
  host.beginSnapshot(1, 10, 1)
  for (const piece of [a, b]) host.piece(1, piece, false)
  host.flush()
  host.beginSnapshot(1, 20, 1)
  for (const piece of [c, d]) host.piece(1, piece, false)
  host.piece(1, e, true)
  host.rest()
  const whole = JournalHost.started(host.device.clone()).found(1)!
  assert.deepEqual([whole.snapshot?.index, whole.suspect], [20, false])
  // From behind the second piece of the one to the third piece of the other, but for the head of that.
  const from = locate(host, b)
  const to = locate(host, e)
  assert.equal(from.name, to.name)
  for (let at = from.at + pieceBytes; at < to.at - 64; at++) host.device.rot(from.name, at)
  const found = JournalHost.started(host.device.clone()).found(1)!
  assert.deepEqual([found.snapshot?.index, found.suspect], [0, true])
})

test('an entry that rotted in the log and was written anew is read there, and makes nobody suspect', () => {
  const host = populated()
  const { name, at } = locate(host, blob(2000, 1010))
  host.device.rot(name, at + 5)
  host.input({ kind: 'payloads', shard: shardId(1), ticket: host.ticket, entries: [{ index: logIndex(10), term: term(1), bytes: blob(2000, 1010) }] })
  host.rest()
  let after = host.restarted(50)
  assert.equal(after.found(1)!.suspect, false)
  assert.ok(intact(after, 1))
  after.snapshot(1, 40, 1, blob(10, 3))
  after.flush()
  after.trim(1, 40)
  after.rest()
  assert.equal(after.journal.has(shardId(1), logIndex(10)), false, 'it goes with the log that it belongs to')
  after = after.restarted(51)
  assert.equal(after.found(1)!.suspect, false)
})

test('a copy whose first records lie in a hole is suspect, though its number is new', () => {
  const host = populated()
  host.input({ kind: 'drop', shard: shardId(1) })
  host.hardState(1, 0, 4)
  host.rest()
  host.append(1, 1, [blob(900, 7)], 3)
  host.hardState(1, 3, 5, 2)
  host.rest()
  host.append(1, 2, [blob(900, 8)], 3)
  host.hardState(1, 3, 5)
  host.rest()
  const { name, at } = locate(host, blob(900, 7))
  // The entry, and the hard state behind it that first tells the number.
  for (let each = at - 40; each < at + 1100; each++) host.device.rot(name, each)
  const after = host.restarted(50)
  assert.equal(after.found(1)!.hardState!.self, 5)
  assert.equal(after.found(1)!.suspect, true)
})

test('a journal whose files are all gone says so', () => {
  const host = populated()
  for (const { name } of host.device.files()) host.device.lose(name)
  assert.deepEqual(host.restarted(50).recoveredJournal, { shards: [], doubt: false, empty: true, position: 0 })
})

test('a torn end is cut: the group that was under way is gone or there, and nobody is suspect', () => {
  for (let seed = 1; seed <= 40; seed++) {
    const host = populated(seed)
    host.append(1, 41, [blob(3000, 41), blob(3000, 42)])
    host.turn()
    const after = host.crashed(seed)
    assert.ok([40, 41, 42].includes(after.found(1)!.last))
    assert.equal(after.found(1)!.suspect, false)
    assert.equal(after.recoveredJournal!.doubt, false)
  }
})

test('rot in the last group is told from a torn end once the trailer is written', () => {
  const host = populated()
  const { name, at } = locate(host, blob(2000, 1040))
  host.device.rot(name, at)
  assert.equal(host.restarted(9).found(1)!.suspect, true)
})

test('a lost write and a misdirected one are noticed at the next start', () => {
  for (const fault of [{ kind: 'lost' }, { kind: 'misdirected', at: 30_000 }] as const) {
    const host = populated()
    host.device.inject(fault)
    host.append(1, 41, [blob(100, 41)])
    host.flush()
    host.append(1, 42, [blob(100, 42)])
    host.rest()
    assert.equal(host.restarted(9).found(1)!.suspect, true)
  }
})

test('a sector that cannot be read costs what stands in it, not the start', () => {
  const host = populated()
  const { name, at } = locate(host, blob(2000, 2020))
  host.device.spoil(name, at + 1000)
  const after = host.restarted(9)
  assert.equal(after.failure, undefined)
  assert.equal(after.found(2)!.suspect, true)
  assert.equal(after.found(1)!.suspect, false, 'nor what stands in the sectors beside it')
})

test('a newest segment whose beginning is gone is not taken for one that was never opened', () => {
  const host = populated()
  const name = host.segmentFiles.at(-1)!
  for (let at = 0; at < 1100; at++) host.device.rot(name, at, 0x55)
  const after = host.restarted(9)
  const { doubt, shards } = after.recoveredJournal!
  assert.ok(doubt || shards.every(({ suspect }) => suspect))
  assert.ok(after.recoveredJournal!.position >= host.journal.position)
})

test('a segment whose opening was torn is as if it had never been there, wherever it was torn', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const host = populated(seed)
    let last = 40
    // Until the next segment is on its way to the disk.
    while (!host.executed.some(({ request }) => request.kind === 'write' && request.at === 0)) {
      if (host.executed.length > 0) host.step()
      else {
        host.append(1, ++last, [blob(3000, last)])
        host.turn()
      }
    }
    const durable = host.journal.position
    const after = host.crashed(seed)
    assert.equal(after.recoveredJournal!.doubt, false)
    assert.deepEqual([after.found(1)!.suspect, after.found(2)!.suspect], [false, false])
    assert.ok(after.recoveredJournal!.position >= durable)
  }
})

test('a segment whose first two sectors are gone is one hole, and all shards before it are suspect', () => {
  const host = populated()
  const name = host.segmentFiles[1]!
  for (let at = 0; at < 1024; at++) host.device.rot(name, at, 0x55)
  const after = host.restarted(9)
  assert.equal(after.found(1)!.suspect, true)
  assert.equal(after.found(2)!.suspect, true)
})

test('a newer format is refused in one line, and the disk is left as it is', () => {
  const host = populated()
  const { device } = host
  const name = host.segmentFiles.at(-1)!
  const content = device.content(name)!
  content[16] = 2
  // The anchor's CRC must hold, or the anchor would count as damaged.
  const crc = crcOf(content.subarray(16, 512))
  const anchor = content.slice(0, 512)
  new DataView(anchor.buffer).setUint32(8, crc, true)
  const write = { kind: 'write', request: 99_999, file: name, at: 0, pieces: [anchor], durable: true } as const
  device.execute(write)
  device.complete(write)
  const before = device.digest()
  const after = new JournalHost(device, 9)
  after.input({ kind: 'start' })
  after.settle()
  assert.match(after.failure!, /^journal-\d+ is of format 2, this program knows up to 1: .*nothing was changed$/)
  assert.equal(device.digest(), before)
})

test('after a failed flush nothing is reported durable any more', () => {
  const host = populated()
  host.device.inject({ kind: 'error', on: 'write', error: 'failed' })
  const before = host.durableTicketMax
  host.append(1, 41, [blob(10, 1)])
  host.flush()
  host.append(1, 42, [blob(10, 1)])
  host.flush()
  assert.match(host.failure!, /could not write a group: failed/)
  assert.equal(host.durableTicketMax, before)
})

test('a full disk is foretold by the free bytes, holds up what is gathered, and loses nothing of it', () => {
  const device = new SimulatedDevice(4 * 64 * 1024)
  const host = JournalHost.started(device)
  let free = host.journal.freeBytes
  let last = 0
  while (host.stalls.length === 0) {
    assert.ok(host.journal.freeBytes <= free)
    free = host.journal.freeBytes
    host.append(1, ++last, [blob(5000, last)])
    host.rest()
    // So that the disk is asked again.
    host.time += 1000
    host.wake()
    host.settle()
  }
  assert.match(host.stalls[0]!, /the disk is full/)
  assert.ok(free < 10_000, `${free} bytes were told to be free`)
  assert.ok(free < host.journal.reserveBytes && host.journal.reserveBytes < 3 * 64 * 1024)
  const durable = host.durableTicketMax
  for (let times = 0; times < 10; times++) {
    host.time = host.journal.wakeAt
    host.wake()
    host.settle()
  }
  assert.deepEqual([host.failure, host.durableTicketMax, host.stalls.length], [undefined, durable, 1])
  device.capacityBytes = Infinity
  host.time = host.journal.wakeAt
  host.wake()
  host.settle()
  assert.equal(host.durableTicketMax, durable + 1)
  const after = host.restarted()
  for (let index = 1; index <= last; index++) assert.ok(same(after.read(1, index)!, blob(5000, index)))
})

test('a start on a full disk waits for room, and then recovers', () => {
  const host = populated()
  for (const { name } of host.device.files()) if (name.includes('spare')) host.device.lose(name)
  host.device.capacityBytes = 0
  const after = host.restarted(50)
  assert.deepEqual([after.failure, after.recoveredJournal], [undefined, undefined])
  host.device.capacityBytes = Infinity
  after.time = after.journal.wakeAt
  after.wake()
  after.settle()
  assert.ok(intact(after, 1))
})

test('where room is scarce it is taken ahead of time, so that nobody else takes the reserve', () => {
  const device = new SimulatedDevice()
  const host = JournalHost.started(device)
  assert.equal(device.files().length, 1)
  device.capacityBytes = device.usedBytes + 4 * 64 * 1024
  for (let times = 0; times < 6; times++) {
    host.time = host.journal.wakeAt
    host.wake()
    host.settle()
  }
  assert.deepEqual(device.files().map(({ name }) => name.slice(0, 13)), ['journal-00000', 'journal-spare', 'journal-spare'])
})

test('the bytes of a recycled file never come back', () => {
  const host = JournalHost.started()
  for (let i = 1; i <= 60; i++) {
    host.append(1, i, [blob(4000, i)])
    host.flush()
    host.snapshot(1, i, 1, blob(10, i))
    host.flush()
    host.trim(1, i)
    host.flush()
  }
  assert.ok(host.device.files().length <= 4)
  for (let seed = 1; seed <= 20; seed++) {
    const after = JournalHost.started(host.device.clone(), seed)
    const shard = after.found(1)!
    assert.deepEqual([shard.snapshot?.index, shard.last, shard.suspect], [60, 60, false])
  }
})

test('a dropped shard stays dropped, and may be hosted anew', () => {
  const host = populated()
  host.input({ kind: 'drop', shard: shardId(1) })
  host.flush()
  let after = host.restarted(5)
  assert.equal(after.found(1), undefined)
  assert.ok(intact(after, 2))
  after.append(1, 1, [blob(9, 9)], 7)
  after.flush()
  after = after.restarted(6)
  assert.deepEqual([after.found(1)!.last, after.found(1)!.suspect], [1, false])
  assert.deepEqual(after.read(1, 1), blob(9, 9))
})

test('the cache is bounded, keeps the newest, and never gives up what is not yet durable', () => {
  const host = JournalHost.started(new SimulatedDevice(), 1, { ...SMALL, cacheBytes: 10_000 })
  for (let i = 1; i <= 8; i++) host.append(1, i, [blob(2000, i)])
  for (let i = 1; i <= 8; i++) assert.ok(host.journal.entry(shardId(1), logIndex(i)))
  host.flush()
  for (let i = 9; i <= 12; i++) host.append(1, i, [blob(2000, i)])
  host.flush()
  assert.equal(host.journal.entry(shardId(1), logIndex(1)), undefined)
  assert.ok(host.journal.entry(shardId(1), logIndex(12)))
  assert.equal(host.journal.entries(shardId(1), logIndex(1), logIndex(4), 9000), undefined)
  host.input({ kind: 'fetch', shard: shardId(1), from: logIndex(1), to: logIndex(4), maxBytes: 9000 })
  host.settle()
  assert.equal(host.loads, 1)
  // What is read at once takes half of the cache at most, so that other reads leave it there until it is taken.
  assert.deepEqual(host.journal.entries(shardId(1), logIndex(1), logIndex(4), 9000)!.map(({ bytes }) => bytes), [1, 2].map((i) => blob(2000, i)))
})

function crcOf(bytes: Uint8Array): number {
  let crc = ~0
  for (const byte of bytes) {
    crc ^= byte
    for (let k = 0; k < 8; k++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  }
  return ~crc >>> 0
}
