import assert from 'node:assert/strict'
import { test } from 'node:test'
import { birthConfiguration } from '@horus/core/master/configuration'
import { Log } from '@horus/core/master/log'
import type { LogIndex, Term } from '@horus/core/units'
import { Bench, record } from './bench.ts'
import { Cluster, entryOf, nodeOf } from './cluster.ts'
import { Even } from './even.ts'

const entries = (...terms: number[]): { term: number; bytes: Uint8Array }[] => terms.map((term, i) => ({ term, bytes: entryOf(i) }))

test('what a turn has gathered is one append to the journal and one message to each follower', () => {
  const bench = new Bench().elect().acknowledge(2).acknowledge(3)
  bench.take('append')
  const before = bench.appends.length
  for (let i = 0; i < 100; i++) bench.input({ kind: 'propose', entry: entryOf(i) })
  assert.equal(bench.take('append').length, 0)
  bench.turn()
  assert.equal(bench.appends.length, before + 1)
  assert.deepEqual(bench.take('append').map((message) => [message.to, message.entries.length]), [[2, 100], [3, 100]])
})

test('followers get a batch before the own disk has it, and the own copy counts only when it does', () => {
  const bench = new Bench().elect().acknowledge(2)
  bench.input({ kind: 'propose', entry: entryOf(1) }).turn()
  assert.equal(bench.take('append').filter((message) => message.entries.length > 0).length >= 2, true)
  bench.acknowledge(2)
  assert.equal(bench.committed, 1)
  bench.durable()
  assert.equal(bench.committed, 2)
  // Two others are a quorum without it.
  bench.input({ kind: 'propose', entry: entryOf(2) }).turn().acknowledge(2).acknowledge(3)
  assert.equal(bench.committed, 3)
})

test('a follower acknowledges what its disk has, and answers a new round at once', () => {
  const bench = new Bench({ replica: 2 })
  bench.message('append', 1, { term: 1, round: 1, prevIndex: 0, prevTerm: 0, commit: 0, entries: entries(1, 1) })
  const early = bench.take('appendAnswer')
  assert.deepEqual(early.map((answer) => [answer.accepted, answer.match, answer.reached]), [[true, 0, 2]])
  bench.durable()
  assert.deepEqual(bench.take('appendAnswer').map((answer) => answer.match), [2])
  bench.message('append', 1, { term: 1, round: 1, prevIndex: 2, prevTerm: 1, commit: 2, entries: entries(1) })
  assert.equal(bench.take('appendAnswer').length, 0)
  assert.equal(bench.committed, 2)
})

test('nothing is claimed in a term that the disk does not know yet', () => {
  const bench = new Bench({ replica: 2 })
  bench.message('append', 1, { term: 1, round: 1, prevIndex: 0, prevTerm: 0, commit: 0, entries: entries(1, 1) }).durable()
  bench.take('appendAnswer')
  bench.message('append', 3, { term: 2, round: 1, prevIndex: 2, prevTerm: 1, commit: 0 })
  assert.equal(bench.take('appendAnswer')[0]!.match, 0)
  bench.durable()
  bench.message('append', 3, { term: 2, round: 2, prevIndex: 2, prevTerm: 1, commit: 0 })
  assert.equal(bench.take('appendAnswer')[0]!.match, 2)
})

test('a tail that was cut is not durable by the flush of what it was', () => {
  for (const flushedBefore of [false, true]) {
    const bench = new Bench({ replica: 2 })
    bench.message('append', 1, { term: 1, round: 1, prevIndex: 0, prevTerm: 0, commit: 0, entries: entries(1, 1, 1) })
    if (flushedBefore) bench.durable()
    bench.message('append', 3, { term: 2, round: 1, prevIndex: 1, prevTerm: 1, commit: 0, entries: entries(2, 2) })
    bench.take('appendAnswer')
    // The new term is on the disk, the new entries are not.
    bench.durable(bench.ticket - 1)
    assert.ok(bench.take('appendAnswer').every((answer) => answer.match <= 1))
    bench.durable()
    assert.deepEqual(bench.take('appendAnswer').map((answer) => answer.match), [3])
  }
})

test('an own tail that the new leader has not spoken of is not acknowledged', () => {
  const bench = new Bench({ replica: 2 })
  bench.message('append', 1, { term: 1, round: 1, prevIndex: 0, prevTerm: 0, commit: 0, entries: entries(1, 1, 1) }).durable()
  bench.message('append', 3, { term: 2, round: 1, prevIndex: 1, prevTerm: 1, commit: 1 }).durable()
  bench.message('append', 3, { term: 2, round: 2, prevIndex: 1, prevTerm: 1, commit: 3 })
  assert.deepEqual(bench.take('appendAnswer').map((answer) => [answer.match, answer.reached]).at(-1), [1, 1])
  assert.equal(bench.committed, 1)
})

test('an entry of an earlier term is never committed by counting (figure 8)', () => {
  const records = [record(1, 1, entryOf(1)), record(2, 2, entryOf(2))]
  const bench = new Bench({ records, recovered: { lastIndex: 2 as LogIndex, terms: [{ index: 1, term: 1 }, { index: 2, term: 2 }] as never, hardState: { term: 3, vote: undefined, self: 1, epoch: 1, commit: 0, extra: new Uint8Array() } as never } })
  bench.elect()
  assert.equal(bench.master.term, 4)
  bench.acknowledge(2, 2).acknowledge(3, 2)
  assert.equal(bench.committed, 0)
  bench.acknowledge(2, 3)
  assert.equal(bench.committed, 3)
})

test('answers that come late or twice move nothing back', () => {
  const bench = new Bench().elect().acknowledge(2).acknowledge(3)
  for (let i = 0; i < 5; i++) bench.input({ kind: 'propose', entry: entryOf(i) }).turn()
  bench.acknowledge(2, 6)
  bench.message('appendAnswer', 2, { term: 1, round: 1, accepted: true, match: 3, reached: 3 })
  bench.message('appendAnswer', 2, { term: 1, round: 1, accepted: false, match: 0, reached: 4, hintIndex: 1, hintTerm: 1 })
  assert.equal(bench.master.peers(bench.time)[0]!.match, 6)
  assert.equal(bench.master.peers(bench.time)[0]!.suspect, false)
})

test('a follower that is below what it acknowledged counts as lost', () => {
  const bench = new Bench().elect().acknowledge(2).acknowledge(3)
  bench.input({ kind: 'propose', entry: entryOf(1) }).turn().acknowledge(2)
  bench.pass(100)
  const [beat] = bench.take('append').filter((message) => message.to === 2).slice(-1)
  bench.message('appendAnswer', 2, { term: 1, round: beat!.round, accepted: false, match: 0, reached: beat!.prevIndex, hintIndex: 0, hintTerm: 0 })
  assert.equal(bench.master.peers(bench.time)[0]!.suspect, true)
  bench.input({ kind: 'propose', entry: entryOf(2) }).turn().durable().acknowledge(2)
  assert.equal(bench.committed, 1)
  bench.acknowledge(3)
  assert.equal(bench.committed, 3)
})

test('a refused append steps back by whole terms', () => {
  const records = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6].map((term, i) => record(i + 1, term, entryOf(i)))
  const leader = new Bench({ records, recovered: { lastIndex: 10 as LogIndex, terms: [[1, 1], [4, 4], [6, 5], [8, 6]].map(([index, term]) => ({ index, term })) as never, hardState: { term: 7, vote: undefined, self: 1, epoch: 1, commit: 0, extra: new Uint8Array() } as never } })
  leader.elect()
  // The follower of figure 7 (f): terms 1 1 1 2 2 2 3 3 3 3 3.
  const followers = [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3].map((term, i) => record(i + 1, term, entryOf(i + 50)))
  const follower = new Bench({ replica: 2, records: followers, recovered: { lastIndex: 11 as LogIndex, terms: [[1, 1], [4, 2], [7, 3]].map(([index, term]) => ({ index, term })) as never } })
  let exchanges = 0
  while (leader.master.peers(leader.time)[0]!.match < 11 && exchanges < 10) {
    for (const message of leader.take('append').filter((each) => each.to === 2)) follower.input({ kind: 'message', from: nodeOf(0), message })
    follower.durable()
    for (const message of follower.take('appendAnswer')) leader.input({ kind: 'message', from: nodeOf(1), message })
    exchanges++
  }
  assert.ok(exchanges <= 4, `${exchanges} exchanges`)
  assert.deepEqual(follower.records.map((each) => each.term), [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 8])
})

test('appends in flight are bounded by number and by bytes', () => {
  const bench = new Bench({ settings: { inFlightMax: 3 } }).elect().acknowledge(2)
  bench.take('append')
  for (let i = 0; i < 10; i++) bench.input({ kind: 'propose', entry: entryOf(i) }).turn()
  assert.equal(bench.take('append').filter((message) => message.to === 2).length, 3)
  bench.acknowledge(2, 3, { round: 1 })
  const more = bench.take('append').filter((message) => message.to === 2)
  assert.ok(more.length > 0 && more[0]!.prevIndex === 4)

  const small = new Bench({ settings: { appendBytesMax: 150, inFlightBytesMax: 300 } }).elect().acknowledge(2)
  small.take('append')
  for (let i = 0; i < 20; i++) small.input({ kind: 'propose', entry: entryOf(i) })
  small.turn()
  const sent = small.take('append').filter((message) => message.to === 2)
  assert.ok(sent.length >= 2 && sent.length <= 3)
  for (const message of sent) assert.ok(message.entries.reduce((sum, entry) => sum + entry.bytes.length, 0) <= 150)
})

test('too much that is not committed stops proposals until it is', () => {
  const bench = new Bench({ settings: { uncommittedBytesMax: 200 } }).elect().acknowledge(2)
  while (bench.master.proposable === 'yes') bench.input({ kind: 'propose', entry: entryOf(1) }).turn()
  assert.equal(bench.master.proposable, 'noQuorum')
  bench.acknowledge(2).acknowledge(3)
  assert.equal(bench.master.proposable, 'yes')
})

test('a read waits for a round that began after it, and for an entry of the own term', () => {
  const bench = new Bench().elect()
  bench.input({ kind: 'read', id: 1 }).turn()
  bench.acknowledge(2, 0)
  assert.deepEqual(bench.readable, [])
  bench.acknowledge(2)
  bench.take('append')
  bench.turn()
  const [round] = bench.take('append')
  bench.message('appendAnswer', 3, { term: 1, round: round!.round - 1, accepted: true, match: 1, reached: 1 })
  assert.deepEqual(bench.readable, [])
  bench.message('appendAnswer', 3, { term: 1, round: round!.round, accepted: true, match: 1, reached: 1 })
  assert.deepEqual(bench.readable, [[1, 1]])
})

test('reads are refused where nobody leads, and when the lead ends', () => {
  const bench = new Bench()
  bench.input({ kind: 'read', id: 1 })
  bench.elect().acknowledge(2)
  bench.input({ kind: 'read', id: 2 }).turn()
  bench.message('append', 3, { term: 5, round: 1, prevIndex: 0, prevTerm: 0, commit: 0 })
  assert.deepEqual(bench.refused, [1, 2])
})

test('a copy alone answers reads without asking anybody', () => {
  const bench = new Bench({ birth: birthConfiguration([nodeOf(0)]) }).pass(0).durable().durable()
  bench.input({ kind: 'read', id: 1 }).turn()
  assert.deepEqual(bench.readable, [[1, 1]])
})

test('what was proposed but not shipped when the lead ends was never appended', () => {
  const bench = new Bench().elect().acknowledge(2)
  bench.input({ kind: 'propose', entry: entryOf(1) })
  assert.equal(bench.master.lastIndex, 2)
  bench.message('append', 3, { term: 5, round: 1, prevIndex: 1, prevTerm: 1, commit: 1, entries: entries(5) }).durable()
  assert.equal(bench.master.lastIndex, 2)
  assert.equal(bench.records[1]!.term, 5)
})

test('an idle shard says nothing but heartbeats', () => {
  const cluster = new Cluster(1, 3, 3)
  cluster.until('a leader', 200, () => cluster.leader?.master?.isSettled === true)
  cluster.run(1000)
  cluster.sent = []
  cluster.run(10_000)
  assert.ok(cluster.sent.length <= 4 * 101, `${cluster.sent.length} messages in 10 s`)
})

test('a clone goes its own way from the same state', () => {
  const bench = new Bench().elect().acknowledge(2)
  bench.input({ kind: 'propose', entry: entryOf(1) }).input({ kind: 'read', id: 1 })
  const copy = bench.master.clone()
  const before = copy.digest()
  assert.equal(before, bench.master.digest())
  bench.turn().acknowledge(2).durable()
  assert.notEqual(bench.master.digest(), before)
  assert.equal(copy.digest(), before)
  assert.deepEqual([copy.commitIndex, copy.lastIndex, copy.role], [1, 2, 'leader'])
})

test('a digest leaves out when it was: the same story told an hour later has the same digests', () => {
  const [early, late] = [0, 3_600_000].map((startsAt) => new Bench({ startsAt, random: new Even() }))
  const digests = (): string[] => [early!, late!].map((bench) => bench.master.digest())
  const both = (step: (bench: Bench) => unknown): void => {
    const before = digests()
    step(early!)
    step(late!)
    const after = digests()
    assert.equal(after[0], after[1])
    assert.notEqual(after[0], before[0])
  }
  both((bench) => bench.elect())
  both((bench) => bench.acknowledge(2))
  both((bench) => bench.input({ kind: 'propose', entry: entryOf(1) }).input({ kind: 'read', id: 1 }).turn())
  both((bench) => bench.pass(250).acknowledge(3))
  both((bench) => bench.message('append', 2, { term: 9, round: 1, prevIndex: 1, prevTerm: 1, commit: 1 }))
  both((bench) => bench.durable())
  both((bench) => bench.message('vote', 3, { term: 10, lastIndex: 9, lastTerm: 9, transfer: true }).message('vote', 3, { term: 10, lastIndex: 9, lastTerm: 9, transfer: true }))
  early!.durable()
  assert.equal(early!.take('voteAnswer').length, 1, 'whoever asks twice before the disk has answered gets one answer')
})

test('the log knows the term of each entry, wherever it was cut', () => {
  const log = new Log()
  for (const term of [1, 1, 2, 2, 2, 5]) log.push(term as Term)
  assert.deepEqual([0, 1, 2, 3, 5, 6, 7].map((index) => log.termAt(index as LogIndex)), [0, 1, 1, 2, 2, 5, undefined])
  assert.equal(log.mayAgreeAt(6 as LogIndex, 4 as Term), 5)
  assert.equal(log.mayAgreeAt(9 as LogIndex, 1 as Term), 2)
  log.trim(4 as LogIndex)
  assert.deepEqual([3, 4, 5, 6].map((index) => log.termAt(index as LogIndex)), [undefined, 2, 2, 5])
  assert.equal(log.mayAgreeAt(6 as LogIndex, 1 as Term), 3)
  log.truncate(6 as LogIndex)
  assert.equal(log.lastTerm, 2)
  log.trim(5 as LogIndex)
  assert.deepEqual([log.first, log.last, log.lastTerm], [6, 5, 2])
})

test('an entry that the disk could not give a follower is asked for again when that leads', () => {
  const records = [record(1, 1, entryOf(1)), record(2, 1, entryOf(2))]
  const bench = new Bench({ records, recovered: { lastIndex: 2 as LogIndex, terms: [{ index: 1, term: 1 }] as never, hardState: { term: 1, vote: undefined, self: 1, epoch: 1, commit: 0, extra: new Uint8Array() } as never } })
  bench.input({ kind: 'unreadable', index: 2 as LogIndex })
  bench.elect()
  const first = bench.take('append').find(({ to }) => to === 2)!
  bench.message('appendAnswer', 2, { term: 2, round: first.round, accepted: false, match: 0, reached: 2, hintIndex: 0, hintTerm: 0 })
  assert.deepEqual(bench.take('append').map((append) => [append.to, append.prevIndex, append.entries.length]), [[2, 0, 3]])
})
