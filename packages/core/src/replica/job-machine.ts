//! A job shard as a hosted machine: the books, and, while this node leads, the service that stands between them and the
//! clients. The leader also says when time has passed: leases expire and delays end by its tick entries alone.
//!
//! Before the first entry of its own term is applied a leader's books may lag behind what an earlier leader has answered:
//! until then it tells nobody what is in them, or a job whose completion was acknowledged could be handed out again. Commands need not
//! wait so long, since what comes of one is decided when it is applied; and what is said to a copy that was told to lead waits until it does.
//!
//!   told to stand ──wins──▶ leads ──first own entry applied──▶ serves
//!     all waits             commands are appended, the rest waits

import type { Now } from '../actor.ts'
import type { Imaging, Walk } from '../message/image.ts'
import type { Endpoint } from '../lead/endpoint.ts'
import { Parked } from '../lead/parked.ts'
import { type PostDesk, PostOffice } from '../lead/post-office.ts'
import type { Led } from '../lead/service.ts'
import { Service, type ServiceLoad } from '../lead/service.ts'
import type { ClientMessage } from '../message/client.ts'
import { Code, logTable, post } from '../message/command.ts'
import { u32At } from '../message/layout.ts'
import type { PostMessage } from '../message/posts.ts'
import { parseForShard, refusal, type ShardMessage, type ShardService } from '../front/front.ts'
import { Shard, type ShardEffects } from '../shard.ts'
import type { FencingToken, LeaseTime, LogIndex, PartitionId, ShardId, WallTime } from '../units.ts'
import type { LedWaits } from './boundary.ts'
import type { Hosted } from './hosted.ts'
import type { Machine } from './machine.ts'
import { answerQuery } from './queries.ts'

/** Retention and forgotten sessions need no hurry: for them alone a shard ticks this seldom, and not at all while it keeps nothing. */
const HOUSEKEEPING_MS = 60_000
/** A wall clock may jump while a shard rests: what is scheduled is looked at this often, so that it is late by no more. */
const DUE_LOOK_MS = 10_000
/** Freed entries are told to the journal in lots. */
const FREED_MAX = 1024

export interface JobMachineOutbox {
  send(to: Endpoint, message: ClientMessage): void
  entry(shard: ShardId, index: LogIndex): Uint8Array | undefined
  fetch(shard: ShardId, index: LogIndex): void
  release(shard: ShardId, indexes: readonly LogIndex[]): void
  redirect(shard: ShardId): Uint8Array
  /** Partitions that the registry has placed on the shard. */
  placed(shard: ShardId): readonly { readonly partition: PartitionId; readonly topic: string; readonly settings: Uint8Array; readonly version: number }[]
  minMasters(): number
  /** To whoever leads that shard, here or elsewhere; it may get lost. */
  post(to: ShardId, message: PostMessage): void
  /** The recovery epoch that the registry knows of a shard. */
  recoveryOf(shard: ShardId): number
}

export class JobMachine implements Machine, ShardService {
  readonly #shard: ShardId
  readonly #out: JobMachineOutbox
  #books: Shard
  #hosted: Hosted | undefined
  readonly #service: Service
  #leads = false
  /** The first entry of the term that this node leads. */
  #firstOwn = 0
  /** Leases up to this deadline are over, once every socket has been read again. */
  #expireThrough = -Infinity
  #tickAt = 0
  #tickWanted = false
  #tickUnderWay = false
  #freed: LogIndex[] = []
  /** As of the last turn. */
  #lacksRoom = false
  /** Partitions that an entry under way opens, or gives these settings. */
  readonly #opening = new Map<PartitionId, number>()
  readonly #parked = new Parked()
  readonly #posts: PostOffice

  constructor(shard: ShardId, out: JobMachineOutbox) {
    this.#shard = shard
    this.#out = out
    this.#books = new Shard(shard)
    this.#service = new Service(this.#led)
    this.#posts = new PostOffice(this.#postDesk)
  }

  attach(hosted: Hosted): void {
    this.#hosted = hosted
  }

  get books(): Shard {
    return this.#books
  }

  /** Leads, and has applied everything that earlier leaders may have answered for. */
  get serves(): boolean {
    return this.#leads && this.#host.applied >= this.#firstOwn
  }

  /** It keeps something for clients. */
  get isOccupied(): boolean {
    return this.serves || this.#parked.size > 0
  }

  /** What is kept for clients while this node leads, or is about to. */
  get load(): ServiceLoad & { readonly sessions: number; readonly parkedBytes: number } {
    const { presences, expected } = this.#service.load
    return { presences, expected, sessions: this.#books.openSessions, parkedBytes: this.#parked.bytes }
  }

  /** What the books wait for. */
  get waits(): Omit<LedWaits, 'shard'> {
    const { dueNext, topics, leaseCount, outbox } = this.#books
    return { topics, dueAt: dueNext, leases: leaseCount, isBusy: outbox.size > 0 || this.#tickWanted || this.#tickUnderWay }
  }

  get #host(): Hosted {
    return this.#hosted!
  }

  // ---- the machine -----------------------------------------------------------------------------------------------

  apply(index: LogIndex, entry: Uint8Array): void {
    this.#books.apply(index, entry, this.#effects)
    if (entry[0] === TICK) this.#tickUnderWay = false
    if (this.#leads) this.#service.applied(index)
    if (this.#leads && entry[0] === post.tag) this.#posts.applied(senderOf(entry))
    if (this.#freed.length >= FREED_MAX) this.#release()
  }

  freeze(): Imaging {
    return this.#books.freeze()
  }

  *restoring(pieces: Uint8Array[]): Walk {
    this.#books = yield* Shard.restoring(this.#shard, pieces)
  }

  digest(): string {
    return this.#books.digest()
  }

  needs(index: LogIndex): boolean {
    return this.#books.holdsEntry(index)
  }

  livePayloads(from: LogIndex, through: LogIndex): readonly LogIndex[] {
    return this.#books.liveEntries(from, through)
  }

  nextPayload(from: LogIndex): number {
    return this.#books.nextLive(from)
  }

  lead(leads: boolean): void {
    if (this.#leads) this.#service.lostLead()
    this.#leads = leads
    this.#firstOwn = leads ? this.#host.master.lastIndex : 0
    this.#expireThrough = -Infinity
    this.#tickWanted = false
    this.#tickUnderWay = false
    this.#opening.clear()
    this.#posts.clear()
  }

  wake(now: Now): void {
    if (!this.serves || this.#tickUnderWay) return
    const leaseNow = this.#host.master.leaseNow(now)
    if (this.#books.leaseDeadlineNext > leaseNow && this.#books.dueNext > this.#host.master.wallNow(now) && this.#housekeepingAt(now) > now.monotonic) return
    this.#expireThrough = leaseNow
    this.#tickWanted = true
  }

  turn(now: Now): void {
    this.#release()
    if (this.#parked.size > 0) this.#unpark(now)
    if (!this.serves) return
    this.#lacksRoom = this.#host.master.lacksRoom
    this.#openPlaced(now)
    this.#tick(now)
    this.#posts.turn(now)
    this.#service.turn(now)
  }

  wakeAt(now: Now): number {
    if (!this.serves) return Infinity
    if (this.#tickUnderWay || this.#tickWanted) return this.#posts.wakeAt
    const lease = this.#books.leaseDeadlineNext - this.#host.master.leaseNow(now)
    const { dueNext } = this.#books
    const due = dueNext === Infinity ? Infinity : Math.min(DUE_LOOK_MS, dueNext - this.#host.master.wallNow(now))
    return Math.min(now.monotonic + Math.max(0, Math.min(lease, due)), this.#housekeepingAt(now), this.#posts.wakeAt)
  }

  #housekeepingAt(now: Now): number {
    const { master } = this.#host
    const next = Math.min(this.#books.retentionNext - master.wallNow(now), this.#books.sessionNext - master.leaseNow(now))
    return Math.max(this.#tickAt, now.monotonic + Math.max(0, next))
  }

  /** What was put off may be due, housekeeping too. */
  clockMoved(): void {
    this.#tickAt = 0
    this.#host.stir()
  }

  get isIdle(): boolean {
    return this.#books.leaseDeadlineNext === Infinity && this.#books.outbox.size === 0 && !this.#tickUnderWay && !this.#tickWanted
  }

  unreadable(index: LogIndex): void {
    if (this.#leads) this.#service.unreadable(index)
  }

  // ---- clients ---------------------------------------------------------------------------------------------------

  receive(now: Now, from: Endpoint, bytes: Uint8Array, message: ShardMessage): void {
    this.#host.stir()
    if (this.serves) this.#serve(now, from, bytes, message)
    else if (!this.#isAwaited || !this.#parked.add(from, bytes)) this.#refuse(from, message)
  }

  /** It leads, or was told to: whoever speaks to it is answered in a moment. */
  get #isAwaited(): boolean {
    return this.#leads || this.#host.master.isSucceeding
  }

  #refuse(from: Endpoint, message: ShardMessage): void {
    this.#out.send(from, refusal(message, this.#out.redirect(this.#shard)))
  }

  /** In their order: as far as this copy has come, each is served, appended, left waiting, or turned away. */
  #unpark(now: Now): void {
    for (const { from, bytes } of this.#parked.take()) {
      const message = parseForShard(bytes)
      if (message === undefined) continue
      if (this.serves || (this.#leads && message.kind === 'command')) this.#serve(now, from, bytes, message)
      else if (!this.#isAwaited || !this.#parked.add(from, bytes)) this.#refuse(from, message)
    }
  }

  #serve(now: Now, from: Endpoint, bytes: Uint8Array, message: ShardMessage): void {
    switch (message.kind) {
      case 'command':
        return this.#service.command(now, from, bytes, message)
      case 'demand':
        return this.#service.demand(now, from, message)
      case 'received':
        return this.#service.received(message)
      case 'beat':
        return this.#service.beat(now, from, message)
      case 'resume':
        return this.#host.read(now, (ok) => (ok && this.serves ? this.#service.resume(now, from, message) : this.#refuse(from, message)))
      case 'query':
        return this.#host.read(now, (ok) => this.#out.send(from, ok ? answerQuery(this.#books, message) : { kind: 'queryAnswer', request: message.request, code: Code.notLeader, body: this.#out.redirect(this.#shard) }))
      default:
        message satisfies never
    }
  }

  gone(endpoint: Endpoint): void {
    this.#host.stir()
    this.#parked.gone(endpoint)
    this.#service.gone(endpoint)
  }

  /** From the leader of another shard, or of this one. */
  post(now: Now, message: PostMessage): void {
    if (!this.serves) return
    this.#host.stir()
    this.#posts.receive(now, message)
  }

  // ---- inside ----------------------------------------------------------------------------------------------------

  readonly #effects: ShardEffects = {
    answer: (index, session, sequence, code, body) => {
      if (this.#leads) this.#service.answer(index, session, sequence, code, body)
    },
    leased: (leased) => {
      if (this.#leads) this.#service.leased(leased)
    },
    lostLease: (partition, session, reason, jobs) => {
      if (this.#leads) this.#service.lostLease(partition, session, reason, jobs)
    },
    payloadFree: (index) => {
      this.#freed.push(index)
    },
  }

  get #led(): Led {
    const machine = this
    return {
      shard: this.#shard,
      get books() {
        return machine.#books
      },
      get proposable() {
        return machine.#leads ? machine.#host.master.proposable : 'notLeader'
      },
      get tooFewMasters() {
        return machine.#host.master.configuration.voters.length < machine.#out.minMasters()
      },
      get lacksRoom() {
        return machine.#lacksRoom
      },
      get term() {
        return machine.#host.master.term
      },
      leaseNow: (now) => machine.#host.master.leaseNow(now),
      wallNow: (now) => machine.#host.master.wallNow(now),
      leadsSurely: (now) => machine.#host.master.leadsSurely(now),
      propose: (now, entry) => machine.#host.propose(now, entry),
      entry: (index) => machine.#out.entry(machine.#shard, index),
      fetch: (index) => machine.#fetch(index),
      redirect: () => machine.#out.redirect(machine.#shard),
      send: (to, message) => machine.#out.send(to, message),
    }
  }

  get #postDesk(): PostDesk {
    const machine = this
    return {
      shard: this.#shard,
      get books() {
        return machine.#books
      },
      get isOpen() {
        return machine.#leads && machine.#host.master.proposable === 'yes'
      },
      get lacksRoom() {
        return machine.#lacksRoom
      },
      propose: (now, entry) => {
        machine.#host.propose(now, entry)
      },
      entry: (index) => machine.#out.entry(machine.#shard, index),
      fetch: (index) => machine.#fetch(index),
      send: (to, message) => machine.#out.post(to, message),
      recoveryOf: (shard) => machine.#out.recoveryOf(shard),
    }
  }

  #fetch(index: LogIndex): void {
    if (!this.#host.isMending(index)) this.#out.fetch(this.#shard, index)
  }

  /** A lease only expires when every socket has been read once since its deadline: an extension may lie there. */
  #tick(now: Now): void {
    if (!this.#tickWanted || this.#host.master.proposable !== 'yes') return
    this.#tickWanted = false
    const expireThrough = Math.max(0, this.#expireThrough) as LeaseTime
    this.#expireThrough = -Infinity
    this.#tickAt = now.monotonic + HOUSEKEEPING_MS
    this.#tickUnderWay = true
    const unreceived = this.#service.unreceived(expireThrough)
    const known = unreceived.length <= UNRECEIVED_MAX
    // Beyond what is applied here, an acquire under way may lease what ends with this very tick, and nobody will have had it.
    this.#host.propose(now, logTable.encode({
      kind: 'tick', leaseNow: 0 as never, wallNow: 0 as WallTime, expireThrough,
      knownFrom: (known ? this.#firstOwn : this.#host.applied + 1) as FencingToken, knownThrough: this.#host.applied as number as FencingToken, unreceived: known ? unreceived : [],
    }))
  }

  #openPlaced(now: Now): void {
    if (this.#host.master.proposable !== 'yes') return
    for (const place of this.#out.placed(this.#shard)) {
      const known = this.#opening.get(place.partition) ?? (this.#books.hasPartition(place.partition) ? this.#books.settingsVersionOf(place.partition) : -1)
      if (known >= place.version) continue
      this.#opening.set(place.partition, place.version)
      this.#host.propose(now, logTable.encode({ kind: 'partitionOpen', leaseNow: 0 as never, wallNow: 0 as WallTime, partition: place.partition, topic: place.topic, settings: place.settings }))
    }
  }

  #release(): void {
    if (this.#freed.length === 0) return
    this.#out.release(this.#shard, this.#freed)
    this.#freed = []
  }
}

const TICK = 0x43
/** Behind the tag and the two times. */
const senderOf = (entry: Uint8Array): ShardId => u32At(entry, 17) as ShardId
/** So many are named in one tick: with more, none of its leases counts against a job. */
const UNRECEIVED_MAX = 4096
