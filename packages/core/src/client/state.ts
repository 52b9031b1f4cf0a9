//! Everything a client knows, as plain records. The other files of this folder are functions over it, one concern each:
//!
//!   client.ts    which input goes where; the order of a turn      asks.ts      what users ask for
//!   links.ts     connections: home, direct, broken, silent        routing.ts   topic, shard, leader, link; backoff
//!   session.ts   sequences, repeats, definite or Unknown          adding.ts    partition choice, batches of adds
//!   leasing.ts   deliveries, completes, extensions                holdings.ts  leases believed in, until the bound
//!   demand.ts    grants over partitions                           worker.ts    workers open, stop
//!   pull.ts      acquire                                          query.ts     reads, status, wishes
//!
//! `shard` -> `sessions`: one for adds and cancels, and one for each worker, since leases belong to a session and a
//! demand is one per session and partition.

import type { Heap } from '../heap.ts'
import type { NodeWish } from '../message/client.ts'
import type { TopicSettings } from '../message/posts.ts'
import type { Random } from '../random.ts'
import type { Address, FencingToken, Instant, JobNumber, LeaseTime, NodeId, PartitionId, SessionNumber, ShardId } from '../units.ts'
import type { Added, AddItem, ErrorCode, LeasedJob, LinkId, Outcome, WorkerNumber } from './api.ts'
import type { LeaseBound } from './lease-bound.ts'

export interface State {
  readonly random: Random
  readonly payloadBytesMax: number
  readonly links: Map<LinkId, Link>
  readonly linkOf: Map<Address, LinkId>
  /** Ways into the cluster: the ones given, then those of leaders that were heard of. */
  readonly addresses: Address[]
  readonly broken: Map<Address, Broken>
  readonly topics: Map<string, Topic>
  readonly shards: Map<ShardId, Shard>
  readonly workers: Map<WorkerNumber, Worker>
  readonly pulls: Map<string, Pull>
  /** Questions to a node that are on their way, by their number on the wire. */
  readonly lookups: Map<number, Lookup>
  readonly queries: Map<number, Query>
  /** Gathered since the last turn. */
  readonly addGathers: AddGather[]
  readonly leaseGathers: LeaseGather[]
  /** What has a time-out, by (deadline, number): entries of `timers` that are gone are skipped. */
  readonly deadlines: Heap
  readonly timers: Map<number, Timed>
  /** Commands that have their outcome, until the facade has told whom it concerns. */
  readonly settled: Settled[]
  home: LinkId
  nextLink: number
  nextTimer: number
  nextWire: number
  nextOpen: number
  nextPullWorker: number
  addBytes: number
  closing: Closing | undefined
  closed: boolean
}

export interface Link {
  readonly id: LinkId
  readonly address: Address
  state: 'opening' | 'up'
  since: Instant
  /** When the oldest message was sent for which an answer is due; `never` when none is. */
  owedSince: Instant
  probed: boolean
}

export interface Broken {
  attempts: number
  until: Instant
  /** Not tried before this where a relay does. */
  directAt: Instant
}

export interface Topic {
  readonly name: string
  state: 'unknown' | 'asked' | 'known' | 'missing'
  partitions: readonly Place[]
  /** Somebody adds to it, so it is made when it is unknown. */
  create: boolean
  /** How many partitions it is made with; 0 is the default. */
  wanted: number
  attempts: number
  askAt: Instant
  roundRobin: number
  /** Adds and others that wait for its partitions. */
  readonly waiting: Request[]
}

export interface Place {
  readonly partition: PartitionId
  readonly shard: ShardId
}

export interface Shard {
  readonly id: ShardId
  /** By which topic's `locate` its leader is asked for. */
  readonly topic: Topic
  leader: NodeId | undefined
  address: Address | undefined
  /** What its messages go over; 0 while there is none. */
  link: LinkId
  attempts: number
  redirects: number
  /** When a redirect was followed last. */
  followedAt: Instant
  /** Nothing is sent before. */
  retryAt: Instant
  readonly sessions: Session[]
  readonly byNumber: Map<SessionNumber, Session>
}

export interface Session {
  readonly shard: Shard
  readonly worker: Worker | undefined
  /** `expiring`: the shard does not know it any more; what is on its way is waited for, then a new one is opened. */
  state: 'new' | 'opening' | 'open' | 'expiring'
  number: SessionNumber
  openSequence: number
  openLink: LinkId
  openedAt: Instant
  nextSequence: number
  readonly queue: Command[]
  /** Unanswered commands by sequence, which rises in the order of the map. */
  readonly inFlight: Map<number, Command>
  /** How many of them are on no link. */
  unsent: number
  /** When the unanswered ones are next looked at; `never` when none is on a link. */
  checkAt: Instant
  /** The connection or the leader is another: leases are said again, then demands. */
  resume: boolean
  /** When they were last said. */
  resumedAt: Instant
  /** When a stamp was last sent. */
  stampAt: Instant
  bound: LeaseBound | undefined
  /** No lease has an earlier deadline; may be too early. */
  earliest: LeaseTime
  readonly slots: Map<PartitionId, Slot>
}

export type Work =
  | { readonly kind: 'add'; readonly partition: PartitionId; readonly parts: readonly AddPart[]; readonly bytes: number }
  | { readonly kind: 'lease'; readonly slot: Slot; readonly how: LeaseWork; readonly parts: readonly LeasePart[] }
  | { readonly kind: 'cancel'; readonly request: number }
  | { readonly kind: 'close' }

export type LeaseWork = 'complete' | 'fail' | 'extend' | 'release'

export interface Command {
  readonly timed: 'command'
  readonly timer: number
  readonly deadlineAt: Instant
  readonly session: Session
  /** Whole, but for where it goes: that is written in when it is sent. What was sent before is never written to again. */
  bytes: Uint8Array
  fresh: boolean
  readonly work: Work
  /** 0 until it is first sent. */
  sequence: number
  /** The link of the sending that is unanswered; 0: none. */
  link: LinkId
  sentAt: Instant
  repeatMs: number
  /** An earlier sending may have been appended: its fate was never told. */
  doubtful: boolean
}

export interface Settled {
  readonly command: Command
  readonly code: ErrorCode | 'ok'
  readonly detail: string
  readonly body: Uint8Array
}

/** A run of an add's items that go to one partition. */
export interface AddPart {
  readonly request: Request
  readonly start: number
  readonly count: number
}

export interface LeasePart {
  readonly request: number
  readonly lease: Lease
  readonly bytes: Uint8Array | undefined
  readonly mode: number
  readonly retryAfterMs: number
}

/** An add until all its parts are settled, or whatever waits for a topic's partitions. */
export interface Request {
  readonly timed: 'request'
  readonly timer: number
  readonly number: number
  readonly topic: Topic
  readonly deadlineAt: Instant
  readonly timeoutMs: number
  readonly then: Then
  /** Parts without an outcome; 0 while it waits for the topic. */
  parts: number
  added: Added | undefined
  failed: ErrorCode | undefined
  /** Some parts failed, some did not or not alike. */
  mixed: boolean
  detail: string
  done: boolean
}

export type Then =
  | { readonly kind: 'add'; readonly items: readonly AddItem[] }
  | { readonly kind: 'cancel'; readonly partition: PartitionId; readonly jobs: readonly JobNumber[] }
  | { readonly kind: 'query'; readonly partition: PartitionId | undefined; readonly operation: number; readonly body: Uint8Array }
  | { readonly kind: 'locate' }

export interface AddGather {
  readonly place: Place
  readonly timeoutMs: number
  readonly deadlineAt: Instant
  readonly parts: AddPart[]
  count: number
  bytes: number
}

export interface LeaseGather {
  readonly slot: Slot
  readonly how: LeaseWork
  readonly leaseMs: number
  readonly timeoutMs: number
  readonly parts: LeasePart[]
  bytes: number
}

export interface Lookup {
  readonly kind: 'locate' | 'query' | 'status' | 'wish' | 'topicWish' | 'probe'
  readonly link: LinkId
  readonly sentAt: Instant
  readonly topic: Topic | undefined
  readonly query: Query | undefined
  readonly part: QueryPart | undefined
}

/** A shard's books are read through its leader; the rest is asked of any node. */
export type Question =
  | { readonly kind: 'query'; readonly topic: Topic; readonly partition: PartitionId | undefined; readonly operation: number; readonly body: Uint8Array }
  | { readonly kind: 'status' }
  | { readonly kind: 'wish'; readonly wish: NodeWish; readonly node: NodeId; readonly force: boolean }
  | { readonly kind: 'topicWish'; readonly name: string; readonly partitions: number; readonly settings: TopicSettings }

export interface Query {
  readonly timed: 'query'
  readonly timer: number
  readonly number: number
  readonly about: Question
  /** Of a wish, the same in all its repeats. */
  readonly id: number
  readonly parts: QueryPart[]
}

export interface QueryPart {
  readonly place: Place | undefined
  /** 0: not on its way. */
  wire: number
  answer: Uint8Array | undefined
  askAt: Instant
  attempts: number
}

export interface Worker {
  readonly number: WorkerNumber
  readonly topic: Topic
  readonly names: readonly string[]
  leaseMs: number
  concurrency: number
  readonly pull: Pull | undefined
  state: 'open' | 'draining' | 'releasing'
  readonly stops: Stop[]
  /** One a partition, in their order; empty until the topic is located. */
  readonly slots: Slot[]
  /** Index of the slot that wins ties. */
  home: number
  /** Something changed that grants depend on. */
  dirty: boolean
  rebalanceAt: Instant
  extendAt: Instant
}

export interface Stop {
  readonly timed: 'stop'
  readonly timer: number
  readonly worker: Worker
  readonly request: number
}

/** A worker's standing with one partition. */
export interface Slot {
  readonly worker: Worker
  readonly session: Session
  readonly partition: PartitionId
  readonly leases: Map<JobNumber, Lease>
  /** Jobs whose end is on its way. */
  finishing: number
  /** Leases that ended here by the bound, before the shard said so. */
  readonly givenUp: Map<JobNumber, FencingToken>
  grant: number
  number: number
  /** The newest demand that was answered. */
  answered: number
  /** What may be in force at the leader: the newest answered demand and those behind it. */
  readonly sent: { readonly number: number; readonly grant: number }[]
  /** Leases and acquires under way as the leader last counted them, less those that have ended since. */
  held: number
  oldestWaitingMs: number
  dirty: boolean
  refreshAt: Instant
  /** Of the newest lease that was delivered: an earlier one comes again only because it was asked for. */
  newestToken: FencingToken
  /** Since when the leader has counted more leases than were delivered; `never` while it has not. */
  missingSince: Instant
}

/** What was handed out is the lease itself: one object a job. */
export interface Lease extends LeasedJob {
  readonly slot: Slot
  deadline: LeaseTime
  /** Own time at which it began or was last extended. */
  at: Instant
  state: 'active' | 'finishing'
  extending: boolean
}

/** The acquires of a topic: one after the other over one worker of its own. */
export interface Pull {
  readonly topic: Topic
  worker: Worker | undefined
  readonly queue: PullRequest[]
  /** The slot that has the grant. */
  at: number
  state: 'idle' | 'asking' | 'closing'
  closeBy: Instant
  collected: LeasedJob[]
  /** A leader has answered the request that is under way. */
  heard: boolean
}

export interface PullRequest {
  readonly timed: 'pull'
  readonly timer: number
  readonly pull: Pull
  readonly number: number
  readonly max: number
  readonly leaseMs: number
  readonly waitUntil: Instant
  readonly deadlineAt: Instant
  abandoned: boolean
}

export interface Closing {
  readonly timed: 'closing'
  readonly timer: number
  readonly request: number
  sessionsClosed: boolean
}

export type Timed = Command | Request | Query | Stop | PullRequest | Closing
export type { Outcome }
