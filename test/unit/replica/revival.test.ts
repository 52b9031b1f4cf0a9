import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Now } from '@horus/core/actor'
import { joined } from '@horus/core/bytes'
import type { JournalInput } from '@horus/core/journal/journal'
import type { RecoveredShard, RecoveredSnapshot } from '@horus/core/journal/rebuild'
import type { LogRecord } from '@horus/core/master/boundary'
import { birthConfiguration, decodeConfiguration, encodeConfiguration } from '@horus/core/master/configuration'
import { Revival } from '@horus/core/replica/revival'
import { Shard } from '@horus/core/shard'
import type { Epoch, Instant, LogIndex, NodeId, ReplicaNumber, Term, WallTime } from '@horus/core/units'
import { logWithSession, P, SHARD } from '../job/log.ts'
import { nodeOf } from '../master/cluster.ts'

const NOW: Now = { monotonic: 0 as Instant, wall: 0 as WallTime }
const BASE = 2 ** 44
const TERM = 2 ** 32
const SELF = nodeOf(2)
const masters = [nodeOf(0), nodeOf(1), SELF]
const decision = { destroyed: [nodeOf(0), nodeOf(1)], shards: [{ shard: SHARD, recovery: 1 }] }

/** Whoever reads it takes its pieces out. */
const birthSnapshot = (): RecoveredSnapshot => ({ index: 0 as LogIndex, term: 0 as Term, configuration: encodeConfiguration(birthConfiguration(masters)), pieces: [new Shard(SHARD).snapshot()] })

/** A copy whose log holds a partition, a session and some jobs, as it lies on the disk. */
class Disk {
  readonly log = logWithSession()
  readonly inputs: JournalInput[] = []
  readonly outcomes: string[] = []
  found: RecoveredShard
  revived: readonly RecoveredShard[] = []
  reads = true

  constructor() {
    this.log.log.addMany(this.log.session, 3)
    this.found = {
      shard: SHARD, hardState: { term: 4 as Term, vote: undefined, self: 3 as ReplicaNumber, epoch: 1 as Epoch, commit: 1 as LogIndex, extra: new Uint8Array(0) },
      snapshot: birthSnapshot(),
      first: 1 as LogIndex, last: this.last, terms: [{ index: 1 as LogIndex, term: 4 as Term }], suspect: false,
    }
  }

  get last(): LogIndex {
    return this.log.log.index as LogIndex
  }

  start(): Revival {
    let ticket = 0
    const revival = new Revival(SELF as NodeId, decision, [this.found], {
      nextTicket: () => ++ticket,
      journal: (_now, input) => this.inputs.push(input),
      entries: (_shard, from, to) => (this.reads ? this.log.log.entries.slice(from - 1, to).map((bytes, i): LogRecord => ({ index: (from + i) as LogIndex, term: 4 as Term, bytes })) : undefined),
      reviving: () => {},
      revived: (_shard, replica, through, index) => this.outcomes.push(`revived ${replica} ${through} ${index}`),
      done: (_now, shards) => {
        this.revived = shards
        this.outcomes.push('done')
      },
      failed: (reason) => this.outcomes.push(reason),
    })
    revival.start(NOW)
    return revival
  }

  get kinds(): readonly string[] {
    return this.inputs.map(({ kind }) => kind)
  }
}

const booksIn = (snapshot: RecoveredSnapshot | undefined): Shard => Shard.restore(SHARD, joined(snapshot!.pieces))

test('a copy becomes the only master with everything in its log; nothing of the old log goes before the new snapshot is durable', () => {
  const disk = new Disk()
  const revival = disk.start()
  const said = `revived 3 ${disk.last} ${BASE}`
  assert.deepEqual([disk.kinds, disk.outcomes], [['hardState', 'snapshot', 'piece'], [said]])
  revival.durable(NOW, 1)
  assert.deepEqual(disk.kinds, ['hardState', 'snapshot', 'piece'])
  revival.durable(NOW, 2)
  assert.deepEqual([disk.kinds, disk.outcomes], [['hardState', 'snapshot', 'piece', 'trim', 'reset'], [said, 'done']])
  const trim = disk.inputs[3]!
  assert.ok(trim.kind === 'trim' && trim.through === disk.last)
  assert.deepEqual(trim.keep, disk.log.log.shard.liveEntries())
  const { hardState, snapshot, first, last } = disk.revived[0]!
  assert.deepEqual([hardState!.term, hardState!.vote, hardState!.self, first, last], [TERM, undefined, 2 ** 20, BASE + 1, BASE])
  const { voters, epoch, nextReplica, outgoing, learners } = decodeConfiguration(snapshot!.configuration)
  assert.deepEqual([voters, epoch, nextReplica, outgoing, learners], [[{ replica: 2 ** 20, node: SELF }], TERM, 2 ** 20 + 1, undefined, []])
  const books = booksIn(snapshot)
  assert.deepEqual([books.appliedIndex, books.waiting(P, []), books.hasSession(disk.log.session as never)], [BASE, 3, true])
})

test('a crash before the snapshot is whole finds the old copy and begins anew; behind it nothing is left to do', () => {
  const disk = new Disk()
  disk.start()
  const [written] = disk.inputs
  assert.ok(written?.kind === 'hardState')
  disk.found = { ...disk.found, hardState: written.state, snapshot: birthSnapshot() }
  disk.inputs.length = 0
  const again = disk.start()
  assert.deepEqual(disk.kinds, ['hardState', 'snapshot', 'piece'])
  again.durable(NOW, 2)
  disk.found = disk.revived[0]!
  disk.inputs.length = 0
  disk.outcomes.length = 0
  disk.start()
  assert.deepEqual([disk.kinds, disk.outcomes], [[], ['done']])
  assert.equal(disk.revived[0], disk.found)
})

test('a copy that was filled entry by entry has no snapshot, and is recovered from its first entry on', () => {
  const disk = new Disk()
  disk.found = { ...disk.found, snapshot: undefined }
  disk.start().durable(NOW, 2)
  assert.equal(booksIn(disk.revived[0]!.snapshot).waiting(P, []), 3)
})

test('what is not in memory is read first; what cannot be read, and a damaged copy, is not recovered', () => {
  const disk = new Disk()
  disk.reads = false
  const revival = disk.start()
  assert.deepEqual(disk.kinds, ['fetch'])
  disk.reads = true
  revival.loaded(NOW)
  assert.deepEqual(disk.kinds, ['fetch', 'hardState', 'snapshot', 'piece'])
  const rotten = new Disk()
  rotten.reads = false
  rotten.start().unreadable(NOW, 2 as LogIndex)
  assert.match(rotten.outcomes[0]!, /entry 2 cannot be read.*backup/)
  const damaged = new Disk()
  damaged.found = { ...damaged.found, suspect: true }
  damaged.start()
  assert.match(damaged.outcomes[0]!, /damaged/)
  assert.deepEqual([...rotten.kinds, ...damaged.kinds], ['fetch'])
})
