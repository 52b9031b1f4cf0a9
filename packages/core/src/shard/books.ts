//! Everything that a job shard remembers, and the questions to it. Nothing in here changes the state but reading a snapshot:
//! that is for shard.ts, which applies the log. Questions are no log entries; a leader asks once it knows that it still leads.

import { Freezer } from '../freeze.ts'
import { Hash } from '../hash.ts'
import { type Frozen, imageOf, type ImageReader, Imaging, type Walk } from '../message/image.ts'
import { freezeBooks, readBooks } from '../job/image.ts'
import { PartitionBooks } from '../job/partition.ts'
import { type JobFilter, type JobView, selectJobs, viewJob } from '../job/view.ts'
import { Leases } from '../lease/leases.ts'
import { type countsAnswer, JobState } from '../message/client.ts'
import { MalformedMessage, type ValueOf } from '../message/layout.ts'
import { readPacked, writePacked } from '../message/packed.ts'
import { Inbox } from '../post/inbox.ts'
import { Outbox } from '../post/outbox.ts'
import { recoveryOfIndex } from '../recovery-epoch.ts'
import { Sessions } from '../session/sessions.ts'
import type { FencingToken, JobNumber, LeaseTime, LogIndex, PartitionId, SessionNumber, ShardId, WallTime } from '../units.ts'

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

export interface Partition {
  readonly books: PartitionBooks
  readonly leases: Leases
}

export class Books {
  readonly shard: ShardId
  protected applied = 0
  protected leaseClock = 0
  protected wallClock = 0
  protected resultHash = new Hash()
  protected readonly freezer = new Freezer()
  protected sessions = new Sessions(this.freezer)
  /** What this shard has for others, and what it has of them. */
  protected out = new Outbox(this.freezer)
  protected in = new Inbox()
  /** By number, rising. */
  protected readonly hosted: Partition[] = []
  protected readonly byNumber = new Map<number, Partition>()

  constructor(shard: ShardId) {
    this.shard = shard
  }

  get appliedIndex(): LogIndex {
    return this.applied as LogIndex
  }

  /** The lease clock as of the last entry. */
  get leaseNow(): LeaseTime {
    return this.leaseClock as LeaseTime
  }

  get wallNow(): WallTime {
    return this.wallClock as WallTime
  }

  /** A hash over everything that applying has ever answered: equal on all masters at the same index. */
  get results(): string {
    return this.resultHash.digest()
  }

  get partitions(): readonly PartitionId[] {
    return this.hosted.map(({ books }) => books.partition as PartitionId)
  }

  /** Of each partition, in their order. */
  get topics(): readonly string[] {
    return this.hosted.map(({ books }) => books.topic)
  }

  topicOf(partition: PartitionId): string | undefined {
    return this.byNumber.get(partition)?.books.topic
  }

  settingsOf(partition: PartitionId): Uint8Array | undefined {
    return this.byNumber.get(partition)?.books.settings
  }

  hasPartition(partition: PartitionId): boolean {
    return this.byNumber.has(partition)
  }

  /** Of two settings of a partition the newer has the higher version; 0 of one that is not there. */
  settingsVersionOf(partition: PartitionId): number {
    return this.byNumber.get(partition)?.books.settingsVersion ?? 0
  }

  /** Not to be changed but by entries. */
  get outbox(): Outbox {
    return this.out
  }

  /** Not to be changed but by entries. */
  get inbox(): Inbox {
    return this.in
  }

  /** How often the shard was recovered. */
  get recovery(): number {
    return recoveryOfIndex(this.applied as LogIndex)
  }

  /** Whether the partition takes a job of this name. */
  fits(partition: PartitionId, names: readonly string[]): boolean {
    return this.byNumber.get(partition)?.books.fits(names, []) ?? false
  }

  get openSessions(): number {
    return this.sessions.size
  }

  hasSession(session: SessionNumber): boolean {
    return this.sessions.has(session)
  }

  /** How many jobs of the names (none: all) wait. */
  waiting(partition: PartitionId, names: readonly string[]): number {
    const books = this.byNumber.get(partition)?.books
    if (books === undefined) return 0
    return names.length === 0 ? books.counts[JobState.waiting]! : books.lanes.waiting(books.nameIds(names))
  }

  /** How long ago the oldest waiting job was added, by the wall clock; 0 where none waits, and never where one does, whatever the clock says. */
  oldestWaitingMs(partition: PartitionId, wallNow: number, names: readonly string[] = []): number {
    const books = this.byNumber.get(partition)?.books
    const number = books === undefined ? Infinity : books.lanes.oldest(books.nameIds(names))
    return number === Infinity ? 0 : Math.max(1, wallNow - books!.batches.addedAt(books!.batches.find(number)))
  }

  /** Leases of a session on a partition. */
  held(partition: PartitionId, session: SessionNumber): number {
    return this.byNumber.get(partition)?.leases.held(session) ?? 0
  }

  /** Everything a session holds, by partition, token and number. */
  leasesOf(session: SessionNumber): { readonly partition: PartitionId; readonly number: JobNumber; readonly token: FencingToken }[] {
    return this.hosted.flatMap(({ books, leases }) =>
      leases.ofSession(session).map(({ number, token }) => ({ partition: books.partition as PartitionId, number: number as JobNumber, token: token as FencingToken })))
  }

  /** The lease of an active job. Whoever knows its token says so: then nothing needs to be searched. */
  leaseOf(partition: PartitionId, number: JobNumber, token?: FencingToken): LeaseView | undefined {
    const found = this.byNumber.get(partition)
    const lease = found?.leases.find(number, token)
    if (found === undefined || lease === undefined) return undefined
    const { books } = found
    const { group, position } = lease
    const record = books.batches.find(number)
    return {
      session: group.session as SessionNumber, token: group.token as FencingToken, deadline: group.deadline(position) as LeaseTime, leaseMs: group.leaseMs,
      attempt: books.attempt(number), maxAttempts: books.maxAttempts(number), entryIndex: books.batches.entryIndex(record, number) as LogIndex, ordinal: books.batches.ordinal(record, number),
    }
  }

  /** Where the payload of a job lies that has not ended. */
  payloadOf(partition: PartitionId, number: JobNumber): PayloadPlace | undefined {
    const batches = this.byNumber.get(partition)?.books.batches
    const record = batches === undefined ? -1 : batches.find(number)
    if (record < 0) return undefined
    return { entryIndex: batches!.entryIndex(record, number) as LogIndex, ordinal: batches!.ordinal(record, number) }
  }

  /** Whether the add entry at `index` holds a payload which is still needed. */
  holdsEntry(index: LogIndex): boolean {
    return this.out.holdsEntry(index) || this.hosted.some(({ books }) => books.batches.holdsEntry(index))
  }

  /** The add entries from `from` up to `to` that hold a payload which is still needed, rising. */
  liveEntries(from = 0, to = Infinity): LogIndex[] {
    const entries: number[] = []
    for (const { books } of this.hosted) books.batches.liveEntries(from, to, entries)
    const ofJobs = entries.length
    this.out.liveEntries(from, to, entries)
    // Those of one partition rise already. What a post needs, its job mostly needs too.
    if (this.hosted.length > 1 || entries.length > ofJobs) entries.sort((a, b) => a - b)
    return (entries.length > ofJobs ? entries.filter((entry, at) => entry !== entries[at - 1]) : entries) as LogIndex[]
  }

  /** The first add entry from `from` on that holds a payload which is still needed; Infinity without one. */
  nextLive(from: number): number {
    return this.hosted.reduce((least, { books }) => Math.min(least, books.batches.nextLive(from)), this.out.nextLive(from))
  }

  get leaseCount(): number {
    return this.hosted.reduce((sum, { leases }) => sum + leases.count, 0)
  }

  /** The earliest deadline of a lease, on the lease clock: a tick at or after it does something. Infinity without leases. */
  get leaseDeadlineNext(): number {
    return this.hosted.reduce((least, { leases }) => Math.min(least, leases.deadlineNext), Infinity)
  }

  /** When the next scheduled or retrying job is due, on the wall clock. */
  get dueNext(): number {
    return this.hosted.reduce((least, { books }) => Math.min(least, books.dueNext), Infinity)
  }

  /** When an ended job or a key next leaves its retention, on the wall clock. Nobody waits for it: a tick a minute is enough. */
  get retentionNext(): number {
    return this.hosted.reduce((least, { books }) => Math.min(least, books.expiresNext), this.in.expiresNext)
  }

  /** Not before this is a session forgotten, on the lease clock. */
  get sessionNext(): number {
    return this.sessions.expiresNext
  }

  /** The payload of the view is undefined: the caller adds it from the journal. */
  job(partition: PartitionId, number: JobNumber): JobView | undefined {
    const found = this.byNumber.get(partition)
    return found === undefined ? undefined : viewOf(found, number)
  }

  /** Jobs with rising numbers, at most `limit`; `next` is where to go on, 0 at the end. */
  jobs(partition: PartitionId, filter: JobFilter, limit: number): { readonly jobs: readonly JobView[]; readonly next: JobNumber } {
    const found = this.byNumber.get(partition)
    if (found === undefined) return { jobs: [], next: 0 as JobNumber }
    const numbers = selectJobs(found.books, filter, limit, (visit) => found.leases.each((group, at) => visit(group.number(at), group.lane(at))))
    const jobs = numbers.map((number) => viewOf(found, number)!)
    return { jobs, next: (numbers.length < limit || numbers.length === 0 ? 0 : numbers[numbers.length - 1]! + 1) as JobNumber }
  }

  /** How many jobs are in each state; of the ended ones those within retention. */
  counts(partition: PartitionId): JobCounts | undefined {
    const counts = this.byNumber.get(partition)?.books.counts
    if (counts === undefined) return undefined
    const of = (state: number): number => counts[state]!
    return {
      scheduled: of(JobState.scheduled), blocked: of(JobState.blocked), waiting: of(JobState.waiting), active: of(JobState.active), retrying: of(JobState.retrying),
      completed: of(JobState.completed), cancelled: of(JobState.cancelled), dead: of(JobState.dead), posting: this.out.waiting(partition),
    }
  }

  // ---- whole books -------------------------------------------------------------------------------------------------

  /** The books without payloads, as they are now, to be written while they go on. Equal books give equal bytes. */
  freeze(): Imaging {
    this.freezer.hold()
    return new Imaging(this.#freeze(), this.freezer)
  }

  /** All of it at once. */
  snapshot(): Uint8Array<ArrayBuffer> {
    return imageOf(this.freeze())
  }

  /** A hash of the whole state. */
  digest(): string {
    return new Hash().bytes(this.snapshot()).digest()
  }

  #freeze(): Frozen {
    const { applied, leaseClock, wallClock } = this
    const lanes = this.resultHash.lanes()
    const sessions = this.sessions.freeze()
    const posts = [this.out.freeze(), this.in.freeze()]
    const partitions = this.hosted.map(({ books, leases }) => ({ books: freezeBooks(books), leases: leases.freeze() }))
    return function* (out): Walk {
      const { writer } = out
      writer.u8(VERSION)
      writePacked(writer, applied)
      writer.f64(leaseClock)
      writer.f64(wallClock)
      for (const half of lanes) writer.u32(half)
      out.endItem()
      yield* sessions(out)
      for (const part of posts) yield* part(out)
      writePacked(writer, partitions.length)
      out.endItem()
      for (const { books, leases } of partitions) {
        yield* books(out)
        yield* leases(out)
      }
    }
  }

  /** Takes the state of a snapshot; only ever the first thing that happens to books. */
  protected *read(input: ImageReader): Walk {
    const reader = input.item()
    const version = reader.u8()
    if (version !== VERSION) throw new MalformedMessage(`a snapshot of version ${version}, ${VERSION} is known`)
    this.applied = readPacked(reader)
    this.leaseClock = reader.f64()
    this.wallClock = reader.f64()
    this.resultHash = Hash.restore([reader.u32(), reader.u32()])
    this.sessions = yield* Sessions.read(input, this.freezer)
    this.out = yield* Outbox.read(input, this.freezer)
    this.in = yield* Inbox.read(input)
    const partitions = input.count(1)
    for (let i = 0; i < partitions; i++) this.host({ books: yield* readBooks(input, this.freezer), leases: yield* Leases.read(input) })
    input.end()
  }

  protected host(partition: Partition): void {
    this.byNumber.set(partition.books.partition, partition)
    this.hosted.push(partition)
    this.hosted.sort((a, b) => a.books.partition - b.books.partition)
  }
}

/** Of the snapshot's layout. */
const VERSION = 1

function viewOf({ books, leases }: Partition, number: number): JobView | undefined {
  return viewJob(books, number, (active) => {
    const lease = leases.find(active)
    return lease && { lane: lease.group.lane(lease.position), token: lease.group.token }
  })
}
