//! What the leader of a job shard does between its clients and the log.
//!
//!   command ─▶ stamp + append ─▶ (committed, applied by the books) ─▶ answer to wherever the session is now
//!   demand  ─▶ DemandBook ─▶ acquire entry ─▶ (applied) ─▶ Deliveries ─▶ deliver
//!   resume  ─▶ what the books say the session holds, against what it believes
//!
//! All of this is soft state of one term: it is cleared when the lead is lost, and clients say everything again.

import type { Now } from '../actor.ts'
import { addBody, Code, type Command, leasedBody, logTable, Operation } from '../message/command.ts'
import { type ClientMessage, LostReason } from '../message/client.ts'
import { LeasedGroupsReader } from '../message/jobs.ts'
import { decode, MalformedMessage } from '../message/layout.ts'
import type { LeaseTime, LogIndex, PartitionId, SessionNumber, ShardId, Term, FencingToken, JobNumber, WallTime } from '../units.ts'
import { type AcquirePlan, DemandBook, type DemandView } from './demand.ts'
import { Deliveries, type Leased, type PayloadBooks } from './delivery.ts'
import type { Endpoint } from './endpoint.ts'
import { type LeaseName, Receipts } from './receipts.ts'
import { Presences } from './sessions.ts'

/** Bytes of appended, not yet applied commands: beyond it adds are told to wait. */
export const UNDER_WAY_BYTES_MAX = 64 * 1024 * 1024

/** The committed books of a job shard, as far as serving clients needs them. */
export interface ServedBooks extends DemandView, PayloadBooks {
  leasesOf(session: SessionNumber): readonly { readonly partition: PartitionId; readonly number: JobNumber; readonly token: FencingToken }[]
  oldestWaitingMs(partition: PartitionId, wallNow: number, names: readonly string[]): number
  hasPartition(partition: PartitionId): boolean
  hasSession(session: SessionNumber): boolean
}

/** The shard that is led, and the way out. */
export interface Led {
  readonly shard: ShardId
  readonly books: ServedBooks
  readonly proposable: 'yes' | 'notLeader' | 'noQuorum'
  /** Fewer committed masters than `minMasters`. */
  readonly tooFewMasters: boolean
  /** The disks have come to what is kept back for ending what there is. */
  readonly lacksRoom: boolean
  readonly term: Term
  leaseNow(now: Now): LeaseTime
  /** The wall clock as the log has it: this machine's own may be far behind. */
  wallNow(now: Now): WallTime
  /** Nobody else's lease clock can be ahead: only then may a worker be told what this one said when its stamp came. */
  leadsSurely(now: Now): boolean
  /** Stamps and appends; returns the entry's index. The bytes belong to the log from now on. */
  propose(now: Now, entry: Uint8Array): LogIndex
  entry(index: LogIndex): Uint8Array | undefined
  fetch(index: LogIndex): void
  redirect(): Uint8Array
  send(to: Endpoint, message: ClientMessage): void
}

/** Counted, since none of it may grow with what clients say. */
export interface ServiceLoad {
  /** Sessions whose connection is known. */
  readonly presences: number
  /** Batches that are expected to be confirmed, of the session that owes the most. */
  readonly expected: number
}

export class Service {
  readonly #led: Led
  readonly #demands = new DemandBook()
  readonly #presences = new Presences()
  readonly #deliveries: Deliveries
  readonly #receipts = new Receipts()
  /** Appended and not applied, by log index, oldest first. */
  readonly #underWay = new Map<LogIndex, UnderWay>()
  #underWayBytes = 0

  constructor(led: Led) {
    this.#led = led
    this.#deliveries = new Deliveries(led)
  }

  // ---- from clients ----------------------------------------------------------------------------------------------

  command(now: Now, from: Endpoint, bytes: Uint8Array, command: Command): void {
    const refusal = this.#refusal(command)
    if (refusal !== Code.ok) {
      this.#answer(from, command.session, command.sequence, refusal, refusal === Code.notLeader ? this.#led.redirect() : NOTHING)
      return
    }
    this.#heard(now, command.session, from, command.stamp)
    const index = this.#led.propose(now, bytes)
    const entry = { from, session: command.session, sequence: command.sequence, bytes: bytes.length, effect: this.#expect(command) }
    this.#underWay.set(index, entry)
    this.#underWayBytes += bytes.length
  }

  demand(now: Now, from: Endpoint, message: ClientMessage & { kind: 'demand' }): void {
    const { shard, partition, session, number } = message
    const refuse = (code: Code, body = NOTHING): void =>
      this.#led.send(from, { kind: 'demandAnswer', shard, partition, session, number, code, held: 0, oldestWaitingMs: 0, body })
    if (this.#led.proposable !== 'yes') return refuse(Code.notLeader, this.#led.redirect())
    if (!this.#led.books.hasPartition(partition)) return refuse(Code.unknownPartition)
    if (!this.#led.books.hasSession(session)) return refuse(Code.sessionExpired)
    this.#heard(now, session, from, message.stamp)
    if (!this.#demands.set(message)) return refuse(Code.backpressure)
    this.#led.send(from, {
      kind: 'demandAnswer', shard, partition, session, number, code: Code.ok, body: NOTHING,
      held: this.#demands.held(this.#led.books, partition, session),
      oldestWaitingMs: this.#led.books.oldestWaitingMs(partition, this.#led.wallNow(now), message.names),
    })
  }

  received({ session, token, number }: ClientMessage & { kind: 'received' }): void {
    this.#receipts.received(session, token, number)
  }

  beat(now: Now, from: Endpoint, message: ClientMessage & { kind: 'beat' }): void {
    if (this.#led.proposable !== 'yes') return
    this.#heard(now, message.session, from, message.stamp)
    if (!this.#led.leadsSurely(now)) return
    this.#led.send(from, { kind: 'beatAnswer', shard: message.shard, session: message.session, stamp: message.stamp, leaseClock: this.#led.leaseNow(now) })
  }

  /**
   * A session over a new connection: leases that it lacks are sent again under the same token, leases that it only believes in are called
   * lost. Only to be called when a quorum has confirmed the lead since the message came: the books of a leader that was followed by
   * another may still hold leases whose end that one has acknowledged.
   */
  resume(now: Now, from: Endpoint, message: ClientMessage & { kind: 'resume' }): void {
    const { shard, session } = message
    if (this.#led.proposable !== 'yes') {
      this.#answer(from, session, 0, Code.notLeader, this.#led.redirect())
      return
    }
    if (!this.#led.books.hasSession(session)) {
      this.#answer(from, session, 0, Code.sessionExpired, NOTHING)
      return
    }
    this.#heard(now, session, from, message.stamp)
    this.#deliveries.forget(session)
    const key = (lease: { partition: number; number: number; token: number }): string => `${lease.partition} ${lease.number} ${lease.token}`
    const held = this.#led.books.leasesOf(session)
    const holds = new Set(held.map(key))
    const believed = new Set(message.leases.map(key))
    this.#receipts.listed(session)
    for (const lease of held) {
      if (believed.has(key(lease))) continue
      const again = this.#deliveries.again(session, lease)
      if (again !== undefined) this.#receipts.expect(again)
    }
    for (const lease of message.leases) {
      if (holds.has(key(lease))) continue
      this.#led.send(from, { kind: 'lost', shard, session, partition: lease.partition, reason: LostReason.unknown, jobs: [lease] })
    }
  }

  gone(endpoint: Endpoint): void {
    for (const session of this.#presences.gone(endpoint)) {
      this.#demands.forget(session)
      this.#deliveries.forget(session)
    }
  }

  // ---- from the books --------------------------------------------------------------------------------------------

  answer(index: LogIndex, session: SessionNumber, sequence: number, code: Code, body: Uint8Array): void {
    const to = this.#presences.of(session)?.endpoint ?? this.#underWay.get(index)?.from
    if (to !== undefined) this.#answer(to, session, sequence, code, body)
  }

  leased(leased: Leased): void {
    this.#receipts.expect(leased)
    this.#deliveries.add(leased)
  }

  lostLease(partition: PartitionId, session: SessionNumber, reason: number, jobs: readonly { readonly number: JobNumber; readonly token: FencingToken }[]): void {
    if (reason === LostReason.expired) this.#demands.leaseRanOut(session)
    const to = this.#presences.of(session)?.endpoint
    if (to !== undefined) this.#led.send(to, { kind: 'lost', shard: this.#led.shard, session, partition, reason, jobs })
  }

  /** Of the leases that end with deadlines up to `through`, those that no worker is known to have had; asked once, for the tick. */
  unreceived(through: LeaseTime): LeaseName[] {
    return this.#receipts.lapse(through)
  }

  /** The entry at `index` has been applied, its effects are out. */
  applied(index: LogIndex): void {
    const entry = this.#underWay.get(index)
    if (entry === undefined) return
    this.#underWay.delete(index)
    this.#underWayBytes -= entry.bytes
    this.#settle(entry.effect)
  }

  // ---- once a turn -----------------------------------------------------------------------------------------------

  turn(now: Now): void {
    if (this.#led.proposable === 'yes') this.#demands.plan(this.#led.books, (plan) => this.#acquire(now, plan))
    // What has waited for its payload may be under way for a leader that was followed by another while it stood still: that one may have
    // acknowledged the end of the lease since.
    if (this.#led.leadsSurely(now)) this.#deliveries.send((session) => this.#presences.of(session))
  }

  /** Who waits for it goes without: its jobs are lost to their worker when their leases end, and nobody waits behind them. */
  unreadable(index: LogIndex): void {
    this.#deliveries.unreadable(index)
  }

  /** What is kept for clients. */
  get load(): ServiceLoad {
    return { presences: this.#presences.size, expected: this.#receipts.most }
  }

  /** The lead is lost: whoever waits is told to ask the next leader. */
  lostLead(): void {
    const redirect = this.#led.redirect()
    for (const entry of this.#underWay.values()) {
      if (entry.from !== undefined) this.#answer(entry.from, entry.session, entry.sequence, Code.unknown, redirect)
    }
    for (const endpoint of this.#presences.endpoints()) {
      this.#led.send(endpoint, { kind: 'answer', shard: this.#led.shard, session: 0 as SessionNumber, sequence: 0, code: Code.notLeader, stamp: 0, leaseClock: 0 as LeaseTime, body: redirect })
    }
    this.#underWay.clear()
    this.#underWayBytes = 0
    this.#demands.clear()
    this.#presences.clear()
    this.#deliveries.clear()
    this.#receipts.clear()
  }

  // ---- inside ----------------------------------------------------------------------------------------------------

  /** Of a session that is not open nothing is kept: a peer can make up as many as it likes. */
  #heard(now: Now, session: SessionNumber, from: Endpoint, stamp: number): void {
    if (!this.#led.books.hasSession(session)) return
    this.#presences.heard(session, from, stamp, this.#led.leaseNow(now), this.#led.leadsSurely(now))
    this.#demands.heard(session)
  }

  #refusal(command: Command): Code {
    if (this.#led.proposable === 'notLeader') return Code.notLeader
    if (this.#led.proposable === 'noQuorum') return Code.noQuorum
    if (command.operation !== Operation.add) return Code.ok
    if (this.#led.tooFewMasters) return Code.noQuorum
    return this.#led.lacksRoom || this.#underWayBytes > UNDER_WAY_BYTES_MAX ? Code.backpressure : Code.ok
  }

  #acquire(now: Now, plan: AcquirePlan): void {
    const bytes = logTable.encode({ kind: 'acquire', leaseNow: 0 as LeaseTime, wallNow: 0 as never, ...plan })
    const index = this.#led.propose(now, bytes)
    this.#underWay.set(index, { from: undefined, session: plan.session, sequence: 0, bytes: bytes.length, effect: { kind: 'acquire', partition: plan.partition, session: plan.session, count: plan.count } })
    this.#underWayBytes += bytes.length
  }

  /** What an appended command will change in the sums of demand; malformed bodies change nothing and are answered when applied. */
  #expect(command: Command): Effect | undefined {
    try {
      if (command.operation === Operation.add) {
        const { partition, names, count } = decode(addBody, command.body)
        this.#demands.addAppended(partition, names, count)
        return { kind: 'add', partition }
      }
      if (command.operation === Operation.complete || command.operation === Operation.fail || command.operation === Operation.release) {
        const { partition, groups } = decode(leasedBody, command.body)
        const count = countLeased(groups, command.operation)
        this.#demands.freeing(partition, command.session, count)
        return { kind: 'free', partition, session: command.session, count }
      }
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error
    }
    return undefined
  }

  #settle(effect: Effect | undefined): void {
    if (effect === undefined) return
    if (effect.kind === 'add') this.#demands.addApplied(effect.partition)
    else if (effect.kind === 'free') this.#demands.freeing(effect.partition, effect.session, -effect.count)
    else this.#demands.acquireApplied(effect.partition, effect.session, effect.count)
  }

  #answer(to: Endpoint, session: SessionNumber, sequence: number, code: Code, body: Uint8Array): void {
    const presence = this.#presences.of(session)
    this.#led.send(to, { kind: 'answer', shard: this.#led.shard, session, sequence, code, stamp: presence?.stamp ?? 0, leaseClock: presence?.leaseClock ?? (0 as LeaseTime), body })
  }
}

function countLeased(groups: Uint8Array, operation: Operation): number {
  const reader = new LeasedGroupsReader(groups, operation)
  let count = 0
  while (reader.nextGroup()) while (reader.nextItem()) count++
  return count
}

interface UnderWay {
  readonly from: Endpoint | undefined
  readonly session: SessionNumber
  readonly sequence: number
  readonly bytes: number
  readonly effect: Effect | undefined
}

type Effect =
  | { readonly kind: 'add'; readonly partition: PartitionId }
  | { readonly kind: 'free'; readonly partition: PartitionId; readonly session: SessionNumber; readonly count: number }
  | { readonly kind: 'acquire'; readonly partition: PartitionId; readonly session: SessionNumber; readonly count: number }

const NOTHING: Uint8Array = new Uint8Array(0)

