import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Bench, peer } from './bench.ts'
import { entryOf, nodeOf } from './cluster.ts'

/** Leads the three, and all have its no-op. */
const leading = (): Bench => new Bench().elect().acknowledge(2).acknowledge(3)
const asked = (bench: Bench): [number, number][] => bench.take('timeoutNow').map(({ to, lastIndex }) => [to, lastIndex])

test('a transfer to nobody in reach is refused, one that does not arrive ends', () => {
  const bench = leading()
  bench.input({ kind: 'transfer', to: peer(7).replica })
  assert.equal(bench.master.proposable, 'yes')
  bench.input({ kind: 'transfer', to: peer(3).replica })
  assert.equal(bench.master.proposable, 'notLeader')
  assert.deepEqual(bench.master.heir, peer(3))
  for (let i = 0; i < 12; i++) bench.pass(100).acknowledge(2)
  assert.equal(bench.master.proposable, 'yes')
  assert.equal(bench.master.heir, undefined)
})

test('a successor is told to stand right behind the last entries, and once more when it has them on its disk', () => {
  const bench = leading()
  bench.input({ kind: 'propose', entry: entryOf(1) }).input({ kind: 'transfer', to: peer(3).replica })
  const last = bench.master.lastIndex as number
  const kinds = bench.sent.filter(({ message }) => message.to === 3).map(({ message }) => message.kind)
  assert.deepEqual(kinds.slice(-2), ['append', 'timeoutNow'])
  assert.deepEqual(asked(bench), [[3, last]])
  bench.acknowledge(3, last)
  assert.deepEqual(asked(bench), [[3, last]])
  bench.acknowledge(2, last).pass(100)
  assert.deepEqual(asked(bench), [])
})

test('a leader goes on until its successor was sent everything, and not for long', () => {
  const bench = new Bench({ settings: { inFlightMax: 1 } }).elect().acknowledge(2).acknowledge(3)
  bench.input({ kind: 'propose', entry: entryOf(1) }).turn()
  // The window is full: this one waits.
  bench.input({ kind: 'propose', entry: entryOf(2) }).turn()
  bench.input({ kind: 'transfer', to: peer(3).replica })
  assert.equal(bench.master.proposable, 'yes')
  assert.deepEqual(asked(bench), [])
  for (let i = 0; i < 3; i++) bench.pass(100).acknowledge(2)
  assert.equal(bench.master.proposable, 'noQuorum')
  bench.acknowledge(3, 2)
  assert.deepEqual(asked(bench), [[3, 3]])
})

test('nobody is told to stand while a change of masters is under way: its end would be missing there', () => {
  const bench = leading()
  bench.input({ kind: 'reconfigure', change: { kind: 'learner', node: nodeOf(5) } }).input({ kind: 'transfer', to: peer(3).replica })
  assert.deepEqual(asked(bench), [])
  bench.durable().acknowledge(2).turn()
  assert.deepEqual(asked(bench), [[3, bench.master.lastIndex]])
})

test('one hand-over at a time, and none any more when the link to the successor has gone', () => {
  const bench = leading()
  bench.input({ kind: 'transfer', to: peer(3).replica }).input({ kind: 'transfer', to: peer(2).replica })
  assert.deepEqual(bench.take('timeoutNow').map(({ to }) => to), [3])
  bench.input({ kind: 'linkDown', node: nodeOf(2) })
  assert.equal(bench.master.proposable, 'yes')
  bench.input({ kind: 'transfer', to: peer(2).replica })
  assert.deepEqual(bench.take('timeoutNow').map(({ to }) => to), [2])
})

test('a follower that lacks entries does not stand: it would end the lead and win nothing', () => {
  const bench = new Bench({ replica: 2 })
  const entries = [{ term: 1, bytes: entryOf(1) }]
  bench.message('append', 1, { term: 1, round: 1, prevIndex: 0, prevTerm: 0, commit: 0, entries })
  bench.message('timeoutNow', 1, { term: 1, lastIndex: 2 })
  assert.equal(bench.master.role, 'follower')
  bench.message('append', 1, { term: 1, round: 1, prevIndex: 1, prevTerm: 1, commit: 0, entries })
  bench.message('timeoutNow', 1, { term: 1, lastIndex: 2 })
  assert.equal(bench.master.isSucceeding, true)
  assert.deepEqual(bench.take('vote'), [])
  // One flush for the entries and the vote.
  bench.durable()
  assert.deepEqual(bench.take('vote').map(({ to, lastIndex, transfer }) => [to, lastIndex, transfer]), [[1, 2, true], [3, 2, true]])
})

test('whoever is asked for a vote on behalf of the leader knows who is about to lead, until somebody leads or that fails', () => {
  const bench = new Bench({ replica: 3 })
  bench.message('append', 1, { term: 1, round: 1, prevIndex: 0, prevTerm: 0, commit: 0 })
  bench.message('vote', 2, { term: 2, lastIndex: 0, lastTerm: 0, transfer: true }).durable()
  assert.deepEqual(bench.master.heir, peer(2))
  bench.message('append', 2, { term: 2, round: 1, prevIndex: 0, prevTerm: 0, commit: 0 })
  assert.equal(bench.master.heir, undefined)
  bench.message('vote', 1, { term: 3, lastIndex: 0, lastTerm: 0, transfer: true }).durable()
  assert.deepEqual(bench.master.heir, peer(1))
  bench.pass(2000)
  assert.equal(bench.master.heir, undefined)
})
