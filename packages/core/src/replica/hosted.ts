//! One copy of a shard on this node: its master, the state machine that the log is applied to, and the way from one to the
//! other and to the journal.
//!
//!   messages ──▶ Master ──append, hardState──▶ Journal ──durable──▶ Master ──committed──▶ entries ──▶ Machine
//!                   └──send──▶ other masters                     every so many entries: Machine.snapshot ──▶ Journal
//!
//! What the master says is carried out at once where it ends outside, and kept until the master has returned where it
//! would lead back into it.

import type { Now } from '../actor.ts'
import { assert } from '../assert.ts'
import { imageOf, walked } from '../message/image.ts'
import type { InstalledSnapshot, LogRecord, MasterOutbox, RestWish, RoleView } from '../master/boundary.ts'
import type { Master } from '../master/master.ts'
import { type Configuration, configuration as configurationRow, entryTimes, logTable, stampEntry } from '../message/command.ts'
import type { ConsensusMessage } from '../message/consensus.ts'
import type { Rest } from '../message/pulse.ts'
import type { RepairMessage } from '../message/repair.ts'
import type { JournalInput } from '../journal/journal.ts'
import type { RecoveredShard } from '../journal/rebuild.ts'
import type { Epoch, Instant, LogIndex, NodeId, ReplicaNumber, ShardId, Term } from '../units.ts'
import { Images } from './images.ts'
import type { Machine } from './machine.ts'
import { Repair, type RepairHost } from './repair.ts'
import { SNAPSHOT_STEP, Snapshots } from './snapshots.ts'
import { Tickets } from './tickets.ts'

/** Applied in one go; what is left is applied in the next turn, so that a long log does not hold the loop: ten thousand adds are ten milliseconds. */
const APPLY_ENTRIES_MAX = 2048
const APPLY_BYTES_MAX = 1024 * 1024
/** What is written of a snapshot without looking at how much log it is for. */
const SMALL_IMAGE_BYTES = 1024 * 1024
/** A snapshot for another master is put together a step at a time. */
/** An entry that could not be read is tried again after so long. */
const READ_AGAIN_MS = 100

export interface HostedOptions {
  readonly shard: ShardId
  readonly snapshotEntries: number
  /** Bytes of applied entries between two snapshots. */
  readonly snapshotBytes: number
  /** How much of a snapshot is written or read in one step, in small things done. */
  readonly snapshotStep?: number
}

/** What the node does for a hosted shard. */
export interface HostedOutbox {
  /** It wants a turn; said once for each turn. */
  stirred(hosted: Hosted): void
  /** It may want to be woken at another time than it said last. */
  moved(hosted: Hosted): void
  /** Rises over all copies that this node ever held, so that what an earlier copy wrote is never taken for this one's. */
  nextTicket(): number
  send(to: NodeId, message: ConsensusMessage | RepairMessage): void
  journal(now: Now, input: JournalInput): void
  entry(shard: ShardId, index: LogIndex): Uint8Array | undefined
  entries(shard: ShardId, from: LogIndex, to: LogIndex, maxBytes: number): readonly LogRecord[] | undefined
  role(hosted: Hosted, view: RoleView): void
  configured(hosted: Hosted, configuration: Configuration, committed: boolean): void
  proposed(hosted: Hosted, index: LogIndex, entry: Uint8Array): void
  /** This copy leads, and has counted a quorum for everything up to `index`. */
  committed(hosted: Hosted, index: LogIndex): void
  /** This copy leads and wishes that the shard rests; without a wish it is at rest no more. */
  rest(hosted: Hosted, wish: RestWish | undefined): void
  applied(hosted: Hosted, record: LogRecord): void
  restored(hosted: Hosted): void
  /** The copy is not what it acknowledged: it has to be replaced. */
  doubted(hosted: Hosted): void
  /** An entry that this copy must pass on can be had from no disk: the node is to end, and to find out at its next start what is lost. */
  unreadable(hosted: Hosted, index: LogIndex): void
  /** The copy is out of its shard's configuration: its data may go. */
  removed(hosted: Hosted): void
  log(text: string): void
}

export class Hosted {
  readonly shard: ShardId
  readonly #options: HostedOptions
  readonly #out: HostedOutbox
  readonly machine: Machine
  readonly #tickets: Tickets
  #master: Master | undefined
  #now: Now = { monotonic: 0 as Instant, wall: 0 as never }
  /** Something has come since the last turn: a copy that nobody speaks to costs its node nothing. */
  #stirred = true
  /** When it next wants to be woken, as long as nothing stirs it. */
  #wakeAt: number | undefined
  #applied = 0 as LogIndex
  #appliedTerm = 0 as Term
  #appliedBytes = 0
  /** The newest configuration entry that was applied. */
  #configuration: Uint8Array
  /** The entry that was applied last, or what bears its stamps. */
  #stamped: Uint8Array
  #committed = 0 as LogIndex
  #snapshotIndex = 0 as LogIndex
  /** The lowest entry that no trim has named. */
  #trimmed = 1 as LogIndex
  readonly #snapshots: Snapshots
  #roles: RoleView[] = []
  #reads: { readonly id: number; readonly index: LogIndex }[] = []
  #refused: number[] = []
  readonly #images: Images
  #onRead = new Map<number, (ok: boolean) => void>()
  #nextRead = 1
  #waitsForEntry = false
  /** Not before this is an entry that could not be read wanted again. */
  #readAgainAt = -Infinity
  /** Payloads that nobody could give: a snapshot for a peer goes without them. At most as many as there are live ones. */
  readonly #missing = new Set<LogIndex>()
  readonly #repair: Repair
  /** The term in which the lead was given away because an entry could not be read. */
  #handedOver: Term | undefined

  constructor(options: HostedOptions, machine: Machine, recovered: RecoveredShard, out: HostedOutbox) {
    this.shard = options.shard
    this.#options = options
    this.machine = machine
    this.#out = out
    this.#tickets = new Tickets(() => out.nextTicket())
    this.#configuration = recovered.snapshot?.configuration ?? NO_CONFIGURATION
    this.#stamped = this.#configuration
    this.#repair = new Repair(this.#repairHost)
    this.#snapshots = this.#makeSnapshots()
    this.#images = new Images({
      machine,
      payload: (now, index) => this.#payload(now, index),
      isAskedFor: (index) => this.#repair.wants(index),
      opened: (now, peer, source) => this.master.receive(now, { kind: 'snapshotOpened', peer, source }, this.#masterOutbox),
    }, options.snapshotStep ?? SNAPSHOT_STEP)
    if (recovered.snapshot === undefined) return
    // Nobody waits for a node that starts: all of it at once.
    walked(machine.restoring(recovered.snapshot.pieces.splice(0)), Infinity)
    this.#applied = recovered.snapshot.index
    this.#appliedTerm = recovered.snapshot.term
    this.#snapshotIndex = recovered.snapshot.index
    this.#trimmed = (recovered.snapshot.index + 1) as LogIndex
    this.#committed = recovered.snapshot.index
    out.restored(this)
  }

  /** The master is made by whoever knows its settings; its effects come here. */
  start(now: Now, make: () => Master): void {
    this.#now = now
    this.#master = make()
    if (this.#master.isSuspect) this.#out.doubted(this)
    if (this.#master.configurationCommitted.voters.length > 0) this.#out.configured(this, this.#master.configurationCommitted, true)
    if (this.#snapshotIndex > 0) this.#snapshots.keep(this.#snapshotIndex)
    this.#settle()
  }

  /** The shard is born with this copy; `done` when that is durable. */
  born(now: Now, self: ReplicaNumber, configuration: Uint8Array, done: () => void): void {
    this.#configuration = configuration
    this.#writeFirst(now, self)
    this.#out.journal(now, { kind: 'snapshot', shard: this.shard, index: 0 as LogIndex, term: 0 as Term, configuration })
    this.#out.journal(now, { kind: 'piece', shard: this.shard, ticket: this.#tickets.issue({ kind: 'born', done }), bytes: imageOf(this.machine.freeze()), last: true })
  }

  /** An empty copy that a leader will fill. */
  adopted(now: Now, self: ReplicaNumber): void {
    this.#writeFirst(now, self)
  }

  #writeFirst(now: Now, self: ReplicaNumber): void {
    const state = { term: 0 as Term, vote: undefined, self, epoch: 0 as Epoch, commit: 0 as LogIndex, extra: new Uint8Array(0) }
    this.#out.journal(now, { kind: 'hardState', shard: this.shard, ticket: this.#tickets.issue({ kind: 'written' }), state })
  }

  get master(): Master {
    assert(this.#master !== undefined, 'a hosted shard is started before it is used')
    return this.#master
  }

  /** What clients say is for this copy: it leads and takes what they say, or it is about to. */
  get isForClients(): boolean {
    const { role, heir, isSucceeding } = this.master
    return isSucceeding || (role === 'leader' && heir === undefined)
  }

  get started(): boolean {
    return this.#master !== undefined
  }

  get applied(): LogIndex {
    return this.#applied
  }

  get appliedTerm(): Term {
    return this.#appliedTerm
  }

  // ---- inputs ----------------------------------------------------------------------------------------------------

  message(now: Now, from: NodeId, message: ConsensusMessage): void {
    this.#enter(now)
    this.master.receive(now, { kind: 'message', from, message }, this.#masterOutbox)
    this.#settle()
  }

  durable(now: Now, ticket: number): void {
    this.#enter(now)
    for (const mark of this.#tickets.durable(ticket)) {
      if (mark.kind === 'master') this.master.receive(now, { kind: 'durable', ticket: mark.ticket }, this.#masterOutbox)
      else if (mark.kind === 'installed') {
        // Payloads of before the snapshot are nobody's any more.
        this.#snapshots.keep(mark.index as LogIndex)
        this.master.receive(now, { kind: 'installed', index: mark.index as LogIndex }, this.#masterOutbox)
      }
      else if (mark.kind === 'born') mark.done()
      else if (mark.kind === 'piece') this.#snapshots.pieceWritten()
      else if (mark.kind === 'snapshot') {
        this.#snapshots.finished()
        // One that a leader's has overtaken says nothing any more.
        if (mark.index < this.#snapshotIndex) continue
        this.#snapshotIndex = mark.index as LogIndex
        this.master.receive(now, { kind: 'snapshotted', index: mark.index as LogIndex, term: mark.term as Term, all: mark.all }, this.#masterOutbox)
      }
    }
    this.#settle()
  }

  loaded(now: Now): void {
    this.#enter(now)
    this.#repair.loaded()
    this.#waitsForEntry = false
    this.master.receive(now, { kind: 'loaded' }, this.#masterOutbox)
    this.#settle()
    this.#images.loaded(now)
    this.#settle()
  }

  unreadable(now: Now, index: LogIndex): void {
    this.#enter(now)
    this.master.receive(now, { kind: 'unreadable', index }, this.#masterOutbox)
    this.#waitsForEntry = false
    this.#readAgainAt = now.monotonic + READ_AGAIN_MS
    this.#repair.unreadable(index)
    const isApplied = index <= this.#applied
    // One that has gone while it was read is missed by nobody.
    if (isApplied && !this.machine.needs(index)) this.#goWithout(index)
    else if (!this.#mend(now, index)) this.#cannotRead(now, index)
    this.#settle()
  }

  /** A disk that has lost an entry; the others have it on theirs. */
  #mend(now: Now, index: LogIndex): boolean {
    const isNew = !this.#repair.wants(index)
    if (!this.#repair.want(now, index)) return false
    if (isNew) this.#out.log(`shard ${this.shard}: entry ${index} cannot be read, and is fetched from another master`)
    return true
  }

  #cannotRead(now: Now, index: LogIndex): void {
    if (index <= this.#applied) return this.#goWithout(index)
    // The others have it on their own disks. Once a term: a hand-over that leads nowhere must not keep this one from leading.
    if (this.master.role !== 'leader' || this.#handedOver === this.master.term) return
    this.#handedOver = this.master.term
    this.master.receive(now, { kind: 'transfer', to: undefined }, this.#masterOutbox)
  }

  /**
   * No other master has given it. One that is not committed may be on this disk alone, and then nobody else can lead either: the disk is
   * asked once more, and after that the copy is as good as lost.
   */
  #givenUp(now: Now, index: LogIndex): void {
    if (index <= this.#committed || this.master.role !== 'leader') return this.#cannotRead(now, index)
    if (this.#handedOver === this.master.term) return this.#out.unreadable(this, index)
    this.#cannotRead(now, index)
    this.master.receive(now, { kind: 'readable', index }, this.#masterOutbox)
  }

  #goWithout(index: LogIndex): void {
    if (this.machine.needs(index)) this.#missing.add(index)
    this.machine.unreadable(index)
  }

  /** Whether the entry is on its way from another master: it need not be read again before. */
  isMending(index: LogIndex): boolean {
    return this.#repair.wants(index)
  }

  /** What another master says of entries that a disk cannot give. */
  repair(now: Now, from: NodeId, message: RepairMessage): void {
    this.#enter(now)
    this.#repair.receive(from, message)
    this.#settle()
  }

  get #repairHost(): RepairHost {
    const hosted = this
    return {
      shard: this.shard,
      get self() {
        return hosted.master.self
      },
      get others() {
        const { voters, outgoing } = hosted.master.configuration
        return [...voters, ...(outgoing ?? [])].filter(({ node }) => node !== hosted.master.self.node)
      },
      get committed() {
        // After a start the master knows it from the hard state, long before anything is applied.
        return Math.max(hosted.#committed, hosted.master.commitIndex) as LogIndex
      },
      send: (to, message) => this.#out.send(to, message),
      entry: (index) => this.#out.entry(this.shard, index),
      termOf: (index) => this.master.termAt(index) ?? (0 as Term),
      fetch: (index) => this.#out.journal(this.#now, { kind: 'fetch', shard: this.shard, from: index, to: index, maxBytes: 1 }),
      mended: (index, term, bytes) => this.#mended(index, term, bytes),
      givenUp: (index) => this.#givenUp(this.#now, index),
    }
  }

  #mended(index: LogIndex, term: Term, bytes: Uint8Array): void {
    if (index <= this.#applied && !this.machine.needs(index)) return
    const entry = { index, term, bytes: bytes.slice() }
    // What is not committed may be another tomorrow, and must then not be found under this index.
    if (index > this.#committed) this.#out.journal(this.#now, { kind: 'recall', shard: this.shard, entry })
    else this.#out.journal(this.#now, { kind: 'payloads', shard: this.shard, ticket: this.#tickets.issue({ kind: 'written' }), entries: [entry] })
    this.#missing.delete(index)
    this.#readAgainAt = -Infinity
    this.master.receive(this.#now, { kind: 'readable', index }, this.#masterOutbox)
  }

  linkDown(now: Now, node: NodeId): void {
    if (!this.master.concerns(node)) return
    this.#enter(now)
    this.master.receive(now, { kind: 'linkDown', node }, this.#masterOutbox)
    this.#settle()
  }

  turn(now: Now): void {
    if (!this.#stirred) return
    this.#enter(now)
    this.#stirred = false
    this.machine.turn(now)
    this.master.receive(now, { kind: 'turn' }, this.#masterOutbox)
    this.#settle()
    this.#maybeSnapshot()
    if (this.#snapshots.stepAt <= now.monotonic) {
      this.#snapshots.step(now.monotonic)
      this.#settle()
    }
    if (this.#images.stepAt <= now.monotonic) {
      this.#images.step(now)
      this.#settle()
    }
  }

  wake(now: Now): void {
    if (this.wakeAt(now) > now.monotonic) return
    this.#enter(now)
    if (this.master.wakeAt <= now.monotonic) this.master.wake(now, this.#masterOutbox)
    if (this.#repair.wakeAt <= now.monotonic) this.#repair.wake(now)
    this.machine.wake(now)
    this.#settle()
  }

  wakeAt(now: Now): number {
    return (this.#wakeAt ??= this.#nextWake(now))
  }

  #nextWake(now: Now): number {
    const behind = this.#applied < this.#committed && !this.#waitsForEntry
    if (behind && now.monotonic >= this.#readAgainAt) return now.monotonic
    const at = Math.min(this.master.wakeAt, this.#repair.wakeAt, this.#snapshots.stepAt, this.#images.stepAt, behind ? this.#readAgainAt : Infinity)
    return this.master.role === 'leader' ? Math.min(at, this.machine.wakeAt(now)) : at
  }

  /** Something that the machine goes by has changed without an input to its master. */
  stir(): void {
    if (!this.#stirred) {
      this.#stirred = true
      this.#out.stirred(this)
    }
    if (this.#wakeAt === undefined) return
    this.#wakeAt = undefined
    this.#out.moved(this)
  }

  #enter(now: Now): void {
    this.#now = now
    this.#images.stir(now)
    this.stir()
  }

  /** A leader on that node wants the shard to rest: whether this copy agrees. */
  followAtRest(now: Now, node: NodeId, { from, to, term, index }: Rest): boolean {
    this.#enter(now)
    return to === this.master.self.replica && this.master.followAtRest({ replica: from, node }, term, index)
  }

  /** Appends an entry of this node's own making; returns its index. */
  propose(now: Now, entry: Uint8Array): LogIndex {
    this.#enter(now)
    this.master.receive(now, { kind: 'propose', entry }, this.#masterOutbox)
    const index = this.master.lastIndex
    this.#out.proposed(this, index, entry)
    return index
  }

  /** `done(true)` when everything that was committed before the call is applied; `done(false)` when this node cannot tell. */
  read(now: Now, done: (ok: boolean) => void): void {
    this.#enter(now)
    const id = this.#nextRead++
    this.#onRead.set(id, done)
    this.master.receive(now, { kind: 'read', id }, this.#masterOutbox)
    this.#settle()
  }

  input(now: Now, input: Parameters<Master['receive']>[1]): void {
    this.#enter(now)
    this.master.receive(now, input, this.#masterOutbox)
    this.#settle()
  }

  // ---- what the master says --------------------------------------------------------------------------------------

  readonly #masterOutbox: MasterOutbox = {
    send: (to, message) => this.#out.send(to, message),
    append: (ticket, entries) => this.#out.journal(this.#now, { kind: 'append', shard: this.shard, ticket: this.#tickets.issue({ kind: 'master', ticket }), entries }),
    hardState: (ticket, state) => this.#out.journal(this.#now, { kind: 'hardState', shard: this.shard, ticket: this.#tickets.issue({ kind: 'master', ticket }), state }),
    fetch: (from, to, maxBytes) => this.#out.journal(this.#now, { kind: 'fetch', shard: this.shard, from, to, maxBytes }),
    trim: (through) => {
      this.#snapshots.trim(this.#trimmed, through)
      this.#trimmed = (through + 1) as LogIndex
    },
    committed: (index) => {
      if (this.#master?.role === 'leader') this.#out.committed(this, index)
      if (index > this.#committed) this.#committed = index
    },
    readable: (id, index) => this.#reads.push({ id, index }),
    readRefused: (id) => this.#refused.push(id),
    role: (view) => this.#roles.push(view),
    configured: (configuration, committed) => this.#out.configured(this, configuration, committed),
    openSnapshot: (peer) => this.#images.open(this.#now, peer, { index: this.#applied, term: this.#appliedTerm, configuration: this.#stampedConfiguration() }),
    install: (snapshot) => this.#snapshots.install(snapshot),
    removed: () => this.#out.removed(this),
    rest: (wish) => this.#out.rest(this, wish),
    log: (text) => this.#out.log(`shard ${this.shard}: ${text}`),
  }

  #settle(): void {
    for (;;) {
      // Before anything is applied: a lead that was just lost waits for entries of its own, and at their places others' may be committed now.
      const roles = this.#roles
      this.#roles = []
      for (const view of roles) {
        this.machine.lead(view.role === 'leader')
        if (view.role !== 'leader') this.#images.drop()
        this.#out.role(this, view)
      }
      this.#apply()
      this.#answerReads()
      if (this.#roles.length === 0) return
    }
  }

  // ---- the log into the books ------------------------------------------------------------------------------------

  #apply(): void {
    let bytes = 0
    let count = 0
    while (this.#applied < this.#committed && count < APPLY_ENTRIES_MAX && bytes < APPLY_BYTES_MAX) {
      const from = (this.#applied + 1) as LogIndex
      const records = this.#out.entries(this.shard, from, this.#committed, 1024 * 1024)
      if (records === undefined) {
        if (this.#waitsForEntry || this.#now.monotonic < this.#readAgainAt) return
        this.#out.journal(this.#now, { kind: 'fetch', shard: this.shard, from, to: this.#committed, maxBytes: 1024 * 1024 })
        this.#waitsForEntry = true
        return
      }
      for (const record of records) {
        this.#applyOne(record)
        bytes += record.bytes.length
        count++
      }
    }
  }

  #applyOne(record: LogRecord): void {
    assert(record.index === this.#applied + 1, 'entries are applied one after the other')
    this.#stamped = record.bytes
    if (record.bytes[0] === configurationRow.tag) this.#configuration = record.bytes
    this.machine.apply(record.index, record.bytes)
    this.#applied = record.index
    this.#appliedTerm = record.term
    this.#appliedBytes += record.bytes.length
    this.#out.applied(this, record)
  }

  #answerReads(): void {
    for (const id of this.#refused.splice(0)) this.#finishRead(id, false)
    if (this.#reads.length === 0) return
    const waiting = this.#reads
    this.#reads = []
    for (const read of waiting) {
      if (read.index <= this.#applied) this.#finishRead(read.id, true)
      else this.#reads.push(read)
    }
  }

  #finishRead(id: number, ok: boolean): void {
    const done = this.#onRead.get(id)
    this.#onRead.delete(id)
    done?.(ok)
  }

  // ---- snapshots -------------------------------------------------------------------------------------------------

  /** Not before the log since the last one is about as long as that was: else large books would be written again and again. */
  #maybeSnapshot(): void {
    const behind = this.#applied - this.#snapshotIndex
    if (this.#snapshots.isBusy || behind === 0 || this.#appliedBytes < this.#snapshots.imageBytes - SMALL_IMAGE_BYTES) return
    if (behind < this.#options.snapshotEntries && this.#appliedBytes < this.#options.snapshotBytes) return
    this.#snapshot(false)
  }

  /** The oldest segment is held by this shard alone or with few others: what it needs is written anew, so that the segment can go. */
  leaveOldest(now: Now): void {
    if (this.#snapshots.isBusy || this.#applied === 0) return
    this.#enter(now)
    this.#snapshot(true)
  }

  #snapshot(all: boolean): void {
    this.#appliedBytes = 0
    this.#snapshots.take(this.#applied, this.#appliedTerm, this.#stampedConfiguration(), all)
  }

  #makeSnapshots(): Snapshots {
    const { shard, machine } = this
    return new Snapshots({
      shard, machine,
      ticket: (mark) => this.#tickets.issue(mark),
      journal: (input) => this.#out.journal(this.#now, input),
      restored: (snapshot) => this.#installed(snapshot),
    }, this.#options.snapshotStep)
  }

  /** The configuration of a snapshot goes with the times of the last entry in it: a leader that starts from it goes on from there. */
  #stampedConfiguration(): Uint8Array {
    const configuration = this.#configuration.slice()
    const { leaseNow, wallNow } = entryTimes(this.#stamped)
    stampEntry(configuration, leaseNow, wallNow)
    return configuration
  }

  #installed({ index, term, configuration }: InstalledSnapshot): void {
    this.#applied = index
    this.#appliedTerm = term
    this.#committed = index
    this.#snapshotIndex = index
    this.#trimmed = (index + 1) as LogIndex
    this.#appliedBytes = 0
    this.#missing.clear()
    this.#repair.clear()
    this.#stamped = configuration
    this.#configuration = configuration
    this.#out.restored(this)
  }

  #payload(now: Now, index: LogIndex): Uint8Array | undefined | null {
    const bytes = this.#out.entry(this.shard, index)
    if (bytes !== undefined) return bytes
    if (this.#missing.has(index) || !this.machine.needs(index)) return null
    if (!this.#repair.wants(index)) this.#out.journal(now, { kind: 'fetch', shard: this.shard, from: index, to: index, maxBytes: 1 })
    return undefined
  }
}

const NO_CONFIGURATION = logTable.encode({ kind: 'configuration', leaseNow: 0 as never, wallNow: 0 as never, epoch: 0 as never, nextReplica: 0 as never, voters: [], outgoing: undefined, learners: [] })
