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
import { Books, type Partition } from './shard/books.ts'
import { ImageReader, walked, type Walk } from './message/image.ts'
import { readSegments, type Segment } from './job/add.ts'
import { LEASE_MS_DEFAULT } from './job/limits.ts'
import { PartitionBooks } from './job/partition.ts'
import { byLease, inOrder } from './job/taken.ts'
import type { LeaseGroup } from './lease/group.ts'
import { type HeldLease, Leases } from './lease/leases.ts'
import { eachLease } from './lease/walk.ts'
import { LostReason } from './message/client.ts'
import {
  addAnswer, addBody, cancelAnswer, cancelBody, Code, type Command, extendAnswer, extendBody, leasedAnswer, leasedBody, type LogEntry, logTable,
  openAnswer, openBody, Operation, type PostEntry,
} from './message/command.ts'
import { AddItemReader, ITEMS_MAX, type LeasedGroupsReader, readGroups } from './message/jobs.ts'
import { decode, encode, MalformedMessage, tryDecode, type ValueOf } from './message/layout.ts'
import { deadLetter, type DeadLetter, PostKind, REASON_BYTES_MAX } from './message/posts.ts'
import { firstJobAt, recoveryBase } from './recovery-epoch.ts'
import type { StoredAnswer } from './session/sessions.ts'
import type { FencingToken, JobNumber, LeaseTime, LogIndex, PartitionId, SessionNumber, ShardId } from './units.ts'

export type { JobCounts, LeaseView, PayloadPlace } from './shard/books.ts'

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

export class Shard extends Books {
  /** The last add entry whose payloads are needed; only within one apply. */
  #keptEntry = 0

  // ---- applying ----------------------------------------------------------------------------------------------------

  /** Applies a committed entry; indexes only rise. An entry that is no entry at all is passed over, everywhere alike. */
  apply(index: LogIndex, bytes: Uint8Array, effects: ShardEffects): void {
    assert(index > this.applied, 'entries are applied in order')
    this.applied = index
    this.resultHash.number(index)
    const entry = readEntry(bytes)
    if (entry === undefined) return
    this.leaseClock = Math.max(this.leaseClock, entry.leaseNow)
    this.wallClock = Math.max(this.wallClock, entry.wallNow)
    switch (entry.kind) {
      case 'command': return this.#command(index, entry, effects)
      case 'acquire': return this.#acquire(index, entry, effects)
      case 'tick': return this.#tick(entry, effects)
      case 'partitionOpen': return this.#openPartition(index, entry.partition, entry.topic, entry.settings)
      case 'post': return this.#post(index, entry, effects)
      case 'postsConfirmed': return this.#confirmed(entry, effects)
      case 'noop':
      case 'configuration': return
      default: entry satisfies never
    }
  }

  #command(index: LogIndex, command: Command, effects: ShardEffects): void {
    const { sequence, operation } = command
    if (operation === Operation.open) return this.#open(index, command, effects)
    const outcome = this.#outcome(index, command, effects)
    this.resultHash.number(command.session).number(sequence).word(outcome.code).bytes(outcome.body)
    effects.answer(index, command.session, sequence, outcome.code, outcome.body)
    if (operation === Operation.add && this.#keptEntry !== index) this.#free(index, effects)
  }

  #outcome(index: LogIndex, command: Command, effects: ShardEffects): StoredAnswer {
    const session = this.sessions.own(command.session)
    if (session === undefined) return refused(Code.sessionExpired)
    session.activeAt = this.leaseClock
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
    const code = !isWellFormed(() => decode(openBody, command.body)) ? Code.malformed : this.sessions.full ? Code.backpressure : Code.ok
    const session = (code === Code.ok ? index : 0) as SessionNumber
    if (code === Code.ok) this.sessions.open(index, this.leaseClock)
    this.resultHash.word(code)
    effects.answer(index, session, command.sequence, code, code === Code.ok ? encode(openAnswer, { session }) : NO_BYTES)
  }

  #add(index: LogIndex, bytes: Uint8Array): StoredAnswer {
    const body = decode(addBody, bytes)
    const segments = readSegments(new AddItemReader(body.items, body.count, body.names.length))
    const partition = this.byNumber.get(body.partition)
    if (partition === undefined) return refused(Code.unknownPartition)
    if (!partition.books.fits(body.names, segments)) return refused(Code.backpressure)
    const { first, added, duplicates } = partition.books.add(body.names, segments, index, this.wallClock)
    if (added > 0) this.#keptEntry = index
    return done(encode(addAnswer, { first: first as JobNumber, added, duplicates: duplicates as ValueOf<typeof addAnswer>['duplicates'] }))
  }

  #complete(session: SessionNumber, bytes: Uint8Array, effects: ShardEffects): StoredAnswer {
    const body = decode(leasedBody, bytes)
    return this.#leased(session, body.partition, readGroups(body.groups, Operation.complete), ({ books, leases }, group, position, item) => {
      const lane = group.lane(position)
      leases.drop(group, position)
      const entry = books.complete(item.number, lane, this.wallClock, item.bytes, item.dataAt, item.dataLength)
      if (entry > 0) this.#free(entry, effects)
    })
  }

  #fail(session: SessionNumber, bytes: Uint8Array): StoredAnswer {
    const body = decode(leasedBody, bytes)
    return this.#leased(session, body.partition, readGroups(body.groups, Operation.fail), ({ books, leases }, group, position, item) => {
      const lane = group.lane(position)
      leases.drop(group, position)
      const died = books.fail(item.number, lane, item.mode, item.retryAfterMs, this.wallClock, item.bytes.subarray(item.dataAt, item.dataAt + item.dataLength))
      if (died) this.#died(books, item.number)
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
    const partition = this.byNumber.get(body.partition)
    if (partition === undefined) return refused(Code.unknownPartition)
    // One deadline answers for all: the earliest, so that nobody believes in a lease for too long.
    let deadline = Infinity
    const lost = eachLease(partition.leases, session, groups, (group, position) => {
      const until = group.extend(position, this.leaseClock + (body.leaseMs > 0 ? body.leaseMs : group.leaseMs))
      deadline = Math.min(deadline, until)
    })
    return done(encode(extendAnswer, { deadline: (deadline === Infinity ? this.leaseClock : deadline) as LeaseTime, lost }))
  }

  #leased(session: SessionNumber, number: PartitionId, groups: LeasedGroupsReader, visit: (partition: Partition, group: LeaseGroup, position: number, item: LeasedGroupsReader) => void): StoredAnswer {
    const partition = this.byNumber.get(number)
    if (partition === undefined) return refused(Code.unknownPartition)
    const lost = eachLease(partition.leases, session, groups, (group, position) => visit(partition, group, position, groups))
    return lost.length === 0 ? NOTHING_LOST : done(encode(leasedAnswer, { lost }))
  }

  #cancel(bytes: Uint8Array, effects: ShardEffects): StoredAnswer {
    const body = decode(cancelBody, bytes)
    const partition = this.byNumber.get(body.partition)
    if (partition === undefined) return refused(Code.unknownPartition)
    const { books, leases } = partition
    const missed: JobNumber[] = []
    const busy: JobNumber[] = []
    for (const number of body.jobs) {
      const entry = books.cancelIdle(number, this.wallClock)
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
      const entry = books.cancelActive(number, lane, this.wallClock)
      if (entry > 0) this.#free(entry, effects)
    }
    this.#tellLost(body.partition, LostReason.cancelled, cancelled.sort((a, b) => a.session - b.session || a.number - b.number), effects)
    return done(encode(cancelAnswer, { missed: missed.sort((a, b) => a - b) }))
  }

  /** What the session still holds is handed back; its answers are forgotten with it, this one too. */
  #close(session: SessionNumber): StoredAnswer {
    for (const { books, leases } of this.hosted) for (const { number, lane } of leases.endSession(session)) books.putBack(number, lane)
    this.sessions.close(session)
    return done(NO_BYTES)
  }

  #acquire(index: LogIndex, entry: Extract<LogEntry, { kind: 'acquire' }>, effects: ShardEffects): void {
    const partition = this.byNumber.get(entry.partition)
    const session = this.sessions.own(entry.session)
    if (partition === undefined || session === undefined) return
    session.activeAt = this.leaseClock
    const { books, leases } = partition
    const limit = Math.min(entry.count, entry.grant - leases.held(entry.session), ITEMS_MAX)
    const taken = limit > 0 ? books.take(books.nameIds(entry.names), limit) : undefined
    if (taken === undefined) return
    const { partition: number, session: holder } = entry
    for (const part of byLease(taken, entry.leaseMs > 0 ? entry.leaseMs : LEASE_MS_DEFAULT)) {
      const deadline = (this.leaseClock + part.leaseMs) as LeaseTime
      const jobs = part.numbers
      const rising = inOrder(part.numbers, part.lanes)
      leases.grant(index, holder, part.leaseMs, deadline, rising.numbers, rising.lanes)
      this.resultHash.number(jobs.length).number(rising.numbers[0]!).number(rising.numbers[jobs.length - 1]!)
      effects.leased({ partition: number, session: holder, token: index as number as FencingToken, deadline, leaseMs: part.leaseMs, jobs })
    }
  }

  #tick(entry: Extract<LogEntry, { kind: 'tick' }>, effects: ShardEffects): void {
    const expireThrough = Math.min(entry.expireThrough, this.leaseClock)
    const unreceived = new Set(entry.unreceived.map(leaseName))
    for (const { books, leases } of this.hosted) {
      const expired = leases.expire(expireThrough)
      for (const lease of expired) {
        // What no worker had is no sign of a job that kills its workers: it is as if it had been handed back.
        const had = lease.token >= entry.knownFrom && lease.token <= entry.knownThrough && !unreceived.has(leaseName(lease))
        if (!had) books.putBack(lease.number, lease.lane)
        else if (books.loseLease(lease.number, lease.lane, this.wallClock)) this.#died(books, lease.number)
      }
      this.#tellLost(books.partition as PartitionId, LostReason.expired, expired, effects)
      books.tick(this.wallClock)
    }
    this.in.forget(this.wallClock)
    this.sessions.expire(this.leaseClock, (session) => this.hosted.some(({ leases }) => leases.held(session) > 0))
  }

  #openPartition(index: LogIndex, number: PartitionId, topic: string, settings: Uint8Array): void {
    const known = this.byNumber.get(number)
    if (known !== undefined) known.books.configure(settings.slice())
    // The lost masters may have opened it before, and given out numbers.
    else this.host({ books: new PartitionBooks(number, topic, settings.slice(), this.freezer, firstJobAt(index)), leases: new Leases() })
  }

  /** Leases sorted by session: one effect for each session. */
  #tellLost(partition: PartitionId, reason: number, leases: readonly HeldLease[], effects: ShardEffects): void {
    for (let from = 0; from < leases.length; ) {
      const session = leases[from]!.session
      let to = from
      while (to < leases.length && leases[to]!.session === session) to++
      const jobs = leases.slice(from, to).map(({ number, token }) => ({ number: number as JobNumber, token: token as FencingToken }))
      for (const job of jobs) this.resultHash.number(job.number)
      effects.lostLease(partition, session as SessionNumber, reason, jobs)
      from = to
    }
  }

  /** A job of a topic with a dead-letter topic: another one of that becomes of it, by a post. */
  #died(books: PartitionBooks, number: number): void {
    const place = books.deadLetterPlace(number)
    if (place === undefined) return
    const record = books.batches.find(number)
    this.resultHash.number(place.shard).number(this.out.put(place.shard, {
      origin: books.partition as PartitionId, number: number as JobNumber, addedAt: books.batches.addedAt(record), partition: place.partition,
      entryIndex: books.batches.entryIndex(record, number) as LogIndex, ordinal: books.batches.ordinal(record, number), reason: books.errorOf(number).slice(0, REASON_BYTES_MAX),
    }))
  }

  /** What cannot be taken now, since its partition is not open here, does not count, and comes again. */
  #post(index: LogIndex, entry: PostEntry, effects: ShardEffects): void {
    const add = readPost(entry)
    const partition = add && this.byNumber.get(add.letter.partition)
    const taken = add !== undefined && partition !== undefined && partition.books.fits(add.letter.names, add.segments) && this.in.take(entry, this.recovery)
    this.resultHash.number(entry.sender).number(entry.sequence).word(taken ? 1 : 0)
    if (taken && !this.in.isRepeat(entry, subjectOf(add.letter), this.wallClock)) {
      const { first, added } = partition.books.add(add.letter.names, add.segments, index, this.wallClock)
      this.resultHash.number(first)
      if (added > 0) return
    }
    this.#free(index, effects)
  }

  #confirmed({ receiver, recovery, through }: Extract<LogEntry, { kind: 'postsConfirmed' }>, effects: ShardEffects): void {
    if (recovery !== this.recovery) return
    this.out.confirm(receiver, through, (entry) => {
      if (!this.hosted.some(({ books }) => books.batches.holdsEntry(entry))) this.#free(entry, effects)
    })
    this.resultHash.number(this.out.confirmed(receiver))
  }

  /** No job needs the entry any more; it is free when no post does either. */
  #free(entry: number, effects: ShardEffects): void {
    if (this.out.holdsEntry(entry)) return
    this.resultHash.number(entry)
    effects.payloadFree(entry as LogIndex)
  }

  // ---- whole books -------------------------------------------------------------------------------------------------

  /** The masters are lost but for this copy: no number that they may have given out behind its last entry is given out again. */
  recover(recovery: number): void {
    const base = recoveryBase(recovery)
    assert(base.index > this.applied, 'an epoch begins behind everything of the one before')
    this.applied = base.index
    this.resultHash.number(base.index)
    for (const { books } of this.hosted) books.next = base.job
    this.out.renumber()
  }

  /** Reads a snapshot step by step; the pieces are taken over, and let go as they are read. Throws MalformedMessage for bytes that are no snapshot, or one of a version that is not known here. */
  static *restoring(shard: ShardId, pieces: Uint8Array[]): Walk<Shard> {
    const restored = new Shard(shard)
    yield* restored.read(new ImageReader(pieces))
    return restored
  }

  /** All of it at once. */
  static restore(shard: ShardId, bytes: Uint8Array): Shard {
    return walked(Shard.restoring(shard, [bytes]), Infinity)!.result
  }

  clone(): Shard {
    return Shard.restore(this.shard, this.snapshot())
  }
}

const NO_BYTES = new Uint8Array(0)

const done = (body: Uint8Array): StoredAnswer => ({ code: Code.ok, body })
const refused = (code: Code): StoredAnswer => ({ code, body: NO_BYTES })
const NOTHING_LOST: StoredAnswer = done(encode(leasedAnswer, { lost: [] }))

/** A job is one dead letter, however often it is told of, and under whatever numbers. When it was added tells it from one of the same number whose add was lost. */
const subjectOf = ({ origin, number, addedAt }: DeadLetter): string => `${origin}-${number}-${addedAt}`

/** Undefined where this version knows no such post. */
function readPost(entry: PostEntry): { readonly letter: DeadLetter; readonly segments: readonly Segment[] } | undefined {
  const letter = entry.postKind === PostKind.deadLetter ? tryDecode(deadLetter, entry.body) : undefined
  if (letter?.count !== 1) return undefined
  try {
    return { letter, segments: readSegments(new AddItemReader(letter.items, 1, letter.names.length)) }
  } catch (error) {
    if (error instanceof MalformedMessage) return undefined
    throw error
  }
}

const leaseName = ({ number, token }: { readonly number: number; readonly token: number }): string => `${number} ${token}`

function readEntry(bytes: Uint8Array): LogEntry | undefined {
  try {
    const entry = logTable.decode(bytes)
    return isTime(entry.leaseNow) && isTime(entry.wallNow) ? entry : undefined
  } catch (error) {
    if (error instanceof MalformedMessage) return undefined
    throw error
  }
}

/** Beyond 2^53 a time no longer moves when some milliseconds are added to it, and whatever waits for it to move waits for ever. */
function isTime(value: number): boolean {
  return value >= 0 && value <= Number.MAX_SAFE_INTEGER
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
