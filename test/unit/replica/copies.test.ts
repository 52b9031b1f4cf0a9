import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Now } from '@horus/core/actor'
import type { Journal, JournalInput } from '@horus/core/journal/journal'
import type { RecoveredShard } from '@horus/core/journal/rebuild'
import { defaultMasterSettings } from '@horus/core/master/settings'
import type { ConsensusMessage } from '@horus/core/message/consensus'
import { Random } from '@horus/core/random'
import { type CopyCluster, Copies, type CopyOutboxes } from '@horus/core/replica/copies'
import type { ReplicaNumber, ShardId } from '@horus/core/units'
import { nodeOf } from '../master/cluster.ts'

const shard = 7 as ShardId
const now = { monotonic: 0, wall: 1_700_000_000_000 } as unknown as Now
const masters = [nodeOf(0), nodeOf(1), nodeOf(2)]

const settings = { masters: defaultMasterSettings, snapshotEntries: 1000, snapshotBytes: 1e9 }
const reader = { freeBytes: 1, reserveBytes: 0, entries: () => undefined } as unknown as Journal

function copies(written: JournalInput[], retired = () => {}, firstMasters: CopyCluster['firstMasters'] = () => masters): Copies {
  const hosted = { nextTicket: () => written.length + 1, journal: (_now: Now, input: JournalInput) => written.push(input), doubted: () => {}, stirred: () => {}, moved: () => {}, rest: () => {}, configured: () => {}, restored: () => {}, role: () => {}, removed: () => {}, send: () => {}, log: () => {} }
  const cluster = { self: () => nodeOf(1), isCleared: () => true, isEntitled: () => true, pulses: { heardAt: () => -Infinity as never, proofOf: () => undefined, awakeMs: 0 }, firstMasters, registryHosted: () => {}, retired }
  return new Copies(settings, new Random(1), reader, cluster, { hosted } as unknown as CopyOutboxes)
}

const append = (from: number, to: number, term: number): ConsensusMessage =>
  ({ kind: 'append', shard, from, to, term, round: 1, prevIndex: 0, prevTerm: 0, commit: 0, wall: 0, entries: [] }) as unknown as ConsensusMessage

test('a node that does not know who a shard was born with makes no copy that may be of the birth, and any other', () => {
  const unknowing = copies([], () => {}, () => undefined)
  assert.equal(unknowing.adopt(now, append(1, 3, 1)), undefined)
  assert.equal(unknowing.adopt(now, append(1, 4, 1))?.master.self.replica, 4)
  const knowing = copies([])
  assert.equal(knowing.adopt(now, append(1, 2, 1)), undefined)
  assert.equal(knowing.adopt(now, append(1, 3, 1))?.master.self.replica, 3)
})

test('a copy yields to one after it only when the leader that it follows asks for that', () => {
  const here = copies([])
  here.bear(now, shard, masters, () => {})
  here.hosted.get(shard)!.message(now, nodeOf(0), append(1, 2, 1))
  assert.equal(here.adopt(now, append(3, 4, 2)), undefined)
  assert.equal(here.hosted.get(shard)!.master.self.replica, 2)
  assert.equal(here.adopt(now, append(1, 4, 1))?.master.self.replica, 4)
})

test('a copy in doubt yields to a later one, even where it has heard of a higher term than the leader is in', () => {
  const here = copies([])
  const state = { term: 7, vote: undefined, self: 2, epoch: 1, commit: 0, extra: new Uint8Array(0) }
  here.recover(now, { shard, hardState: state, snapshot: undefined, first: 1, last: 0, terms: [], suspect: true } as unknown as RecoveredShard)
  assert.equal(here.hosted.get(shard)!.master.isSuspect, true)
  assert.equal(here.adopt(now, append(3, 4, 4))?.master.self.replica, 4)
})

test('nobody answers for a number that was given up, or that a later one has followed', () => {
  const here = copies([])
  here.bear(now, shard, masters, () => {})
  here.hosted.get(shard)!.message(now, nodeOf(0), append(1, 2, 1))
  assert.equal(here.isGone(shard, 2 as ReplicaNumber), false)
  here.adopt(now, append(1, 5, 1))
  assert.deepEqual([2, 4, 5, 6].map((replica) => here.isGone(shard, replica as ReplicaNumber)), [true, true, false, false])
  here.retire(now, shard)
  assert.deepEqual([5, 6].map((replica) => here.isGone(shard, replica as ReplicaNumber)), [true, false])
})

test('a power failure in the middle of a birth leaves no copy without the configuration that it was born with', () => {
  const written: JournalInput[] = []
  copies(written).bear(now, shard, masters, () => {})
  assert.deepEqual(written.map((input) => input.kind), ['hardState', 'snapshot', 'piece'])
  const first = written[0] as Extract<JournalInput, { kind: 'hardState' }>
  // Of what was written only the first has reached the disk.
  const after = copies([])
  after.recover(now, { shard, hardState: first.state, snapshot: undefined, first: 1, last: 0, terms: [], suspect: false } as unknown as RecoveredShard)
  after.bear(now, shard, masters, () => {})
  assert.deepEqual(after.hosted.get(shard)!.master.configuration.voters.map((voter) => voter.node), masters)
})

test('that a copy is given up is told: a node that waited for nothing but its leader is ready then', () => {
  let copiesLeft = -1
  const here = copies([], () => (copiesLeft = here.hosted.size))
  here.bear(now, shard, masters, () => {})
  here.retire(now, shard)
  assert.equal(copiesLeft, 0)
})
