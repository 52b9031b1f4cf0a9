//! A few masters of one shard over a network and disks that fail by a seed, with the checks that hold at every step.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import type { Now } from '@horus/core/actor'
import { Heap } from '@horus/core/heap'
import type { MasterInput, MasterOutbox, SnapshotSource } from '@horus/core/master/boundary'
import { birthConfiguration, encodeConfiguration } from '@horus/core/master/configuration'
import { Master } from '@horus/core/master/master'
import { defaultMasterSettings, type MasterSettings } from '@horus/core/master/settings'
import { snapshotHash } from '@horus/core/master/snapshot'
import { entryTimes, logTable } from '@horus/core/message/command'
import { type ConsensusMessage, consensusRows } from '@horus/core/message/consensus'
import { Table } from '@horus/core/message/layout'
import { Random } from '@horus/core/random'
import type { Epoch, Instant, LogIndex, NodeId, ReplicaNumber, ShardId, WallTime } from '@horus/core/units'
import { idOf as nodeOf } from '../names.ts'
import { ModelJournal } from './model.ts'

export { idOf as nodeOf } from '../names.ts'

export const table = new Table<(typeof consensusRows)[number]>(consensusRows)
export const shard = 7 as ShardId
const ITEM_BYTES = 64

/** An entry that carries a number, so that it can be told from all others. */
export function entryOf(id: number): Uint8Array {
  const body = new Uint8Array(8)
  new DataView(body.buffer).setFloat64(0, id)
  return logTable.encode({ kind: 'command', leaseNow: 0, wallNow: 0, shard, session: 0, sequence: 0, lowest: 0, stamp: 0, operation: 2, body } as never)
}

function idOf(entry: Uint8Array): number | undefined {
  return entry[0] === 0x40 ? new DataView(entry.buffer, entry.byteOffset + entry.length - 8).getFloat64(0) : undefined
}

export interface Faults {
  loss: number
  duplication: number
  delayMsMax: number
  flushMsMax: number
  /** After a message a host falls, and is back within 30 ms without what was not flushed. */
  fall: number
}

export const calm: Faults = { loss: 0, duplication: 0, delayMsMax: 1, flushMsMax: 1, fall: 0 }

export class Host {
  readonly node: NodeId
  master: Master | undefined
  journal = new ModelJournal()
  /** Ids of all applied entries, in order; 0 for those without. */
  applied: number[] = []
  committed = 0
  up = true
  boot = 0
  flushing = false
  turnDue = false
  wakeDue = Infinity
  /** Added to the cluster's wall time. */
  wallOffset = 0
  /** Proposals of this host while it led: index -> id. */
  proposed = new Map<number, number>()
  readonly logs: string[] = []

  constructor(node: NodeId) {
    this.node = node
  }
}

export class Cluster {
  now = 0
  readonly random: Random
  readonly hosts: Host[] = []
  readonly settings: MasterSettings
  faults: Faults = calm
  readonly blocked = new Set<string>()
  /** What is committed, by index; what leads, by term; what was acknowledged. */
  readonly committed = new Map<number, string>()
  readonly leaders = new Map<number, string>()
  readonly acknowledged = new Set<number>()
  highestCommitted = 0
  readonly reads = new Map<number, number>()
  readonly answered = new Map<number, number | 'refused'>()
  sent: { from: NodeId; to: NodeId; message: ConsensusMessage; at: number }[] | undefined
  #nextId = 1
  #nextRead = 1
  #events = new Heap()
  #actions = new Map<number, () => void>()
  #sequence = 0
  steps = 0

  constructor(seed: number, size: number, voters: number, settings: Partial<MasterSettings> = {}) {
    this.random = new Random(seed)
    this.settings = { ...defaultMasterSettings, ...settings }
    const birth = birthConfiguration(Array.from({ length: voters }, (_, i) => nodeOf(i)))
    for (let i = 0; i < size; i++) {
      const host = new Host(nodeOf(i))
      this.hosts.push(host)
      if (i >= voters) continue
      host.master = new Master({
        shard, self: { replica: (i + 1) as ReplicaNumber, node: host.node }, settings: this.settings, random: this.random.fork(), reader: host.journal, now: this.time(host), birth,
      })
      this.#settle(host)
    }
  }

  time(host: Host): Now {
    return { monotonic: this.now as Instant, wall: (1_700_000_000_000 + this.now + host.wallOffset) as WallTime }
  }

  at(delay: number, action: () => void): void {
    const id = ++this.#sequence
    this.#actions.set(id, action)
    this.#events.push(this.now + delay, id)
  }

  run(ms: number): void {
    const until = this.now + ms
    while (this.#events.peekKey <= until) {
      this.now = Math.max(this.now, this.#events.peekKey)
      const id = this.#events.pop()
      const action = this.#actions.get(id)!
      this.#actions.delete(id)
      this.steps++
      action()
    }
    this.now = until
  }

  /** Runs until the condition holds; fails after `ms`. */
  until(what: string, ms: number, condition: () => boolean): void {
    const end = this.now + ms
    while (!condition()) {
      assert.ok(this.now < end, `${what} within ${ms} ms`)
      this.run(5)
    }
  }

  get leader(): Host | undefined {
    let best: Host | undefined
    for (const host of this.hosts) if (host.up && host.master?.role === 'leader' && (!best || host.master.term > best.master!.term)) best = host
    return best
  }

  input(host: Host, input: MasterInput): void {
    const { master } = host
    if (!host.up || master === undefined) return
    this.#call(host, (out) => master.receive(this.time(host), input, out))
  }

  propose(host = this.leader): number | undefined {
    if (host?.master?.proposable !== 'yes' || !host.up) return undefined
    const id = this.#nextId++
    this.input(host, { kind: 'propose', entry: entryOf(id) })
    host.proposed.set(host.master.lastIndex, id)
    this.#turn(host)
    return id
  }

  read(host: Host): number {
    const id = this.#nextRead++
    this.reads.set(id, this.highestCommitted)
    this.input(host, { kind: 'read', id })
    this.#turn(host)
    return id
  }

  crash(host: Host): void {
    host.up = false
    host.boot++
    host.journal.crash(this.random.below(host.journal.pending + 1))
    host.master = host.master && ({ self: host.master.self } as Master)
    for (const other of this.hosts) if (other !== host) this.at(this.random.fraction() * 3, () => this.input(other, { kind: 'linkDown', node: host.node }))
  }

  restart(host: Host, suspect = false): void {
    const self = host.master?.self
    const recovered = host.journal.recovered(suspect)
    host.up = true
    host.flushing = host.turnDue = false
    host.wakeDue = Infinity
    host.proposed.clear()
    host.applied = host.journal.snapshot ? unpack(host.journal.snapshot.image) : []
    host.committed = host.journal.snapshot?.index ?? 0
    if (self === undefined) return
    const birth = self.replica <= 3 && recovered.hardState === undefined ? birthConfiguration(this.hosts.slice(0, 3).map((each) => each.node)) : undefined
    host.master = new Master({ shard, self, settings: this.settings, random: this.random.fork(), reader: host.journal, now: this.time(host), recovered, birth })
    this.#advance(host, host.master.commitIndex)
    this.#settle(host)
  }

  snapshot(host: Host): void {
    const { master } = host
    if (!host.up || master === undefined || host.committed === 0) return
    const index = host.committed
    const term = master.termAt(index as LogIndex)
    if (term === undefined || index <= (host.journal.snapshot?.index ?? 0)) return
    host.journal.do({ kind: 'snapshot', index, term, configuration: encodeConfiguration(master.configurationCommitted), image: pack(host.applied), reset: false }, { kind: 'snapshotted', index, term })
    this.#flush(host)
  }

  partition(group: readonly Host[]): void {
    for (const a of this.hosts) for (const b of this.hosts) if (group.includes(a) !== group.includes(b)) this.blocked.add(a.node + b.node)
  }

  heal(): void {
    this.blocked.clear()
    this.faults = calm
    for (const host of this.hosts) if (!host.up) this.restart(host)
  }

  #call(host: Host, action: (out: MasterOutbox) => void): void {
    const effects: (() => void)[] = []
    action(this.#outbox(host, effects))
    for (const effect of effects) effect()
    this.#settle(host)
  }

  #settle(host: Host): void {
    const at = host.master?.wakeAt ?? Infinity
    if (host.up && at < host.wakeDue) {
      host.wakeDue = at
      const boot = host.boot
      this.at(Math.max(0, at - this.now), () => {
        if (host.boot !== boot || host.wakeDue !== at) return
        host.wakeDue = Infinity
        const { master } = host
        if (master && this.now >= master.wakeAt) this.#call(host, (out) => master.wake(this.time(host), out))
        else this.#settle(host)
      })
    }
    this.#flush(host)
  }

  #turn(host: Host): void {
    if (host.turnDue) return
    host.turnDue = true
    const boot = host.boot
    this.at(this.random.fraction(), () => {
      if (host.boot !== boot) return
      host.turnDue = false
      this.input(host, { kind: 'turn' })
    })
  }

  #flush(host: Host): void {
    if (host.flushing || !host.up || host.journal.pending === 0) return
    host.flushing = true
    const boot = host.boot
    const count = host.journal.pending
    this.at(0.1 + this.random.fraction() * this.faults.flushMsMax, () => {
      if (host.boot !== boot) return
      host.flushing = false
      const marks = host.journal.flush(count)
      let ticket = 0
      for (const mark of marks) {
        if (mark.kind === 'master') ticket = mark.ticket
        else if (mark.kind === 'snapshotted') this.input(host, { kind: 'snapshotted', index: mark.index as LogIndex, term: mark.term as never, all: false })
        else this.#installed(host, mark.index)
      }
      if (ticket > 0) this.input(host, { kind: 'durable', ticket })
      this.#flush(host)
    })
  }

  #installed(host: Host, index: number): void {
    const image = host.journal.snapshot!.image
    host.applied = unpack(image)
    host.committed = index
    this.input(host, { kind: 'installed', index: index as LogIndex })
  }

  #fall(host: Host, probability: number): void {
    if (probability === 0 || !host.up || !this.random.chance(probability)) return
    this.crash(host)
    this.at(this.random.fraction() * this.random.pick([1, 30]), () => !host.up && this.restart(host))
  }

  #send(from: Host, to: NodeId, message: ConsensusMessage): void {
    // Votes are rare, and the worst moment to fall.
    if (message.kind === 'voteAnswer' && message.granted) this.at(this.random.fraction() * 2, () => this.#fall(from, 20 * this.faults.fall))
    this.sent?.push({ from: from.node, to, message, at: this.now })
    const target = this.hosts.find((host) => host.node === to)!
    const bytes = table.encode(message)
    const times = this.random.chance(this.faults.duplication) ? 2 : 1
    for (let i = 0; i < times; i++) {
      if (this.blocked.has(from.node + to) || this.random.chance(this.faults.loss)) continue
      this.at(0.05 + this.random.fraction() * this.faults.delayMsMax, () => this.#deliver(from, target, bytes))
    }
  }

  #deliver(from: Host, to: Host, bytes: Uint8Array): void {
    if (!to.up || this.blocked.has(from.node + to.node)) return
    const message = table.decode(bytes)
    const hosted = to.master?.self.replica
    // A copy that counts as lost makes room for its successor; a node without one makes an empty one, but only for a leader.
    if (message.to !== hosted && (to.master === undefined || ((to.master.isSuspect || !to.master.isMember) && message.to > hosted!)) && (message.kind === 'append' || message.kind === 'snapshot')) {
      to.journal = new ModelJournal()
      to.applied = []
      to.committed = 0
      to.boot++
      to.flushing = to.turnDue = false
      to.wakeDue = Infinity
      to.master = new Master({ shard, self: { replica: message.to, node: to.node }, settings: this.settings, random: this.random.fork(), reader: to.journal, now: this.time(to) })
    }
    this.input(to, { kind: 'message', from: from.node, message })
    this.#turn(to)
    this.#fall(to, this.faults.fall)
  }

  #outbox(host: Host, effects: (() => void)[]): MasterOutbox {
    const { journal, boot } = host
    const queue = (effect: () => void): void => void effects.push(() => host.boot === boot && effect())
    return {
      send: (to, message) => queue(() => this.#send(host, to, message)),
      append: (ticket, entries) => queue(() => journal.do({ kind: 'append', entries }, { kind: 'master', ticket })),
      hardState: (ticket, state) => queue(() => journal.do({ kind: 'hardState', state }, { kind: 'master', ticket })),
      fetch: () => queue(() => this.at(2, () => {
        if (host.boot !== boot) return
        journal.coldBelow = 0
        this.input(host, { kind: 'loaded' })
        if (this.random.chance(0.5)) journal.coldBelow = Math.max(0, (host.master?.commitIndex ?? 0) - 5)
      })),
      trim: (through) => queue(() => journal.do({ kind: 'trim', through })),
      committed: (index) => queue(() => this.#advance(host, index)),
      readable: (id, index) => queue(() => {
        assert.ok(index >= this.reads.get(id)!, `a read saw ${index}, but ${this.reads.get(id)} was committed before it`)
        this.answered.set(id, index)
      }),
      readRefused: (id) => queue(() => void this.answered.set(id, 'refused')),
      role: (view) => {
        if (view.role === 'leader') {
          const before = this.leaders.get(view.term)
          assert.ok(before === undefined || before === host.node, `two leaders in term ${view.term}`)
          this.leaders.set(view.term, host.node)
        } else host.proposed.clear()
      },
      configured: () => {},
      rest: () => {},
      openSnapshot: (peer) => queue(() => this.at(1, () => {
        const snapshot = journal.snapshot
        if (host.boot === boot && snapshot) this.input(host, { kind: 'snapshotOpened', peer, source: sourceOf(snapshot) })
      })),
      install: (snapshot) => queue(() => journal.do({ kind: 'snapshot', ...snapshot, reset: true }, { kind: 'installed', index: snapshot.index })),
      removed: (epoch: Epoch) => queue(() => this.#removed(host, epoch)),
      log: (text) => void host.logs.push(text),
    }
  }

  #removed(host: Host, epoch: Epoch): void {
    const { replica } = host.master!.self
    const newest = this.leader?.master?.configuration
    if (newest && newest.epoch === epoch) assert.ok(![...newest.voters, ...(newest.outgoing ?? [])].some((member) => member.replica === replica), 'a master was removed that is one')
    host.master = undefined
    host.journal = new ModelJournal()
    host.applied = []
    host.committed = 0
    host.boot++
    host.wakeDue = Infinity
    host.flushing = host.turnDue = false
  }

  #advance(host: Host, index: LogIndex): void {
    const warm = host.journal.coldBelow
    host.journal.coldBelow = 0
    while (host.committed < index) {
      const at = (host.committed + 1) as LogIndex
      const record = host.journal.entries(shard, at, at, 1)![0]!
      const print = `${record.term}:${createHash('sha1').update(record.bytes).digest('hex')}`
      const before = this.committed.get(at)
      assert.ok(before === undefined || before === print, `entry ${at} is not the same on all masters`)
      this.committed.set(at, print)
      this.highestCommitted = Math.max(this.highestCommitted, at)
      assert.ok(entryTimes(record.bytes).leaseNow <= this.now + 1e-6, 'the lease clock ran ahead of real time')
      host.applied.push(idOf(record.bytes) ?? 0)
      host.committed = at
      const proposed = host.proposed.get(at)
      if (proposed !== undefined && host.master?.role === 'leader' && idOf(record.bytes) === proposed) this.acknowledged.add(proposed)
    }
    host.journal.coldBelow = warm
  }
}

function pack(applied: readonly number[]): Uint8Array {
  const image = new Uint8Array(Math.max(1, applied.length) * ITEM_BYTES)
  const view = new DataView(image.buffer)
  applied.forEach((id, i) => view.setFloat64(i * ITEM_BYTES, id))
  return image
}

function unpack(image: Uint8Array): number[] {
  const view = new DataView(image.buffer, image.byteOffset, image.length)
  return Array.from({ length: image.length / ITEM_BYTES }, (_, i) => view.getFloat64(i * ITEM_BYTES))
}

function sourceOf(snapshot: NonNullable<ModelJournal['snapshot']>): SnapshotSource {
  const { index, term, configuration, image } = snapshot
  return { index, term, configuration, totalBytes: image.length, hash: snapshotHash(image), chunk: (offset, maxBytes) => image.subarray(offset, offset + maxBytes) }
}
