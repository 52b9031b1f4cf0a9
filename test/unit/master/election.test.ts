import assert from 'node:assert/strict'
import { test } from 'node:test'
import { birthConfiguration } from '@horus/core/master/configuration'
import { Bench, record } from './bench.ts'
import { calm, Cluster, entryOf, nodeOf } from './cluster.ts'

test('a vote leaves only when it is durable, and is repeated only for the same candidate', () => {
  const bench = new Bench({ replica: 2 })
  bench.message('vote', 3, { term: 1, lastIndex: 0, lastTerm: 0 })
  assert.equal(bench.take('voteAnswer').length, 0)
  bench.durable()
  assert.equal(bench.take('voteAnswer')[0]!.granted, true)
  bench.message('vote', 3, { term: 1, lastIndex: 0, lastTerm: 0 })
  assert.equal(bench.take('voteAnswer')[0]!.granted, true)
  bench.message('vote', 1, { term: 1, lastIndex: 9, lastTerm: 1 })
  assert.equal(bench.take('voteAnswer')[0]!.granted, false)
})

test('a vote is still given to one candidate only after a restart', () => {
  const before = new Bench({ replica: 2 }).message('vote', 3, { term: 4, lastIndex: 0, lastTerm: 0 }).durable()
  const bench = new Bench({ replica: 2, recovered: { hardState: before.hardState } })
  bench.message('vote', 1, { term: 4, lastIndex: 5, lastTerm: 3 }).durable(bench.ticket)
  assert.equal(bench.take('voteAnswer')[0]!.granted, false)
  assert.equal(bench.master.term, 4)
})

test('a candidate asks nobody before its own vote is durable', () => {
  const bench = new Bench()
  while (bench.master.role !== 'candidate') bench.pass(50)
  const older = bench.ticket
  bench.message('preVoteAnswer', 2, { term: 0, asked: 1, granted: true })
  assert.equal(bench.master.term, 1)
  bench.durable(older)
  assert.equal(bench.take('vote').length, 0)
  bench.durable()
  assert.equal(bench.take('vote').length, 2)
  bench.message('voteAnswer', 2, { term: 1, granted: true })
  assert.equal(bench.master.role, 'leader')
})

test('a pre-vote raises no term, neither at who asks nor at who is asked', () => {
  const bench = new Bench({ replica: 2 })
  bench.message('preVote', 3, { term: 7, lastIndex: 0, lastTerm: 0 })
  assert.equal(bench.take('preVoteAnswer')[0]!.granted, true)
  assert.equal(bench.master.term, 0)
  bench.pass(5000)
  assert.equal(bench.master.term, 0)
  assert.equal(bench.master.role, 'candidate')
})

test('whoever hears a leader helps nobody else, unless that leader hands over', () => {
  const bench = new Bench({ replica: 2 })
  bench.message('append', 1, { term: 1, round: 1, prevIndex: 0, prevTerm: 0, commit: 0 }).durable()
  bench.message('preVote', 3, { term: 1, lastIndex: 9, lastTerm: 1 })
  const answer = bench.take('preVoteAnswer')[0]!
  assert.equal(answer.granted, false)
  assert.equal(answer.leader?.replica, 1)
  bench.message('vote', 3, { term: 2, lastIndex: 9, lastTerm: 1 })
  assert.equal(bench.master.term, 1)
  bench.message('vote', 3, { term: 2, lastIndex: 9, lastTerm: 1, transfer: true }).durable()
  assert.equal(bench.take('voteAnswer')[0]!.granted, true)
})

test('the closed link of the leader starts a pre-vote within 20 ms', () => {
  const bench = new Bench({ replica: 2 })
  bench.message('append', 1, { term: 1, round: 1, prevIndex: 0, prevTerm: 0, commit: 0 }).durable()
  bench.pass(100)
  bench.input({ kind: 'linkDown', node: nodeOf(0) })
  bench.pass(20)
  assert.equal(bench.take('preVote').length, 2)
  // The other follower may notice a little later.
  bench.message('preVoteAnswer', 3, { term: 1, asked: 2, granted: false })
  bench.pass(100)
  assert.ok(bench.take('preVote').length >= 2)
})

test('a copy with a shorter or older log gets no vote', () => {
  const records = [record(1, 1, entryOf(1)), record(2, 3, entryOf(2))]
  const recovered = { lastIndex: 2 as never, terms: [{ index: 1, term: 1 }, { index: 2, term: 3 }] as never, hardState: { term: 3, vote: undefined, self: 2, epoch: 1, commit: 0, extra: new Uint8Array() } as never }
  for (const [lastIndex, lastTerm, granted] of [[1, 3, false], [9, 2, false], [2, 3, true], [3, 3, true], [1, 4, true]] as const) {
    const bench = new Bench({ replica: 2, records, recovered })
    bench.message('vote', 3, { term: 5, lastIndex, lastTerm })
    if (granted) bench.durable()
    assert.equal(bench.take('voteAnswer')[0]!.granted, granted, `${lastIndex} of term ${lastTerm}`)
  }
})

test('an empty copy and one in doubt never vote or stand', () => {
  for (const bench of [new Bench({ replica: 4, birth: undefined }), new Bench({ replica: 2, recovered: { suspect: true } })]) {
    bench.message('preVote', 3, { term: 1, lastIndex: 9, lastTerm: 1 }).message('vote', 3, { term: 2, lastIndex: 9, lastTerm: 1, transfer: true })
    if (bench.ticket > 0) bench.durable()
    bench.pass(5000)
    assert.deepEqual(bench.sent, [])
    assert.equal(bench.master.role, 'follower')
  }
})

test('a copy in doubt says so, and nothing of it counts', () => {
  const doubtful = new Bench({ replica: 2, recovered: { suspect: true } })
  doubtful.message('append', 1, { term: 1, round: 3, prevIndex: 0, prevTerm: 0, commit: 0 })
  assert.equal(doubtful.take('appendAnswer')[0]!.suspect, true)
  const leader = new Bench().elect()
  leader.acknowledge(2, 0, { suspect: true, accepted: false })
  leader.acknowledge(2)
  assert.equal(leader.committed, 0)
  assert.equal(leader.master.peers(leader.time).find((each) => each.replica === 2)?.suspect, true)
  leader.acknowledge(3)
  assert.equal(leader.committed, 1)
})

test('a peer that a new leader has never heard is silent since it leads, and not caught up', () => {
  const leader = new Bench()
  leader.pass(60_000)
  leader.elect().acknowledge(2)
  leader.pass(300)
  const silent = leader.master.peers(leader.time).find((each) => each.replica === 3)!
  assert.equal(silent.activeAgoMs, 300)
  assert.equal(silent.caughtUp, false)
})

test('a message to another number or for another shard is ignored; a stranger counts for nothing', () => {
  const bench = new Bench({ replica: 2 })
  bench.message('vote', 3, { term: 9, lastIndex: 0, lastTerm: 0, to: 5 })
  bench.message('vote', 3, { term: 9, lastIndex: 0, lastTerm: 0, shard: 8 })
  assert.equal(bench.master.term, 0)
  const candidate = new Bench()
  while (candidate.master.role !== 'candidate') candidate.pass(50)
  candidate.message('preVoteAnswer', 9, { term: 0, asked: 1, granted: true })
  // The right number on the wrong node is a stranger too.
  candidate.input({ kind: 'message', from: nodeOf(7), message: { kind: 'preVoteAnswer', shard: candidate.master.shard, from: 2, to: 1, term: 0, asked: 1, granted: true, leader: undefined, wall: 0 } as never })
  assert.equal(candidate.master.term, 0)
})

test('a leader that no quorum hears steps down and says that nothing is proposable', () => {
  const bench = new Bench().elect().acknowledge(2)
  assert.equal(bench.master.proposable, 'yes')
  bench.pass(900)
  assert.equal(bench.master.role, 'leader')
  bench.pass(400)
  assert.equal(bench.master.role === 'leader', false)
  assert.equal(bench.master.proposable, 'noQuorum')
})

test('an answer that lay in a socket does not keep a cut-off leader alive', () => {
  const bench = new Bench().elect().acknowledge(2)
  for (let i = 0; i < 20; i++) bench.pass(100).message('appendAnswer', 2, { term: 1, round: 1, accepted: true, match: 1, reached: 1 })
  assert.equal(bench.master.role === 'leader', false)
})

test('a leader whose own loop stood still asks its quorum before it gives up', () => {
  const bench = new Bench().elect().acknowledge(2)
  bench.stall(3000)
  bench.pass(1)
  assert.equal(bench.master.role, 'leader')
  bench.acknowledge(2).acknowledge(3)
  bench.pass(500)
  assert.equal(bench.master.role, 'leader')
})

test('a follower stuck in a higher term makes its leader step down, so that both meet above', () => {
  const bench = new Bench().elect().acknowledge(2)
  bench.message('appendAnswer', 3, { term: 6, round: 1, accepted: false, match: 0, reached: 0 })
  assert.equal(bench.master.term, 6)
  assert.equal(bench.master.role, 'follower')
})

test('a copy alone leads at once, and commits when its disk says so', () => {
  const bench = new Bench({ birth: birthConfiguration([nodeOf(0)]) })
  bench.pass(0)
  assert.equal(bench.master.role, 'candidate')
  bench.durable()
  assert.equal(bench.master.role, 'leader')
  assert.equal(bench.committed, 0)
  bench.durable()
  assert.equal(bench.committed, 1)
})

test('three fresh masters have a leader within 100 ms, and a killed leader costs milliseconds', () => {
  for (let seed = 0; seed < 30; seed++) {
    const cluster = new Cluster(seed, 3, 3)
    cluster.faults = calm
    cluster.until('a first leader', 100, () => cluster.leader?.master?.isSettled === true)
    cluster.run(500)
    const old = cluster.leader!
    cluster.crash(old)
    cluster.until('a successor', 150, () => cluster.leader !== undefined && cluster.leader.master!.isSettled)
  }
})

test('the lead is handed over in a few milliseconds, without a pre-vote', () => {
  const cluster = new Cluster(3, 3, 3)
  cluster.until('a leader', 200, () => cluster.leader?.master?.isSettled === true)
  cluster.run(300)
  const old = cluster.leader!
  cluster.propose()
  cluster.input(old, { kind: 'transfer', to: undefined })
  cluster.until('a successor', 30, () => cluster.leader !== undefined && cluster.leader !== old && cluster.leader.master!.isSettled)
  assert.equal(old.master!.role, 'follower')
})
