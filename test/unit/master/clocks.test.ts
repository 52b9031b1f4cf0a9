import assert from 'node:assert/strict'
import { test } from 'node:test'
import { birthConfiguration, encodeConfiguration } from '@horus/core/master/configuration'
import { LeaseClock } from '@horus/core/master/lease-clock'
import { defaultMasterSettings as settings } from '@horus/core/master/settings'
import { WallClock } from '@horus/core/master/wall-clock'
import { entryTimes } from '@horus/core/message/command'
import type { Instant, LeaseTime, LogIndex, Term, WallTime } from '@horus/core/units'
import { Bench, record } from './bench.ts'
import { entryOf, nodeOf } from './cluster.ts'
import { stampEntry } from '@horus/core/message/command'

const alone = (): Bench => new Bench({ birth: birthConfiguration([nodeOf(0)]) }).pass(0).durable().durable()

test('the lease clock stands still for the first two seconds of a term, then idle time counts', () => {
  const bench = alone()
  bench.pass(2000)
  assert.equal(bench.master.leaseNow(bench.time), 0)
  bench.pass(10_000)
  assert.equal(bench.master.leaseNow(bench.time), 10_000)
})

test('a gap in the loop counts at most 250 ms', () => {
  const bench = alone()
  bench.pass(3000)
  bench.stall(60_000)
  assert.equal(bench.master.leaseNow(bench.time), 1250)
  bench.turn()
  bench.pass(1000)
  assert.equal(bench.master.leaseNow(bench.time), 2250)
})

test('the next leader goes on from the last stamped time', () => {
  const entry = entryOf(1)
  stampEntry(entry, 5000 as LeaseTime, 1_700_000_000_000 as WallTime)
  const bench = new Bench({ records: [record(1, 1, entry)], recovered: { lastIndex: 1 as never, terms: [{ index: 1, term: 1 }] as never }, birth: birthConfiguration([nodeOf(0)]) })
  bench.pass(0).durable().durable()
  assert.equal(bench.master.leaseNow(bench.time), 5000)
  bench.input({ kind: 'propose', entry: entryOf(2) }).turn()
  assert.equal(entryTimes(bench.records[2]!.bytes).leaseNow, 5000)
  bench.pass(2500)
  assert.equal(bench.master.leaseNow(bench.time), 5500)
})

test('a leader that stood still leads surely again only when a quorum has answered a round that began since', () => {
  const bench = new Bench()
  bench.elect()
  bench.acknowledge(2)
  assert.ok(bench.master.leadsSurely(bench.time))
  bench.pass(settings.heartbeatMs)
  const first = bench.take('append').at(-1)
  bench.stall(10_000)
  bench.message('appendAnswer', 2, { term: 1, round: first!.round, accepted: true, match: 1, reached: 1 })
  assert.equal(bench.master.role, 'leader')
  assert.ok(!bench.master.leadsSurely(bench.time))
  bench.pass(0)
  const now = bench.take('append').at(-1)!
  bench.message('appendAnswer', 2, { term: 1, round: now.round, accepted: true, match: 1, reached: 1 })
  assert.ok(bench.master.leadsSurely(bench.time))
})

test('a leader whose votes may have waited for it leads surely only when a quorum has answered it', () => {
  const bench = new Bench()
  while (bench.master.role !== 'candidate') bench.pass(50)
  for (const ask of bench.take('preVote')) bench.message('preVoteAnswer', ask.to, { term: 0, asked: 1, granted: true })
  bench.durable()
  const [ask] = bench.take('vote')
  bench.stall(10_000)
  bench.message('voteAnswer', ask!.to, { term: 1, granted: true }).durable()
  assert.equal(bench.master.role, 'leader')
  assert.ok(!bench.master.leadsSurely(bench.time))
  bench.acknowledge(2)
  assert.ok(bench.master.leadsSurely(bench.time))
})

test('after a start the last entry tells the time, not one that stood at its place before it was cut', () => {
  const stamped = (term: number, leaseNow: number) => {
    const entry = entryOf(term)
    stampEntry(entry, leaseNow as LeaseTime, 1_700_000_000_000 as WallTime)
    return record(1, term, entry)
  }
  const before = new Bench().message('append', 2, { term: 1, round: 1, prevIndex: 0, prevTerm: 0, commit: 0, entries: [stamped(1, 700_000)] }).durable()
  before.message('append', 3, { term: 2, round: 1, prevIndex: 0, prevTerm: 0, commit: 0, entries: [stamped(2, 5000)] }).durable()
  const after = new Bench({ records: [stamped(2, 5000)], recovered: { hardState: before.hardState!, lastIndex: 1 as never, terms: [{ index: 1, term: 2 }] as never } })
  after.elect()
  assert.equal(after.master.leaseNow(after.time), 5000)
})

test('a follower has the time of its last entry, also where an entry that went had a later one', () => {
  const clock = new LeaseClock()
  clock.learn(900 as LeaseTime)
  clock.learn(700 as LeaseTime)
  assert.equal(clock.read(1e9 as Instant, settings), 700)
})

test('a snapshot that is newer than the hard state tells how late it is', () => {
  const before = alone()
  before.input({ kind: 'propose', entry: entryOf(1) }).turn().durable()
  const configuration = encodeConfiguration(birthConfiguration([nodeOf(0)]))
  stampEntry(configuration, 6000 as LeaseTime, 1_700_000_000_000 as WallTime)
  const snapshot = { index: 9 as LogIndex, term: 1 as Term, configuration }
  const after = new Bench({ recovered: { hardState: before.hardState!, snapshot, firstIndex: 10 as LogIndex, lastIndex: 9 as LogIndex, terms: [] } })
  after.pass(0).durable().durable()
  assert.equal(after.master.role, 'leader')
  assert.equal(after.master.leaseNow(after.time), 6000)
})

test('a copy whose log came from the disk, and goes with a snapshot, still knows how late its last entry was', () => {
  const before = alone()
  before.input({ kind: 'propose', entry: entryOf(1) }).turn().durable()
  const last = entryOf(2)
  stampEntry(last, 6000 as LeaseTime, 1_700_000_000_000 as WallTime)
  const log = { firstIndex: 1 as LogIndex, lastIndex: 9 as LogIndex, terms: [{ index: 1 as LogIndex, term: 1 as Term }] }
  const after = new Bench({ records: [record(9, 1, last)], recovered: { hardState: { ...before.hardState!, commit: 9 as LogIndex }, ...log } })
  after.input({ kind: 'snapshotted', index: 9 as LogIndex, term: 1 as Term, all: true })
  after.records.length = 0
  after.pass(0).durable().durable()
  assert.deepEqual([after.trimmed, after.master.role], [9, 'leader'])
  assert.equal(after.master.leaseNow(after.time), 6000)
})

const wallAt = (clock: WallClock, now: number, clocks: number[], majority = 2): number => {
  clock.observe(now as Instant, clocks, majority, settings)
  return clock.value
}

test('the wall clock is the lower median of the masters, of two the smaller', () => {
  assert.equal(wallAt(new WallClock(), 0, [300, 100, 200]), 200)
  assert.equal(wallAt(new WallClock(), 0, [300, 100]), 100)
  assert.equal(wallAt(new WallClock(), 0, [300]), 300)
})

test('the wall clock never goes back', () => {
  const clock = new WallClock()
  wallAt(clock, 0, [5000, 5000, 5000])
  assert.equal(wallAt(clock, 10, [1000, 1000, 1000]), 5000)
})

test('a jump over five seconds counts only after a majority has shown it for thirty', () => {
  const clock = new WallClock()
  const day = 86_400_000
  wallAt(clock, 0, [1000, 1000, 1000])
  assert.equal(wallAt(clock, 100, [1100, 1100, 1100 + day]), 1100)
  for (let now = 200; now < 30_200; now += 1000) assert.equal(wallAt(clock, now, [1000 + now, 1000 + now + day, 1000 + now + day]), 1000 + now)
  assert.equal(wallAt(clock, 30_300, [31_300, 31_300 + day, 31_300 + day]), 31_300 + day)
})

test('a jump that only the leader itself shows never counts, however long', () => {
  const clock = new WallClock()
  wallAt(clock, 0, [1000, 1000, 1000])
  for (let now = 0; now < 100_000; now += 1000) assert.equal(wallAt(clock, now, [1000 + now + 86_400_000]), 1000 + now)
})

test('a jump that ends before thirty seconds begins anew', () => {
  const clock = new WallClock()
  wallAt(clock, 0, [1000, 1000])
  wallAt(clock, 20_000, [99_000_000, 99_000_000])
  wallAt(clock, 40_000, [41_000, 41_000])
  assert.equal(wallAt(clock, 51_000, [99_000_000, 99_000_000]), 52_000)
})

test('a new leader knows the clocks of its voters from their votes', () => {
  const bench = new Bench()
  bench.wall += 3_600_000
  while (bench.master.role !== 'candidate') bench.pass(50)
  const honest = bench.wall - 3_600_000
  bench.message('preVoteAnswer', 2, { term: 0, asked: 1, granted: true, wall: honest }).durable()
  bench.message('voteAnswer', 2, { term: 1, granted: true, wall: honest })
  assert.equal(bench.master.role, 'leader')
  assert.ok(Math.abs(entryTimes(bench.records[0]!.bytes).wallNow - honest) < 100)
})
