import assert from 'node:assert/strict'
import { test } from 'node:test'
import { birthConfiguration, encodeConfiguration } from '@horus/core/master/configuration'
import { snapshotHash } from '@horus/core/master/snapshot'
import type { LogIndex, Term } from '@horus/core/units'
import { Bench, record } from './bench.ts'
import { Cluster, entryOf, nodeOf } from './cluster.ts'

const birth = birthConfiguration([nodeOf(0), nodeOf(1), nodeOf(2)])
const image = Uint8Array.from({ length: 20_000 }, (_, i) => i % 251)
const total = image.length
const chunkOf = (offset: number, parts: object = {}): object => ({
  term: 1, round: 1, index: 9, indexTerm: 1, configuration: encodeConfiguration({ ...birth, epoch: 4 as never }), leaseNow: 77, wallNow: 88,
  totalBytes: total, hash: snapshotHash(image), offset, chunk: image.slice(offset, offset + 8192), ...parts,
})
const follower = (): Bench => new Bench({ replica: 2, settings: { snapshotChunkBytes: 8192 } })

test('chunks are taken in order, doubles and holes are answered with what is wanted', () => {
  const bench = follower()
  for (const offset of [0, 0, 16_384, 8192, 16_384]) bench.message('snapshot', 1, chunkOf(offset))
  assert.deepEqual(bench.take('snapshotAnswer').map((answer) => answer.offset), [8192, 8192, 8192, 16_384, total])
  assert.equal(bench.installs.length, 1)
  assert.deepEqual(bench.installs[0]!.image, image)
})

test('once it is installed the log restarts behind it and its configuration is in force', () => {
  const bench = follower()
  bench.message('append', 3, { term: 1, round: 1, prevIndex: 0, prevTerm: 0, commit: 0, entries: Array.from({ length: 12 }, (_, i) => ({ term: 0, bytes: entryOf(i) })) }).durable()
  for (const offset of [0, 8192, 16_384]) bench.message('snapshot', 3, chunkOf(offset))
  // Until then nothing else is stored, and it does not stand.
  bench.message('append', 3, { term: 1, round: 1, prevIndex: 12, prevTerm: 0, commit: 0, entries: [{ term: 1, bytes: entryOf(1) }] })
  assert.equal(bench.master.lastIndex, 12)
  bench.pass(3000)
  assert.equal(bench.take('preVote').length, 0)
  bench.take('appendAnswer')
  bench.input({ kind: 'installed', index: 9 as LogIndex }).durable()
  assert.deepEqual([bench.master.firstIndex, bench.master.lastIndex, bench.master.commitIndex, bench.master.configuration.epoch], [10, 9, 9, 4])
  assert.equal(bench.master.leaseNow(bench.time), 77)
  bench.message('append', 3, { term: 1, round: 2, prevIndex: 9, prevTerm: 1, commit: 9 })
  assert.equal(bench.take('appendAnswer').at(-1)!.match, 9)
})

test('a damaged image is received again, an oversized one is refused', () => {
  const bench = follower()
  const bad = image.slice(8192, 16_384)
  bad[5]! ^= 1
  bench.message('snapshot', 1, chunkOf(0)).message('snapshot', 1, chunkOf(8192, { chunk: bad })).message('snapshot', 1, chunkOf(16_384))
  assert.deepEqual(bench.take('snapshotAnswer').map((answer) => answer.offset), [8192, 16_384, 0])
  assert.equal(bench.installs.length, 0)
  for (const offset of [0, 8192, 16_384]) bench.message('snapshot', 1, chunkOf(offset))
  assert.equal(bench.installs.length, 1)
  const small = new Bench({ replica: 2, settings: { snapshotBytesMax: 1000 } })
  small.message('snapshot', 1, chunkOf(0))
  assert.equal(small.take('snapshotAnswer').length, 0)
})

test('a snapshot of what the log has already installs nothing', () => {
  const bench = follower()
  bench.message('append', 1, { term: 1, round: 1, prevIndex: 0, prevTerm: 0, commit: 0, entries: Array.from({ length: 12 }, (_, i) => ({ term: 1, bytes: entryOf(i) })) }).durable()
  bench.take('appendAnswer')
  bench.message('snapshot', 1, chunkOf(0))
  assert.equal(bench.installs.length, 0)
  assert.deepEqual([bench.committed, bench.master.lastIndex, bench.take('appendAnswer')[0]!.match], [9, 12, 12])
})

test('another leader with the same snapshot goes on where the first one stopped', () => {
  const bench = follower()
  bench.message('snapshot', 1, chunkOf(0)).message('snapshot', 3, chunkOf(8192, { term: 2 })).message('snapshot', 3, chunkOf(16_384, { term: 2 }))
  assert.equal(bench.installs.length, 1)
  const other = follower()
  other.message('snapshot', 1, chunkOf(0)).message('snapshot', 3, chunkOf(8192, { term: 2, index: 10 }))
  assert.equal(other.take('snapshotAnswer').at(-1)!.offset, 0)
})

test('a leader sends a window of chunks, and again what was lost', () => {
  const records = Array.from({ length: 9 }, (_, i) => record(i + 1, 1, entryOf(i)))
  const bench = new Bench({ records, settings: { snapshotChunkBytes: 4096, snapshotChunksInFlight: 2, keepEntries: 0 }, recovered: { lastIndex: 9 as LogIndex, terms: [{ index: 1, term: 1 }] as never, hardState: { term: 1, vote: undefined, self: 1, epoch: 1, commit: 9, extra: new Uint8Array() } as never } })
  bench.elect().acknowledge(2)
  bench.input({ kind: 'snapshotted', index: 9 as LogIndex, term: 1 as Term, all: false })
  assert.deepEqual([bench.trimmed, bench.master.firstIndex], [9, 10])
  const round = bench.take('append').at(-1)!.round
  bench.message('appendAnswer', 3, { term: 2, round, accepted: false, match: 0, reached: 9, hintIndex: 0, hintTerm: 0 })
  assert.deepEqual(bench.opened, [3])
  bench.input({ kind: 'snapshotOpened', peer: 3 as never, source: { index: 9 as LogIndex, term: 1 as Term, configuration: encodeConfiguration(birth), totalBytes: total, hash: snapshotHash(image), chunk: (at, most) => image.slice(at, at + most) } })
  assert.deepEqual(bench.take('snapshot').map((chunk) => chunk.offset), [0, 4096])
  bench.message('snapshotAnswer', 3, { term: 2, round, index: 9, offset: 4096 })
  assert.deepEqual(bench.take('snapshot').map((chunk) => chunk.offset), [8192])
  for (let i = 0; i < 5; i++) bench.pass(100).acknowledge(2)
  assert.equal(bench.take('snapshot')[0]!.offset, 4096)
  bench.message('appendAnswer', 3, { term: 2, round, accepted: true, match: 9, reached: 9 })
  bench.take('append')
  bench.input({ kind: 'propose', entry: entryOf(99) }).turn()
  assert.ok(bench.take('append').some((message) => message.to === 3 && message.entries.length > 0))
})

test('the log behind a snapshot that is put together stays until it is sent, or its copy is silent', () => {
  const records = Array.from({ length: 9 }, (_, i) => record(i + 1, 1, entryOf(i)))
  const bench = new Bench({ records, settings: { keepEntries: 0 }, recovered: { lastIndex: 9 as LogIndex, terms: [{ index: 1, term: 1 }] as never, hardState: { term: 1, vote: undefined, self: 1, epoch: 1, commit: 9, extra: new Uint8Array() } as never } })
  bench.elect().acknowledge(2)
  bench.input({ kind: 'snapshotted', index: 9 as LogIndex, term: 1 as Term, all: false })
  bench.message('appendAnswer', 3, { term: 2, round: bench.take('append').at(-1)!.round, accepted: false, match: 0, reached: 9, hintIndex: 0, hintTerm: 0 })
  assert.deepEqual([bench.opened, bench.master.commitIndex], [[3], 10])
  bench.input({ kind: 'snapshotted', index: 10 as LogIndex, term: 2 as Term, all: false })
  assert.equal(bench.trimmed, 9)
  for (let i = 0; i < 30; i++) bench.pass(100).acknowledge(2)
  bench.input({ kind: 'snapshotted', index: 10 as LogIndex, term: 2 as Term, all: false })
  assert.equal(bench.trimmed, 10)
})

test('a copy far behind is filled by a snapshot and goes on with the log', () => {
  const cluster = new Cluster(8, 3, 3, { keepEntries: 2, snapshotChunkBytes: 4096, snapshotChunksInFlight: 2 })
  cluster.until('a leader', 200, () => cluster.leader?.master?.isSettled === true)
  cluster.run(200)
  const leader = cluster.leader!
  const behind = cluster.hosts.find((host) => host !== leader)!
  cluster.partition([behind])
  for (let i = 0; i < 400; i++) {
    cluster.propose(leader)
    cluster.run(2)
  }
  cluster.snapshot(leader)
  cluster.run(50)
  assert.ok(leader.master!.firstIndex > 300)
  cluster.blocked.clear()
  cluster.until('it is filled', 3000, () => behind.committed === cluster.highestCommitted)
  assert.deepEqual(behind.applied, leader.applied)
  assert.ok(behind.master!.firstIndex > 300)
})

test('a copy that was lost comes back under a new number', () => {
  const cluster = new Cluster(11, 3, 3)
  cluster.until('a leader', 200, () => cluster.leader?.master?.isSettled === true)
  cluster.run(200)
  for (let i = 0; i < 20; i++) cluster.propose()
  cluster.run(100)
  const leader = cluster.leader!
  const victim = cluster.hosts.find((host) => host !== leader)!
  cluster.crash(victim)
  cluster.restart(victim, true)
  const peers = (): ReturnType<NonNullable<typeof leader.master>['peers']> => leader.master!.peers(cluster.time(leader))
  cluster.until('the leader sees it', 1000, () => peers().some((each) => each.suspect))
  cluster.input(leader, { kind: 'reconfigure', change: { kind: 'learner', node: victim.node } })
  cluster.until('the new copy is caught up', 2000, () => peers().some((each) => each.learner && each.caughtUp))
  const doubtful = peers().find((each) => each.suspect)!.replica
  const { voters, learners } = leader.master!.configuration
  cluster.input(leader, { kind: 'reconfigure', change: { kind: 'replace', voters: [...voters.filter((voter) => voter.replica !== doubtful), ...learners] } })
  cluster.until('it is a master again', 1000, () => victim.master?.self.replica === 4 && !victim.master.isSuspect && victim.master.configuration.outgoing === undefined && victim.master.configuration.voters.length === 3)
  assert.deepEqual(victim.applied.filter((id) => id > 0).length, 20)
})
