//! A shard at rest says nothing and counts no time, and keeps every promise: quorums are counted by what the pulses have shown.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PulseProof, PulseView } from '@horus/core/master/rest'
import type { Instant, LogIndex, NodeId, ReplicaNumber, Term, WallTime } from '@horus/core/units'
import { Bench } from './bench.ts'
import { entryOf, nodeOf } from './cluster.ts'

/** Pulses as a test wants them. */
class Heart implements PulseView {
  awakeMs = 0
  isIdle = true
  leaderHeardAt = -Infinity
  proof: PulseProof | undefined

  heardAt(): Instant {
    return this.leaderHeardAt as Instant
  }

  proofOf(_node: NodeId): PulseProof | undefined {
    return this.proof
  }

  proves(at: number): void {
    this.proof = { provenAt: at as Instant, answeredAt: at as Instant, wall: (1_700_000_000_000 + at) as WallTime, freeBytes: 77 }
  }
}

/** A leader that both followers have answered, for as long as it takes to wish for a rest. */
function wishing(heart: Heart): Bench {
  const bench = new Bench({ pulses: heart }).elect()
  for (let i = 0; i < 40 && bench.rests.length === 0; i++) {
    for (const follower of [2, 3]) bench.acknowledge(follower)
    bench.sent.length = 0
    bench.pass(100)
    for (const { message } of bench.sent.filter((each) => each.message.kind === 'append')) bench.acknowledge(message.to)
  }
  assert.equal(bench.rests.length, 1)
  return bench
}

function resting(heart: Heart): Bench {
  const bench = wishing(heart)
  bench.input({ kind: 'restAgreed' })
  bench.sent.length = 0
  assert.ok(bench.master.isAtRest)
  return bench
}

test('a leader with nothing to do for a second wishes for a rest, and says what the log ends with', () => {
  const bench = wishing(new Heart())
  const [wish] = bench.rests
  assert.deepEqual({ index: wish!.index, term: wish!.term, peers: wish!.peers.map(({ replica }) => replica) }, { index: 1, term: 1, peers: [2, 3] })
  assert.ok(bench.now >= 1000)
})

test('it wishes for none while the state machine waits for the lease clock, or a follower is behind', () => {
  const heart = new Heart()
  heart.isIdle = false
  const waiting = new Bench({ pulses: heart }).elect()
  const behind = new Bench({ pulses: new Heart() }).elect()
  for (let i = 0; i < 40; i++) {
    for (const follower of [2, 3]) waiting.acknowledge(follower)
    behind.acknowledge(2).acknowledge(3, 0)
    waiting.pass(100)
    behind.pass(100)
  }
  assert.deepEqual([waiting.rests.length, behind.rests.length], [0, 0])
})

test('at rest it sends nothing, wants no waking, and leads on for as long as the pulses prove it', () => {
  const heart = new Heart()
  const bench = resting(heart)
  for (let second = 0; second < 60; second++) {
    bench.pass(1000)
    heart.proves(bench.now - 100)
    assert.ok(bench.master.leadsSurely(bench.time))
  }
  assert.equal(bench.master.wakeAt, Infinity)
  assert.deepEqual(bench.sent, [])
  assert.deepEqual(bench.master.peers(bench.time).map(({ activeAgoMs, caughtUp }) => ({ activeAgoMs, caughtUp })), [{ activeAgoMs: 100, caughtUp: true }, { activeAgoMs: 100, caughtUp: true }])
  bench.pass(2000)
  assert.ok(!bench.master.leadsSurely(bench.time))
})

test('a rest that the others do not agree to in time is given up before they miss a heartbeat too many', () => {
  const bench = wishing(new Heart())
  bench.sent.length = 0
  bench.pass(499)
  assert.deepEqual(bench.sent, [])
  bench.pass(1)
  assert.equal(bench.rests.at(-1), undefined)
  assert.equal(bench.take('append').length, 2)
})

test('a proposal, a read and a vote rouse a leader, which beats at once; a late answer does not', () => {
  const rouse: readonly ((bench: Bench) => void)[] = [
    (bench) => bench.input({ kind: 'propose', entry: entryOf(1) }).turn(),
    (bench) => bench.input({ kind: 'read', id: 1 }),
    (bench) => bench.message('preVote', 2, { term: 1, lastIndex: 1, lastTerm: 1 }),
    (bench) => bench.input({ kind: 'linkDown', node: nodeOf(1) }),
    (bench) => bench.input({ kind: 'rouse' }),
  ]
  for (const happens of rouse) {
    const bench = resting(new Heart())
    bench.pass(700)
    happens(bench)
    assert.ok(!bench.master.isAtRest)
    assert.deepEqual(bench.rests.slice(1), [undefined])
    bench.pass(0)
    assert.ok(bench.take('append').length >= 2)
  }
  const bench = resting(new Heart())
  bench.message('appendAnswer', 2, { term: 1, round: 1, accepted: true, match: 1, reached: 1 })
  assert.ok(bench.master.isAtRest)
})

test('roused after a silence of its node it is no leader surely, and gives the quorum two heartbeats before it steps down', () => {
  const heart = new Heart()
  const bench = resting(heart)
  heart.proves(bench.now)
  bench.stall(10_000)
  bench.input({ kind: 'rouse' })
  assert.ok(!bench.master.leadsSurely(bench.time))
  assert.equal(bench.master.role, 'leader')
  bench.pass(250)
  assert.equal(bench.master.role, 'follower')
})

test('the lease clock goes on at rest for as long as the node ran, and no further', () => {
  const heart = new Heart()
  const bench = wishing(heart)
  bench.pass(100)
  for (let i = 0; i < 10; i++) for (const follower of [2, 3]) bench.acknowledge(follower)
  while (bench.now < 3000) {
    if (bench.rests.at(-1) === undefined) for (const follower of [2, 3]) bench.acknowledge(follower)
    bench.pass(50)
  }
  if (bench.rests.at(-1) === undefined) assert.fail('it wishes for a rest again')
  const before = bench.master.leaseNow(bench.time)
  bench.input({ kind: 'restAgreed' })
  bench.stall(60_000)
  heart.awakeMs = 20_000
  assert.equal(bench.master.leaseNow(bench.time), before + 20_000)
  bench.input({ kind: 'rouse' })
  assert.equal(bench.master.leaseNow(bench.time), before + 20_000)
})

/** A follower of replica 1 in term 1 that has its log to the end, and agrees to rest. */
function follower(heart: Heart): Bench {
  const bench = new Bench({ replica: 2, pulses: heart })
  bench.message('append', 1, { term: 1, round: 1, prevIndex: 0, prevTerm: 0, commit: 0, entries: [{ term: 1, bytes: entryOf(1) }] })
  bench.durable()
  bench.message('append', 1, { term: 1, round: 2, prevIndex: 1, prevTerm: 1, commit: 1 })
  assert.ok(bench.master.followAtRest({ replica: 1 as ReplicaNumber, node: nodeOf(0) }, 1 as Term, 1 as LogIndex))
  bench.sent.length = 0
  return bench
}

test('a follower agrees only where it has the whole log of that leader, committed', () => {
  const bench = new Bench({ replica: 2, pulses: new Heart() })
  const agrees = (replica: number, term: number, index: number): boolean => bench.master.followAtRest({ replica: replica as ReplicaNumber, node: nodeOf(replica - 1) }, term as Term, index as LogIndex)
  bench.message('append', 1, { term: 1, round: 1, prevIndex: 0, prevTerm: 0, commit: 0, entries: [{ term: 1, bytes: entryOf(1) }] })
  assert.ok(!agrees(1, 1, 1))
  bench.durable()
  assert.ok(!agrees(1, 1, 1))
  bench.message('append', 1, { term: 1, round: 2, prevIndex: 1, prevTerm: 1, commit: 1 })
  assert.ok(!agrees(3, 1, 1))
  assert.ok(!agrees(1, 2, 1))
  assert.ok(!agrees(1, 1, 2))
  assert.ok(agrees(1, 1, 1))
})

test('a follower at rest stands for nothing and helps nobody as long as the pulse of its leader is heard', () => {
  const heart = new Heart()
  const bench = follower(heart)
  bench.pass(60_000)
  heart.leaderHeardAt = bench.now - 900
  bench.message('preVote', 3, { term: 1, lastIndex: 1, lastTerm: 1 })
  bench.message('vote', 3, { term: 2, lastIndex: 1, lastTerm: 1 })
  assert.deepEqual(bench.take('preVoteAnswer').map(({ granted }) => granted), [false])
  assert.deepEqual(bench.take('voteAnswer'), [])
  assert.ok(bench.master.isAtRest)
  heart.leaderHeardAt = bench.now - 1100
  bench.message('vote', 3, { term: 2, lastIndex: 1, lastTerm: 1 })
  assert.equal(bench.master.term, 2)
  assert.ok(!bench.master.isAtRest)
  assert.deepEqual(bench.rests, [undefined])
})

test('a follower that is roused waits as if it had missed its heartbeats; one whose leader has gone asks at once', () => {
  const silent = follower(new Heart())
  silent.pass(5000)
  silent.input({ kind: 'rouse' })
  assert.ok(silent.master.wakeAt >= silent.now && silent.master.wakeAt <= silent.now + 1000)
  const gone = follower(new Heart())
  gone.pass(5000)
  gone.input({ kind: 'linkDown', node: nodeOf(0) })
  assert.ok(gone.master.wakeAt <= gone.now + 20)
  assert.deepEqual([silent.rests, gone.rests], [[undefined], [undefined]])
})

test('an append rouses a follower, and a hand-over is followed before it is told', () => {
  const bench = follower(new Heart())
  bench.message('append', 1, { term: 1, round: 3, prevIndex: 1, prevTerm: 1, commit: 1 })
  assert.deepEqual(bench.rests, [undefined])
  const handed = follower(new Heart())
  handed.message('vote', 3, { term: 2, lastIndex: 1, lastTerm: 1, transfer: true })
  assert.deepEqual(handed.rests, [undefined])
  assert.equal(handed.master.term, 2)
})
