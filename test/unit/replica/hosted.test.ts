import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Now } from '@horus/core/actor'
import { smallImage } from '@horus/core/message/image'
import type { LogRecord } from '@horus/core/master/boundary'
import { birthConfiguration, encodeConfiguration } from '@horus/core/master/configuration'
import { Master } from '@horus/core/master/master'
import { defaultMasterSettings as settings } from '@horus/core/master/settings'
import type { ConsensusMessage } from '@horus/core/message/consensus'
import type { RepairMessage } from '@horus/core/message/repair'
import { Random } from '@horus/core/random'
import { Hosted, type HostedOutbox } from '@horus/core/replica/hosted'
import type { Machine } from '@horus/core/replica/machine'
import type { Instant, LogIndex, NodeId, ReplicaNumber, ShardId, Term, WallTime } from '@horus/core/units'
import { entryOf, nodeOf } from '../master/cluster.ts'

const shard = 7 as ShardId

/** One of three copies, its disk instant, what its machine hears in a list. */
class Stand {
  monotonic = 0
  readonly heard: string[] = []
  readonly sent: (ConsensusMessage | RepairMessage)[] = []
  /** Fetches of entries, and whether the disk reads any. */
  fetches = 0
  reads = true
  readonly hosted: Hosted
  /** Entries that were written anew. */
  readonly written: LogRecord[] = []
  /** Entries that were put into memory only. */
  readonly recalled: number[] = []
  readonly #log: LogRecord[] = []
  #ticket = 0
  #durable = 0

  constructor() {
    const machine: Machine = {
      needs: () => true, isIdle: true,
      apply: (index) => this.heard.push(`applied ${index}`),
      lead: (leads) => this.heard.push(leads ? 'leads' : 'follows'),
      freeze: () => smallImage(new Uint8Array(1)),
      *restoring() {},
      digest: () => '',
      livePayloads: () => [],
      nextPayload: () => Infinity,
      wake: () => {},
      turn: () => {},
      wakeAt: () => Infinity,
      unreadable: (index) => this.heard.push(`without ${index}`),
    }
    const out: HostedOutbox = {
      stirred: () => {},
      moved: () => {},
      nextTicket: () => ++this.#ticket,
      send: (_to, message) => this.sent.push(message),
      journal: (_now, input) => {
        if (input.kind === 'fetch') this.fetches++
        if (input.kind === 'recall') this.recalled.push(input.entry.index)
        if (input.kind === 'payloads') this.written.push(...input.entries)
        if (input.kind !== 'append') return
        for (const entry of input.entries) this.#log.splice(entry.index - 1, Infinity, entry)
      },
      entry: (_shard, index) => (this.reads ? this.#log[index - 1]?.bytes : undefined),
      entries: (_shard, from, to) => (this.reads ? this.#log.slice(from - 1, to) : undefined),
      role: () => {}, configured: () => {}, proposed: () => {}, committed: () => {}, applied: () => {}, restored: () => {}, doubted: () => {}, unreadable: (_hosted, index) => this.heard.push(`ends for ${index}`), rest: () => {}, removed: () => {}, log: () => {},
    }
    const birth = birthConfiguration([nodeOf(0), nodeOf(1), nodeOf(2)])
    const recovered = { shard, hardState: undefined, snapshot: undefined, first: 1 as LogIndex, last: 0 as LogIndex, terms: [], suspect: false }
    this.hosted = new Hosted({ shard, snapshotEntries: 1000, snapshotBytes: 1e9 }, machine, recovered, out)
    const self = { replica: 1 as ReplicaNumber, node: nodeOf(0) }
    const reader = { freeBytes: 1e9, reserveBytes: 0, entries: out.entries }
    this.hosted.start(this.now, () => new Master({ shard, self, settings, random: new Random(3), reader, now: this.now, birth }))
    this.hosted.born(this.now, self.replica, encodeConfiguration(birth), () => {})
  }

  get now(): Now {
    return { monotonic: this.monotonic as Instant, wall: (1_700_000_000_000 + this.monotonic) as WallTime }
  }

  flush(): void {
    while (this.#durable < this.#ticket) this.hosted.durable(this.now, (this.#durable = this.#ticket))
  }

  message(message: object): void {
    const head = { shard, from: 2, to: 1, wall: 0, freeBytes: 1, suspect: false, hintIndex: 0, hintTerm: 0, leader: undefined }
    this.hosted.message(this.now, nodeOf(1) as NodeId, { ...head, ...message } as unknown as ConsensusMessage)
  }

  pass(ms: number): void {
    this.monotonic += ms
    this.hosted.wake(this.now)
    this.flush()
  }

  /** A follower that has everything up to `match` answers the newest round, and a heartbeat passes. */
  hear(match: number): void {
    const { round } = this.sent.filter((message) => message.kind === 'append').at(-1)!
    this.message({ kind: 'appendAnswer', term: 1, round, accepted: true, match, reached: match })
    this.pass(100)
  }

  elect(): void {
    while (this.hosted.master.role !== 'candidate') {
      this.monotonic += 20
      this.hosted.wake(this.now)
    }
    this.message({ kind: 'preVoteAnswer', term: 0, asked: 1, granted: true })
    this.flush()
    this.message({ kind: 'voteAnswer', term: 1, granted: true })
    this.flush()
  }
}

test('an entry that could not be read is wanted again, or a passing error would stop a copy for good', () => {
  const stand = new Stand()
  stand.reads = false
  stand.message({ kind: 'append', term: 1, round: 1, prevIndex: 0, prevTerm: 0, commit: 1, entries: [{ term: 1, bytes: entryOf(7) }] })
  assert.equal(stand.fetches, 1)
  stand.hosted.unreadable(stand.now, 1 as LogIndex)
  assert.equal(stand.fetches, 1)
  assert.ok(stand.hosted.wakeAt(stand.now) > stand.monotonic)
  stand.monotonic = stand.hosted.wakeAt(stand.now)
  stand.hosted.wake(stand.now)
  assert.equal(stand.fetches, 2)
  stand.reads = true
  stand.hosted.loaded(stand.now)
  assert.deepEqual(stand.heard, ['follows', 'applied 1'])
})

test('an entry that cannot be read is fetched from the other masters, in turn, and applied', () => {
  const stand = new Stand()
  stand.reads = false
  stand.message({ kind: 'append', term: 1, round: 1, prevIndex: 0, prevTerm: 0, commit: 1, entries: [{ term: 1, bytes: entryOf(7) }] })
  stand.hosted.unreadable(stand.now, 1 as LogIndex)
  stand.pass(100)
  const asked = stand.sent.filter((message) => message.kind === 'entryWanted')
  assert.deepEqual(asked.map(({ to, index }) => [to, index]), [[3, 1], [2, 1]])
  assert.deepEqual(stand.written, [])
  const given = { kind: 'entryGiven', shard: stand.hosted.shard, from: 2 as ReplicaNumber, to: 1 as ReplicaNumber, index: 1 as LogIndex, entryTerm: 0 as Term, entry: entryOf(7) } as const
  stand.hosted.repair(stand.now, nodeOf(2), given)
  assert.deepEqual(stand.written, [], 'a number and a node that do not belong together are nobody')
  stand.hosted.repair(stand.now, nodeOf(1), given)
  assert.deepEqual(stand.written.map(({ index, term, bytes }) => [index, term, bytes]), [[1, 1, entryOf(7)]])
  stand.hosted.repair(stand.now, nodeOf(1), given)
  assert.equal(stand.written.length, 1, 'what nobody waits for any more is not written')
})

test('a master gives what is committed to those that ask, and nothing else to anybody else', () => {
  const stand = new Stand()
  stand.message({ kind: 'append', term: 1, round: 1, prevIndex: 0, prevTerm: 0, commit: 1, entries: [{ term: 1, bytes: entryOf(7) }, { term: 1, bytes: entryOf(8) }] })
  stand.hosted.turn(stand.now)
  const ask = (index: number, from: number, node: number, entryTerm = 0): void => stand.hosted.repair(stand.now, nodeOf(node), { kind: 'entryWanted', shard: stand.hosted.shard, from: from as ReplicaNumber, to: 1 as ReplicaNumber, index: index as LogIndex, entryTerm: entryTerm as Term })
  ask(2, 2, 1)
  ask(1, 2, 2)
  ask(1, 2, 1)
  const given = stand.sent.filter((message) => message.kind === 'entryGiven')
  assert.deepEqual(given.map(({ to, index, entryTerm, entry }) => [to, index, entryTerm, entry]), [[2, 1, 1, entryOf(7)]])
})

test('what is not committed is given to a copy that has an entry of the same term there, and to no other', () => {
  const stand = new Stand()
  stand.message({ kind: 'append', term: 2, round: 1, prevIndex: 0, prevTerm: 0, commit: 0, entries: [{ term: 2, bytes: entryOf(7) }] })
  stand.hosted.turn(stand.now)
  for (const entryTerm of [1, 2]) stand.hosted.repair(stand.now, nodeOf(1), { kind: 'entryWanted', shard: stand.hosted.shard, from: 2 as ReplicaNumber, to: 1 as ReplicaNumber, index: 1 as LogIndex, entryTerm: entryTerm as Term })
  const given = stand.sent.filter((message) => message.kind === 'entryGiven')
  assert.deepEqual(given.map(({ entryTerm, entry }) => [entryTerm, entry]), [[2, entryOf(7)]])
})

test('a leader asks for what it cannot read before it is committed, and takes only an entry of the same term', () => {
  const stand = new Stand()
  stand.reads = false
  stand.elect()
  stand.hosted.unreadable(stand.now, 1 as LogIndex)
  assert.deepEqual(stand.sent.filter((message) => message.kind === 'entryWanted').map(({ index, entryTerm }) => [index, entryTerm]), [[1, 1]])
  const give = (entryTerm: number): void => stand.hosted.repair(stand.now, nodeOf(1), { kind: 'entryGiven', shard: stand.hosted.shard, from: 2 as ReplicaNumber, to: 1 as ReplicaNumber, index: 1 as LogIndex, entryTerm: entryTerm as Term, entry: entryOf(7) })
  give(2)
  assert.deepEqual(stand.recalled, [])
  give(1)
  assert.deepEqual([stand.recalled, stand.written], [[1], []], 'it may be another tomorrow: it is not written as what is committed there')
})

test('a leader whose uncommitted entry nobody can give hands over, asks its disk again, and then wants its node to end', () => {
  const stand = new Stand()
  stand.reads = false
  stand.elect()
  stand.message({ kind: 'appendAnswer', term: 1, round: 1, accepted: false, match: 0, reached: 1 })
  stand.hosted.unreadable(stand.now, 1 as LogIndex)
  const fetches = stand.fetches
  for (let times = 0; times < 100 && stand.fetches === fetches; times++) stand.hear(0)
  assert.ok(stand.fetches > fetches)
  assert.equal(stand.heard.includes('ends for 1'), false)
  stand.hosted.unreadable(stand.now, 1 as LogIndex)
  for (let times = 0; times < 40; times++) stand.hear(0)
  assert.ok(stand.heard.includes('ends for 1'))
})

test('a leader that cannot get an entry anywhere hands over to one whose disk may', () => {
  const stand = new Stand()
  stand.reads = false
  stand.elect()
  stand.message({ kind: 'appendAnswer', term: 1, round: 1, accepted: true, match: 1, reached: 1 })
  stand.hosted.unreadable(stand.now, 1 as LogIndex)
  assert.equal(stand.sent.some((message) => message.kind === 'timeoutNow'), false)
  for (let times = 0; times < 40; times++) stand.hear(1)
  assert.ok(stand.sent.some((message) => message.kind === 'timeoutNow'))
})

test('a lead that is lost is over before an entry of the next leader is applied', () => {
  const stand = new Stand()
  stand.elect()
  assert.equal(stand.hosted.propose(stand.now, entryOf(1)), 2)
  stand.hosted.turn(stand.now)
  stand.heard.length = 0
  // The next leader's entries, committed already, stand where this copy waits for its own.
  stand.message({ kind: 'append', term: 2, round: 1, prevIndex: 0, prevTerm: 0, commit: 2, entries: [{ term: 2, bytes: entryOf(7) }, { term: 2, bytes: entryOf(8) }] })
  assert.deepEqual(stand.heard, ['follows', 'applied 1', 'applied 2'])
})
