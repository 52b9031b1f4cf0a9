import assert from 'node:assert/strict'
import { test } from 'node:test'
import { birthConfiguration, changed, decodeConfiguration, encodeConfiguration, History, left } from '@horus/core/master/configuration'
import { Log } from '@horus/core/master/log'
import { outcomeOf } from '@horus/core/master/quorum'
import type { Configuration } from '@horus/core/message/command'
import type { Epoch, LeaseTime, LogIndex, Term, WallTime } from '@horus/core/units'
import { Bench, peer } from './bench.ts'
import { Cluster, entryOf, nodeOf } from './cluster.ts'

const birth = birthConfiguration([nodeOf(0), nodeOf(1), nodeOf(2)])
const must = (value: Configuration | string): Configuration => {
  assert.notEqual(typeof value, 'string', String(value))
  return value as Configuration
}
const joint = must(changed(must(changed(birth, { kind: 'learner', node: nodeOf(3) })), { kind: 'replace', voters: [peer(1), peer(2), peer(4)] }))

test('a learner gets a number that nobody ever had, and is promoted by one joint step', () => {
  const withLearner = must(changed(birth, { kind: 'learner', node: nodeOf(3) }))
  assert.deepEqual([withLearner.learners, withLearner.nextReplica, withLearner.epoch], [[peer(4)], 5, 2])
  assert.deepEqual([joint.voters, joint.outgoing, joint.learners], [[peer(1), peer(2), peer(4)], birth.voters, []])
  assert.equal(left(joint).outgoing, undefined)
  assert.deepEqual(decodeConfiguration(encodeConfiguration(joint)), joint)
})

test('changes that make no sense are refused with a reason', () => {
  assert.match(String(changed(joint, { kind: 'learner', node: nodeOf(4) })), /joint/)
  assert.match(String(changed(birth, { kind: 'replace', voters: [] })), /no or too many/)
  assert.match(String(changed(birth, { kind: 'replace', voters: [peer(9)] })), /no member/)
  assert.match(String(changed(birth, { kind: 'replace', voters: birth.voters })), /already/)
  assert.match(String(changed(birth, { kind: 'forgetLearner', replica: peer(9).replica })), /no such/)
})

test('in a joint configuration both sets must agree', () => {
  assert.equal(outcomeOf(joint, [1, 4], []), 'open')
  assert.equal(outcomeOf(joint, [1, 2], []), 'won')
  assert.equal(outcomeOf(joint, [1, 4], [2, 3]), 'lost')
})

test('a leader counts both majorities for a joint entry, then leaves by itself', () => {
  const bench = new Bench().elect().acknowledge(2).acknowledge(3)
  bench.input({ kind: 'reconfigure', change: { kind: 'learner', node: nodeOf(3) } }).durable().acknowledge(2)
  bench.acknowledge(4)
  const start = bench.committed
  bench.input({ kind: 'reconfigure', change: { kind: 'replace', voters: [peer(1), peer(4)] } }).durable()
  bench.acknowledge(4)
  assert.equal(bench.committed, start, 'of the old ones only the leader has it')
  bench.acknowledge(3)
  assert.equal(bench.committed, start + 1)
  assert.equal(bench.master.configuration.outgoing, undefined)
  // The leave is counted by the new voters alone.
  bench.durable().acknowledge(2).acknowledge(3)
  assert.equal(bench.committed, start + 1)
  bench.acknowledge(4)
  assert.equal(bench.committed, start + 2)
})

test('no change before an entry of the own term is committed, and none while one is under way', () => {
  const bench = new Bench().elect()
  bench.input({ kind: 'reconfigure', change: { kind: 'learner', node: nodeOf(3) } })
  assert.match(bench.logs.join(), /nothing of this term/)
  bench.acknowledge(2)
  bench.input({ kind: 'reconfigure', change: { kind: 'learner', node: nodeOf(3) } })
  bench.input({ kind: 'reconfigure', change: { kind: 'learner', node: nodeOf(4) } })
  assert.match(bench.logs.join(), /under way/)
  assert.equal(bench.master.configuration.learners.length, 1)
})

test('a learner that has not come so far is no voter yet', () => {
  const bench = new Bench().elect().acknowledge(2).acknowledge(3)
  bench.input({ kind: 'reconfigure', change: { kind: 'learner', node: nodeOf(3) } }).durable().acknowledge(2)
  bench.input({ kind: 'reconfigure', change: { kind: 'replace', voters: [peer(1), peer(2), peer(4)] } })
  assert.match(bench.logs.join(), /not caught up/)
})

test('a learner never counts for a commit, a vote or the quorum', () => {
  const bench = new Bench().elect().acknowledge(2).acknowledge(3)
  bench.input({ kind: 'reconfigure', change: { kind: 'learner', node: nodeOf(3) } }).durable().acknowledge(2)
  const before = bench.committed
  bench.input({ kind: 'propose', entry: entryOf(1) }).turn().durable().acknowledge(4)
  assert.equal(bench.committed, before)
  for (let i = 0; i < 20; i++) bench.pass(100).acknowledge(4)
  assert.equal(bench.master.role === 'leader', false)
})

test('a configuration that was cut is out of force again', () => {
  const bench = new Bench({ replica: 2 })
  const entry = encodeConfiguration(joint)
  bench.message('append', 1, { term: 1, round: 1, prevIndex: 0, prevTerm: 0, commit: 0, entries: [{ term: 1, bytes: entry }] })
  assert.equal(bench.master.configuration.epoch, 3)
  bench.message('append', 3, { term: 2, round: 1, prevIndex: 0, prevTerm: 0, commit: 0, entries: [{ term: 2, bytes: entryOf(1) }] })
  assert.deepEqual(bench.master.configuration, birth)
})

test('the configuration in force survives a restart as far as its entry does', () => {
  const bench = new Bench({ replica: 2 })
  bench.message('append', 1, { term: 1, round: 1, prevIndex: 0, prevTerm: 0, commit: 0, entries: [{ term: 1, bytes: entryOf(1) }, { term: 1, bytes: encodeConfiguration(joint) }] })
  const { hardState } = bench
  const whole = new Bench({ replica: 2, birth: undefined, recovered: { hardState, lastIndex: 2 as LogIndex, terms: [{ index: 1, term: 1 }] as never } })
  assert.equal(whole.master.configuration.epoch, 3)
  const torn = new Bench({ replica: 2, birth: undefined, recovered: { hardState, lastIndex: 1 as LogIndex, terms: [{ index: 1, term: 1 }] as never } })
  assert.equal(torn.master.configuration.epoch, 1)
  const history = new History(0 as LogIndex, 0 as Term, birth)
  history.recover(new History(0 as LogIndex, 0 as Term, joint).encodeExtra({ leaseNow: 0 as LeaseTime, wallNow: 0 as WallTime, stampedAt: 0 as LogIndex, stampedTerm: 0 as Term }), new Log(), 0 as LogIndex)
  assert.equal(history.current.epoch, 3)
})

test('a leader outside of its committed configuration hands over and steps down', () => {
  const cluster = new Cluster(4, 4, 3)
  cluster.until('a leader', 200, () => cluster.leader?.master?.isSettled === true)
  const old = cluster.leader!
  cluster.input(old, { kind: 'reconfigure', change: { kind: 'learner', node: nodeOf(3) } })
  cluster.until('a caught-up learner', 1000, () => old.master!.peers(cluster.time(old)).some((each) => each.learner && each.caughtUp))
  const others = old.master!.configuration.voters.filter((voter) => voter.node !== old.node)
  cluster.input(old, { kind: 'reconfigure', change: { kind: 'replace', voters: [...others, ...old.master!.configuration.learners] } })
  cluster.until('a successor', 300, () => cluster.leader !== undefined && cluster.leader !== old && cluster.leader.master!.isSettled)
  cluster.until('the old one is told that it is removed', 5000, () => old.master === undefined)
})

test('a master that slept through its removal learns of it and disturbs nobody', () => {
  const cluster = new Cluster(6, 4, 3)
  cluster.until('a leader', 200, () => cluster.leader?.master?.isSettled === true)
  cluster.run(300)
  const leader = cluster.leader!
  const victim = cluster.hosts.slice(0, 3).find((host) => host !== leader)!
  cluster.partition([victim])
  cluster.input(leader, { kind: 'reconfigure', change: { kind: 'learner', node: nodeOf(3) } })
  cluster.until('a caught-up learner', 1000, () => leader.master!.peers(cluster.time(leader)).some((each) => each.learner && each.caughtUp))
  const kept = leader.master!.configuration.voters.filter((voter) => voter.node !== victim.node)
  cluster.input(leader, { kind: 'reconfigure', change: { kind: 'replace', voters: [...kept, ...leader.master!.configuration.learners] } })
  cluster.run(5000)
  const { term } = leader.master!
  cluster.blocked.clear()
  cluster.until('it is told', 5000, () => victim.master === undefined)
  assert.equal(cluster.leader, leader)
  assert.equal(leader.master!.term, term)
})

test('a configuration of the same epoch that I am in is not my removal', () => {
  const bench = new Bench({ replica: 3 })
  bench.message('removed', 1, { term: 1, epoch: 1 })
  assert.equal(bench.removed, undefined)
  bench.message('append', 1, { term: 5, round: 1, prevIndex: 0, prevTerm: 0, commit: 0 })
  bench.message('removed', 2, { term: 4, epoch: 9 })
  assert.equal(bench.removed, undefined, 'an outdated leader removes nobody')
  bench.message('removed', 1, { term: 5, epoch: 2 as Epoch })
  assert.equal(bench.removed, 2)
  assert.equal(bench.master.wakeAt, Infinity)
})

test('others are told of a change when it is done: until then the old and the new masters hold the shard', () => {
  const bench = new Bench().elect().acknowledge(2).acknowledge(3)
  const told = (): unknown => [bench.master.holders.epoch, bench.master.holders.nodes]
  const [a, b, c, d] = [nodeOf(0), nodeOf(1), nodeOf(2), nodeOf(3)]
  bench.input({ kind: 'reconfigure', change: { kind: 'learner', node: d } })
  assert.deepEqual(told(), [1, [a, b, c]])
  bench.durable().acknowledge(2)
  assert.deepEqual(told(), [2, [a, b, c]])
  bench.message('appendAnswer', 4, { term: 1, round: 1, accepted: true, match: 2, reached: 2 })
  bench.input({ kind: 'reconfigure', change: { kind: 'replace', voters: [peer(1), peer(2), peer(4)] } })
  assert.deepEqual(told(), [3, [a, b, c, d]])
  bench.durable().acknowledge(2).acknowledge(4)
  // The joint one is committed, and its end is in force: that can still be lost.
  assert.equal(bench.master.configuration.outgoing, undefined)
  assert.deepEqual(told(), [3, [a, b, d, c]])
  bench.durable().acknowledge(2).acknowledge(4)
  assert.deepEqual(told(), [4, [a, b, d]])
})
