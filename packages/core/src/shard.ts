//! The books of a job shard: applies one committed entry after another. It never reads a clock, draws a number or waits;
//! what an entry does depends on the entries before it alone, so every master's books are equal.
//!
//!   entry ──▶ apply ──▶ sessions: new, repeat or stale?
//!                  ├──▶ job/    what the jobs are and where they wait
//!                  ├──▶ lease/  who holds which until when
//!                  └──▶ effects: answers, deliveries, lost leases, payloads that nobody needs
//!
//! All masters apply, the leader carries the effects out. A body is read to its end before anything changes, so a
//! malformed command changes nothing but its session.

import { assert } from './assert.ts'
import { Hash } from './hash.ts'
import { readSegments } from './job/add.ts'
import { readBooks, writeBooks } from './job/image.ts'
import { LEASE_MS_DEFAULT } from './job/limits.ts'
import { PartitionBooks } from './job/partition.ts'
import { byLease, inOrder } from './job/taken.ts'
import { type JobFilter, type JobView, selectJobs, viewJob } from './job/view.ts'
import type { LeaseGroup } from './lease/group.ts'
import { type HeldLease, Leases } from './lease/leases.ts'
import { eachLease } from './lease/walk.ts'
import { type countsAnswer, JobState, LostReason } from './message/client.ts'
import {
  addAnswer, addBody, cancelAnswer, cancelBody, Code, type Command, extendAnswer, extendBody, leasedAnswer, leasedBody, type LogEntry, logTable,
  openAnswer, openBody, Operation,
} from './message/command.ts'
import { AddItemReader, ITEMS_MAX, type LeasedGroupsReader, readGroups } from './message/jobs.ts'
import { decode, encode, MalformedMessage, Reader, type ValueOf, Writer } from './message/layout.ts'
import { readCount, readPacked, writePacked } from './message/packed.ts'
import { type StoredAnswer, Sessions } from './session/sessions.ts'
import type { FencingToken, JobNumber, LeaseTime, LogIndex, PartitionId, SessionNumber, ShardId, WallTime } from './units.ts'

export interface LeasedBatch {
  readonly partition: PartitionId
  readonly session: SessionNumber
  readonly token: FencingToken
  readonly deadline: LeaseTime
  readonly leaseMs: number
  /** Job numbers in the order in which they are to start; not to be changed. */
  readonly jobs: Float64Array
}

export interface LeasedJob {
  readonly number: JobNumber
  readonly token: FencingToken
}

/** What applying an entry asks of the leader. Calls come within `apply`, in the same order on every master. */
export interface ShardEffects {
  /** The outcome of the command in entry `index`; the session of an `open` that failed is 0. */
  answer(index: LogIndex, session: SessionNumber, sequence: number, code: Code, body: Uint8Array): void
  leased(batch: LeasedBatch): void
  /** `reason` is a LostReason. */
  lostLease(partition: PartitionId, session: SessionNumber, reason: number, jobs: readonly LeasedJob[]): void
  /** No job needs a payload of this add entry any more. Comes exactly once for every entry with an add, also one that was refused or repeated. */
  payloadFree(entry: LogIndex): void
}

export interface PayloadPlace {
  readonly entryIndex: LogIndex
  /** Which item of the add. */
  readonly ordinal: number
}

export interface LeaseView extends PayloadPlace {
  readonly session: SessionNumber
  readonly token: FencingToken
  readonly deadline: LeaseTime
  readonly leaseMs: number
  readonly attempt: number
  readonly maxAttempts: number
}

export type JobCounts = ValueOf<typeof countsAnswer>

interface Partition {
  readonly books: PartitionBooks
  leases: Leases
}

export class Shard {
  readonly shard: ShardId
  #applied = 0
  #leaseNow = 0
  #wallNow = 0
  #results = new Hash()
  #sessions = new Sessions()
  /** By number, rising. */
  readonly #partitions: Partition[] = []
  readonly #byNumber = new Map<number, Partition>()
  /** The last add entry whose payloads are needed; only within one apply. */
  #keptEntry = 0

  constructor(shard: ShardId) {
    this.shard = shard
  }

  // ---- applying ----------------------------------------------------------------------------------------------------

  /** Applies a committed entry; indexes only rise. An entry that is no entry at all is passed over, everywhere alike. */
  apply(index: LogIndex, bytes: Uint8Array, effects: ShardEffects): void {
    assert(index > this.#applied, 'entries are applied in order')
    this.#applied = index
    this.#results.number(index)
    const entry = readEntry(bytes)
    if (entry === undefined) return
    this.#leaseNow = Math.max(this.#leaseNow, entry.leaseNow)
    this.#wallNow = Math.max(this.#wallNow, entry.wallNow)
    switch (entry.kind) {
      case 'command': return this.#command(index, entry, effects)
      case 'acquire': return this.#acquire(index, entry, effects)
      case 'tick': return this.#tick(Math.min(entry.expireThrough, this.#leaseNow), effects)
      case 'partitionOpen': return this.#openPartition(entry.partition, entry.topic, entry.settings)
      case 'noop':
      case 'configuration': return
      default: entry satisfies never
    }
  }

  #command(index: LogIndex, command: Command, effects: ShardEffects): void {
    const { sequence, operation } = command
    if (operation === Operation.open) return this.#open(index, command, effects)
    const outcome = this.#outcome(index, command, effects)
    this.#results.number(command.session).number(sequence).word(outcome.code).bytes(outcome.body)
    effects.answer(index, command.session, sequence, outcome.code, outcome.body)
    if (operation === Operation.add && this.#keptEntry !== index) this.#free(index, effects)
  }

  #outcome(index: LogIndex, command: Command, effects: ShardEffects): StoredAnswer {
    const session = this.#sessions.get(command.session)
    if (session === undefined) return refused(Code.sessionExpired)
    session.activeAt = this.#leaseNow
    const admission = session.admit(command.sequence, command.lowest)
    switch (admission.kind) {
      case 'repeat': return admission.answer
      case 'stale': return refused(Code.stale)
      case 'malformed': return refused(Code.malformed)
      case 'full': return refused(Code.backpressure)
      case 'new': {
        const outcome = this.#operate(index, command, effects)
        session.keep(command.sequence, outcome)
        return outcome
      }
      default: return admission satisfies never
    }
  }

  #operate(index: LogIndex, command: Command, effects: ShardEffects): StoredAnswer {
    try {
      switch (command.operation as Operation) {
        case Operation.add: return this.#add(index, command.body)
        case Operation.complete: return this.#complete(command.session, command.body, effects)
        case Operation.fail: return this.#fail(command.session, command.body)
        case Operation.extend: return this.#extend(command.session, command.body)
        case Operation.release: return this.#release(command.session, command.body)
        case Operation.cancel: return this.#cancel(command.body, effects)
        case Operation.close: return this.#close(command.session)
        default: return refused(Code.malformed)
      }
    } catch (error) {
      if (error instanceof MalformedMessage) return refused(Code.malformed)
      throw error
    }
  }

  #open(index: LogIndex, command: Command, effects: ShardEffects): void {
    const code = !isWellFormed(() => decode(openBody, command.body)) ? Code.malformed : this.#sessions.full ? Code.backpressure : Code.ok
    const session = (code === Code.ok ? index : 0) as SessionNumber
    if (code === Code.ok) this.#sessions.open(index, this.#leaseNow)
    this.#results.word(code)
    effects.answer(index, session, command.sequence, code, code === Code.ok ? encode(openAnswer, { session }) : NO_BYTES)
  }

  #add(index: LogIndex, bytes: Uint8Array): StoredAnswer {
    const body = decode(addBody, bytes)
    const segments = readSegments(new AddItemReader(body.items, body.count, body.names.length))
    const partition = this.#byNumber.get(body.partition)
    if (partition === undefined) return refused(Code.unknownPartition)
    if (!partition.books.fits(body.names, segments)) return refused(Code.backpressure)
    const { first, added, duplicates } = partition.books.add(body.names, segments, index, this.#wallNow)
    if (added > 0) this.#keptEntry = index
    return done(encode(addAnswer, { first: first as JobNumber, added, duplicates: duplicates as ValueOf<typeof addAnswer>['duplicates'] }))
  }

  #complete(session: SessionNumber, bytes: Uint8Array, effects: ShardEffects): StoredAnswer {
    const body = decode(leasedBody, bytes)
    return this.#leased(session, body.partition, readGroups(body.groups, Operation.complete), ({ books, leases }, group, position, item) => {
      const lane = group.lane(position)
      leases.drop(group, position)
      const entry = books.complete(item.number, lane, this.#wallNow, item.bytes, item.dataAt, item.dataLength)
      if (entry > 0) this.#free(entry, effects)
    })
  }

  #fail(session: SessionNumber, bytes: Uint8Array): StoredAnswer {
    const body = decode(leasedBody, bytes)
    return this.#leased(session, body.partition, readGroups(body.groups, Operation.fail), ({ books, leases }, group, position, item) => {
      const lane = group.lane(position)
      leases.drop(group, position)
      books.fail(item.number, lane, item.mode, item.retryAfterMs, this.#wallNow, item.bytes.subarray(item.dataAt, item.dataAt + item.dataLength))
    })
  }

  #release(session: SessionNumber, bytes: Uint8Array): StoredAnswer {
    const body = decode(leasedBody, bytes)
    return this.#leased(session, body.partition, readGroups(body.groups, Operation.release), ({ books, leases }, group, position, item) => {
      const lane = group.lane(position)
      leases.drop(group, position)
      books.putBack(item.number, lane)
    })
  }

  #extend(session: SessionNumber, bytes: Uint8Array): StoredAnswer {
    const body = decode(extendBody, bytes)
    const groups = readGroups(body.groups, Operation.extend)
    const partition = this.#byNumber.get(body.partition)
    if (partition === undefined) return refused(Code.unknownPartition)
    // One deadline answers for all: the earliest, so that nobody believes in a lease for too long.
    let deadline = Infinity
    const lost = eachLease(partition.leases, session, groups, (group, position) => {
      const until = group.extend(position, this.#leaseNow + (body.leaseMs > 0 ? body.leaseMs : group.leaseMs))
      deadline = Math.min(deadline, until)
    })
    return done(encode(extendAnswer, { deadline: (deadline === Infinity ? this.#leaseNow : deadline) as LeaseTime, lost }))
  }

  #leased(session: SessionNumber, number: PartitionId, groups: LeasedGroupsReader, visit: (partition: Partition, group: LeaseGroup, position: number, item: LeasedGroupsReader) => void): StoredAnswer {
    const partition = this.#byNumber.get(number)
    if (partition === undefined) return refused(Code.unknownPartition)
    const lost = eachLease(partition.leases, session, groups, (group, position) => visit(partition, group, position, groups))
    return lost.length === 0 ? NOTHING_LOST : done(encode(leasedAnswer, { lost }))
  }

  #cancel(bytes: Uint8Array, effects: ShardEffects): StoredAnswer {
    const body = decode(cancelBody, bytes)
    const partition = this.#byNumber.get(body.partition)
    if (partition === undefined) return refused(Code.unknownPartition)
    const { books, leases } = partition
    const missed: JobNumber[] = []
    const busy: JobNumber[] = []
    for (const number of body.jobs) {
      const entry = books.cancelIdle(number, this.#wallNow)
      if (entry === undefined) (books.batches.find(number) < 0 ? missed : busy).push(number)
      else if (entry > 0) this.#free(entry, effects)
    }
    const found = leases.findAll(busy)
    const cancelled: HeldLease[] = []
    for (const number of busy) {
      const lease = found.get(number)
      if (lease === undefined || !lease.group.holds(lease.position)) {
        missed.push(number)
        continue
      }
      const { group, position } = lease
      const lane = group.lane(position)
      cancelled.push({ number, token: group.token, session: group.session, lane })
      leases.drop(group, position)
      const entry = books.cancelActive(number, lane, this.#wallNow)
      if (entry > 0) this.#free(entry, effects)
    }
    this.#tellLost(body.partition, LostReason.cancelled, cancelled.sort((a, b) => a.session - b.session || a.number - b.number), effects)
    return done(encode(cancelAnswer, { missed: missed.sort((a, b) => a - b) }))
  }

  /** What the session still holds is handed back; its answers are forgotten with it, this one too. */
  #close(session: SessionNumber): StoredAnswer {
    for (const { books, leases } of this.#partitions) for (const { number, lane } of leases.endSession(session)) books.putBack(number, lane)
    this.#sessions.close(session)
    return done(NO_BYTES)
  }

  #acquire(index: LogIndex, entry: Extract<LogEntry, { kind: 'acquire' }>, effects: ShardEffects): void {
    const partition = this.#byNumber.get(entry.partition)
    const session = this.#sessions.get(entry.session)
    if (partition === undefined || session === undefined) return
    session.activeAt = this.#leaseNow
    const { books, leases } = partition
    const limit = Math.min(entry.count, entry.grant - leases.held(entry.session), ITEMS_MAX)
    const taken = limit > 0 ? books.take(books.nameIds(entry.names), limit) : undefined
    if (taken === undefined) return
    const { partition: number, session: holder } = entry
    for (const part of byLease(taken, entry.leaseMs > 0 ? entry.leaseMs : LEASE_MS_DEFAULT)) {
      const deadline = (this.#leaseNow + part.leaseMs) as LeaseTime
      const jobs = part.numbers
      const rising = inOrder(part.numbers, part.lanes)
      leases.grant(index, holder, part.leaseMs, deadline, rising.numbers, rising.lanes)
      this.#results.number(jobs.length).number(rising.numbers[0]!).number(rising.numbers[jobs.length - 1]!)
      effects.leased({ partition: number, session: holder, token: index as number as FencingToken, deadline, leaseMs: part.leaseMs, jobs })
    }
  }

  #tick(expireThrough: number, effects: ShardEffects): void {
    for (const { books, leases } of this.#partitions) {
      const expired = leases.expire(expireThrough)
      for (const { number, lane } of expired) books.loseLease(number, lane, this.#wallNow)
      this.#tellLost(books.partition as PartitionId, LostReason.expired, expired, effects)
      books.tick(this.#wallNow)
    }
    this.#sessions.expire(this.#leaseNow, (session) => this.#partitions.some(({ leases }) => leases.held(session) > 0))
  }

  #openPartition(number: PartitionId, topic: string, settings: Uint8Array): void {
    const known = this.#byNumber.get(number)
    if (known !== undefined) known.books.settings = settings.slice()
    else this.#insert({ books: new PartitionBooks(number, topic, settings.slice()), leases: new Leases() })
  }

  #insert(partition: Partition): void {
    this.#byNumber.set(partition.books.partition, partition)
    this.#partitions.push(partition)
    this.#partitions.sort((a, b) => a.books.partition - b.books.partition)
  }

  /** Leases sorted by session: one effect for each session. */
  #tellLost(partition: PartitionId, reason: number, leases: readonly HeldLease[], effects: ShardEffects): void {
    for (let from = 0; from < leases.length; ) {
      const session = leases[from]!.session
      let to = from
      while (to < leases.length && leases[to]!.session === session) to++
      const jobs = leases.slice(from, to).map(({ number, token }) => ({ number: number as JobNumber, token: token as FencingToken }))
      for (const job of jobs) this.#results.number(job.number)
      effects.lostLease(partition, session as SessionNumber, reason, jobs)
      from = to
    }
  }

  #free(entry: number, effects: ShardEffects): void {
    this.#results.number(entry)
    effects.payloadFree(entry as LogIndex)
  }

  // ---- asking ------------------------------------------------------------------------------------------------------

  get appliedIndex(): LogIndex {
    return this.#applied as LogIndex
  }

  /** The lease clock as of the last entry. */
  get leaseNow(): LeaseTime {
    return this.#leaseNow as LeaseTime
  }

  get wallNow(): WallTime {
    return this.#wallNow as WallTime
  }

  /** A hash over everything that applying has ever answered: equal on all masters at the same index. */
  get results(): string {
    return this.#results.digest()
  }

  get partitions(): readonly PartitionId[] {
    return this.#partitions.map(({ books }) => books.partition as PartitionId)
  }

  topicOf(partition: PartitionId): string | undefined {
    return this.#byNumber.get(partition)?.books.topic
  }

  settingsOf(partition: PartitionId): Uint8Array | undefined {
    return this.#byNumber.get(partition)?.books.settings
  }

  hasPartition(partition: PartitionId): boolean {
    return this.#byNumber.has(partition)
  }

  hasSession(session: SessionNumber): boolean {
    return this.#sessions.get(session) !== undefined
  }

  /** How many jobs of the names (none: all) wait. */
  waiting(partition: PartitionId, names: readonly string[]): number {
    const books = this.#byNumber.get(partition)?.books
    if (books === undefined) return 0
    return names.length === 0 ? books.counts[JobState.waiting]! : books.lanes.waiting(books.nameIds(names))
  }

  /** How long ago the oldest waiting job was added, by the wall clock; 0 where none waits. */
  oldestWaitingMs(partition: PartitionId, wallNow: number, names: readonly string[] = []): number {
    const books = this.#byNumber.get(partition)?.books
    const number = books === undefined ? Infinity : books.lanes.oldest(books.nameIds(names))
    return number === Infinity ? 0 : Math.max(0, wallNow - books!.batches.addedAt(books!.batches.find(number)))
  }

  /** Leases of a session on a partition. */
  held(partition: PartitionId, session: SessionNumber): number {
    return this.#byNumber.get(partition)?.leases.held(session) ?? 0
  }

  /** Everything a session holds, by partition, token and number. */
  leasesOf(session: SessionNumber): { readonly partition: PartitionId; readonly number: JobNumber; readonly token: FencingToken }[] {
    return this.#partitions.flatMap(({ books, leases }) =>
      leases.ofSession(session).map(({ number, token }) => ({ partition: books.partition as PartitionId, number: number as JobNumber, token: token as FencingToken })))
  }

  /** The lease of an active job. Whoever knows its token says so: then nothing needs to be searched. */
  leaseOf(partition: PartitionId, number: JobNumber, token?: FencingToken): LeaseView | undefined {
    const found = this.#byNumber.get(partition)
    const lease = found?.leases.find(number, token)
    if (found === undefined || lease === undefined) return undefined
    const { books } = found
    const { group, position } = lease
    const record = books.batches.find(number)
    return {
      session: group.session as SessionNumber, token: group.token as FencingToken, deadline: group.deadline(position) as LeaseTime, leaseMs: group.leaseMs,
      attempt: books.attempt(number), maxAttempts: books.maxAttempts(number), entryIndex: books.batches.entryIndex(record) as LogIndex, ordinal: books.batches.ordinal(record, number),
    }
  }

  /** Where the payload of a job lies that has not ended. */
  payloadOf(partition: PartitionId, number: JobNumber): PayloadPlace | undefined {
    const batches = this.#byNumber.get(partition)?.books.batches
    const record = batches === undefined ? -1 : batches.find(number)
    if (record < 0) return undefined
    return { entryIndex: batches!.entryIndex(record) as LogIndex, ordinal: batches!.ordinal(record, number) }
  }

  /** The add entries that hold a payload which is still needed, rising. */
  liveEntries(): LogIndex[] {
    const entries: number[] = []
    for (const { books } of this.#partitions) books.batches.liveEntries(entries)
    return entries.sort((a, b) => a - b) as LogIndex[]
  }

  /** The earliest deadline of a lease, on the lease clock: a tick at or after it does something. Infinity without leases. */
  get leaseDeadlineNext(): number {
    return this.#partitions.reduce((least, { leases }) => Math.min(least, leases.deadlineNext), Infinity)
  }

  /** When the next scheduled or retrying job is due, on the wall clock. */
  get dueNext(): number {
    return this.#partitions.reduce((least, { books }) => Math.min(least, books.dueNext), Infinity)
  }

  /** When an ended job or a key next leaves its retention, on the wall clock. Nobody waits for it: a tick a minute is enough. */
  get retentionNext(): number {
    return this.#partitions.reduce((least, { books }) => Math.min(least, books.expiresNext), Infinity)
  }

  /** Not before this is a session forgotten, on the lease clock. */
  get sessionNext(): number {
    return this.#sessions.expiresNext
  }

  /** The payload of the view is undefined: the caller adds it from the journal. */
  job(partition: PartitionId, number: JobNumber): JobView | undefined {
    const found = this.#byNumber.get(partition)
    return found === undefined ? undefined : viewOf(found, number)
  }

  /** Jobs with rising numbers, at most `limit`; `next` is where to go on, 0 at the end. */
  jobs(partition: PartitionId, filter: JobFilter, limit: number): { readonly jobs: readonly JobView[]; readonly next: JobNumber } {
    const found = this.#byNumber.get(partition)
    if (found === undefined) return { jobs: [], next: 0 as JobNumber }
    const numbers = selectJobs(found.books, filter, limit, (visit) => found.leases.each((group, at) => visit(group.number(at), group.lane(at))))
    const jobs = numbers.map((number) => viewOf(found, number)!)
    return { jobs, next: (numbers.length < limit || numbers.length === 0 ? 0 : numbers[numbers.length - 1]! + 1) as JobNumber }
  }

  /** How many jobs are in each state; of the ended ones those within retention. */
  counts(partition: PartitionId): JobCounts | undefined {
    const counts = this.#byNumber.get(partition)?.books.counts
    if (counts === undefined) return undefined
    const of = (state: number): number => counts[state]!
    return {
      scheduled: of(JobState.scheduled), blocked: of(JobState.blocked), waiting: of(JobState.waiting), active: of(JobState.active), retrying: of(JobState.retrying),
      completed: of(JobState.completed), cancelled: of(JobState.cancelled), dead: of(JobState.dead),
    }
  }

  // ---- whole books -------------------------------------------------------------------------------------------------

  /** The books without payloads. Equal books give equal bytes. */
  snapshot(): Uint8Array<ArrayBuffer> {
    const writer = new Writer(4096)
    writer.u8(VERSION)
    writePacked(writer, this.#applied)
    writer.f64(this.#leaseNow)
    writer.f64(this.#wallNow)
    for (const half of this.#results.lanes()) writer.u32(half)
    this.#sessions.write(writer)
    writePacked(writer, this.#partitions.length)
    for (const { books, leases } of this.#partitions) {
      writeBooks(writer, books)
      leases.write(writer)
    }
    return writer.take()
  }

  /** Throws MalformedMessage for bytes that are no snapshot, or one of a version that is not known here. */
  static restore(shard: ShardId, bytes: Uint8Array): Shard {
    const reader = new Reader(bytes)
    const version = reader.u8()
    if (version !== VERSION) throw new MalformedMessage(`a snapshot of version ${version}, ${VERSION} is known`)
    const restored = new Shard(shard)
    restored.#applied = readPacked(reader)
    restored.#leaseNow = reader.f64()
    restored.#wallNow = reader.f64()
    restored.#results = Hash.restore([reader.u32(), reader.u32()])
    restored.#sessions = Sessions.read(reader)
    const partitions = readCount(reader)
    for (let i = 0; i < partitions; i++) restored.#insert({ books: readBooks(reader), leases: Leases.read(reader) })
    if (reader.left > 0) throw new MalformedMessage(`${reader.left} bytes behind the snapshot`)
    return restored
  }

  clone(): Shard {
    return Shard.restore(this.shard, this.snapshot())
  }

  /** A hash of the whole state. */
  digest(): string {
    return new Hash().bytes(this.snapshot()).digest()
  }
}

/** Of the snapshot's layout. */
const VERSION = 1
const NO_BYTES = new Uint8Array(0)

const done = (body: Uint8Array): StoredAnswer => ({ code: Code.ok, body })
const refused = (code: Code): StoredAnswer => ({ code, body: NO_BYTES })
const NOTHING_LOST: StoredAnswer = done(encode(leasedAnswer, { lost: [] }))

function readEntry(bytes: Uint8Array): LogEntry | undefined {
  try {
    const entry = logTable.decode(bytes)
    return Number.isFinite(entry.leaseNow) && Number.isFinite(entry.wallNow) ? entry : undefined
  } catch (error) {
    if (error instanceof MalformedMessage) return undefined
    throw error
  }
}

function isWellFormed(read: () => unknown): boolean {
  try {
    read()
    return true
  } catch (error) {
    if (error instanceof MalformedMessage) return false
    throw error
  }
}

function viewOf({ books, leases }: Partition, number: number): JobView | undefined {
  return viewJob(books, number, (active) => {
    const lease = leases.find(active)
    return lease && { lane: lease.group.lane(lease.position), token: lease.group.token }
  })
}
