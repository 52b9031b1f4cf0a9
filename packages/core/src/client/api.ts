//! What goes into a client actor and what comes out of it. The SDK wraps this in promises, the simulator plays it as it is.
//!
//! Every request carries a number of the caller's choice (above 0, unique among the open ones) and gets exactly one `done`
//! with it. A request number 0 asks for no `done`.

import type { JobOptions } from '../message/command.ts'
import type { NodeWish } from '../message/client.ts'
import type { TopicSettings } from '../message/posts.ts'
import type { Address, FencingToken, Instant, JobNumber, NodeId, PartitionId, ShardId } from '../units.ts'

declare const brand: unique symbol
/** A connection to a node, numbered by the client from 1; 0 is none. */
export type LinkId = number & { readonly [brand]: 'LinkId' }
/** Chosen by whoever opens the worker, from 1; pulls (`acquire`) take numbers from `PULL_WORKERS` up. */
export type WorkerNumber = number & { readonly [brand]: 'WorkerNumber' }
export const PULL_WORKERS = 0x4000_0000

export interface AddItem {
  readonly name: string
  /** Kept until the add has its outcome: not to be written to meanwhile. */
  readonly payload: Uint8Array
  readonly options?: JobOptions
}

/** Which lease is meant: as it was handed out in a `LeasedJob`. */
export interface LeaseKey {
  readonly worker: WorkerNumber
  readonly partition: PartitionId
  readonly number: JobNumber
  readonly token: FencingToken
}

export interface LeasedJob extends LeaseKey {
  readonly name: string
  readonly attempt: number
  readonly maxAttempts: number
  readonly leaseMs: number
  /** 0: none. */
  readonly timeoutMs: number
  readonly headers: readonly (readonly [string, string])[]
  /** Own time at which the worker must hold the lease to be over, unless it is extended. */
  readonly heldUntil: Instant
  /** A view of the message it came in. */
  readonly payload: Uint8Array
  /** Whatever the holder wants to find again by the lease; the client never looks at it. */
  tag: unknown
}

/** How many jobs were added where, in the order of the items. */
export interface Added {
  readonly partitions: Uint32Array
  /** Job numbers; 0 where it is not known that the item was added. */
  readonly numbers: Float64Array
  /** 1 where the item repeats a job that was there. */
  readonly duplicates: Uint8Array
}

export type ClientInput =
  | { readonly kind: 'start' }
  | { readonly kind: 'linkUp' | 'linkDown'; readonly link: LinkId }
  | { readonly kind: 'message'; readonly link: LinkId; readonly bytes: Uint8Array }
  | { readonly kind: 'add'; readonly request: number; readonly topic: string; readonly items: readonly AddItem[]; readonly timeoutMs: number }
  | LeaseInput
  | { readonly kind: 'cancel'; readonly request: number; readonly topic: string; readonly partition: PartitionId; readonly jobs: readonly JobNumber[]; readonly timeoutMs: number }
  | { readonly kind: 'work'; readonly worker: WorkerNumber; readonly topic: string; readonly names: readonly string[]; readonly concurrency: number; readonly leaseMs: number }
  | { readonly kind: 'setConcurrency'; readonly worker: WorkerNumber; readonly concurrency: number }
  /** `drain` waits until the active jobs have been finished by the user, `release` hands them back. */
  | { readonly kind: 'stopWork'; readonly request: number; readonly worker: WorkerNumber; readonly how: 'drain' | 'release'; readonly timeoutMs: number }
  /** Leases at most `max` jobs; answers as soon as there is one, or without any after `waitMs` (0: do not wait for jobs). */
  | { readonly kind: 'acquire'; readonly request: number; readonly topic: string; readonly max: number; readonly leaseMs: number; readonly waitMs: number; readonly timeoutMs: number }
  /** The caller no longer waits: an acquire or a query ends at once, and jobs that an acquire still gets are handed back. */
  | { readonly kind: 'abandon'; readonly request: number }
  /** A linearizable read: `operation` and `body` as in `message/client.ts`; of one partition, or of all of the topic. */
  | { readonly kind: 'query'; readonly request: number; readonly topic: string; readonly partition?: PartitionId | undefined; readonly operation: number; readonly body: Uint8Array; readonly timeoutMs: number }
  /** Where a topic is; `create` makes it with `partitions` (0: the default) when it is unknown. */
  | { readonly kind: 'locate'; readonly request: number; readonly topic: string; readonly create: boolean; readonly partitions: number; readonly timeoutMs: number }
  | { readonly kind: 'status'; readonly request: number; readonly timeoutMs: number }
  /** What an operator wants of a node: `wish` is a `NodeWish` of `message/client.ts`. */
  | { readonly kind: 'wish'; readonly request: number; readonly wish: NodeWish; readonly node: NodeId; readonly force: boolean; readonly timeoutMs: number }
  /** Makes a topic, or gives one that exists these settings; another count of partitions than it has is refused. */
  | { readonly kind: 'topicWish'; readonly request: number; readonly name: string; readonly partitions: number; readonly settings: TopicSettings; readonly timeoutMs: number }
  /** Hands every lease back, waits for what is unanswered, closes sessions and links. */
  | { readonly kind: 'close'; readonly request: number; readonly timeoutMs: number }
  /** Every socket that had something to read has been read: batches go out. */
  | { readonly kind: 'turn' }

export type LeaseInput = { readonly request: number; readonly lease: LeaseKey; readonly timeoutMs: number } & (
  | { readonly kind: 'complete'; readonly result: Uint8Array | undefined }
  | { readonly kind: 'fail'; readonly mode: number; readonly retryAfterMs: number; readonly error: Uint8Array }
  /** `leaseMs` 0 repeats the length that the job was acquired with. */
  | { readonly kind: 'extend'; readonly leaseMs: number }
  | { readonly kind: 'release' }
)

/**
 * NoQuorum: certainly not done. Unknown: may have been done. Refused: the cluster will not do it as things are. The rest says that nothing was done, but for an add over several
 * partitions, where `added` tells which items are in.
 */
export type ErrorCode = 'NoQuorum' | 'Unknown' | 'SessionExpired' | 'Backpressure' | 'PayloadTooLarge' | 'LeaseLost' | 'NotFound' | 'NotAuthorized' | 'VersionSkew' | 'Malformed' | 'Closed' | 'Refused'

export interface Failure {
  readonly kind: 'failed'
  readonly code: ErrorCode
  /** The same request may succeed later. After `Unknown` it may be done twice, unless it carries an idempotency key. */
  readonly retryable: boolean
  readonly detail: string
  readonly added?: Added
}

export type Outcome =
  | Failure
  | { readonly kind: 'added'; readonly added: Added }
  /** complete, fail, extend, release, stopWork, wish, close. */
  | { readonly kind: 'ok' }
  | { readonly kind: 'cancelled'; readonly missed: readonly JobNumber[] }
  | { readonly kind: 'leased'; readonly jobs: readonly LeasedJob[] }
  | { readonly kind: 'answered'; readonly answers: readonly { readonly partition: PartitionId; readonly body: Uint8Array }[] }
  | { readonly kind: 'located'; readonly partitions: readonly { readonly partition: PartitionId; readonly shard: ShardId }[] }
  | { readonly kind: 'status'; readonly body: Uint8Array }

/** Why a lease is no longer held. `session`: the shard has forgotten the session; `closed`: the client was closed. */
export type LeaseLostReason = 'expired' | 'cancelled' | 'unknown' | 'session' | 'closed'

export interface ClientOutbox {
  /** Connect and say HELLO; then `linkUp`, or `linkDown` where that fails or later ends. */
  open(link: LinkId, address: Address): void
  /** No `linkDown` is expected for it. */
  close(link: LinkId): void
  send(link: LinkId, bytes: Uint8Array): void
  done(request: number, outcome: Outcome): void
  leased(worker: WorkerNumber, jobs: readonly LeasedJob[]): void
  /** The job must stop: somebody else may have it soon. Not called for a job whose complete, fail or release is under way. */
  /** `lease` is the very object that was handed out. */
  leaseLost(worker: WorkerNumber, lease: LeasedJob, reason: LeaseLostReason): void
  log(text: string): void
}

export const RETRYABLE: Readonly<Record<ErrorCode, boolean>> = {
  NoQuorum: true, Unknown: true, SessionExpired: true, Backpressure: true, PayloadTooLarge: false, LeaseLost: false,
  NotFound: false, NotAuthorized: false, VersionSkew: false, Malformed: false, Closed: false, Refused: false,
}

export function failure(code: ErrorCode, detail: string): Failure {
  return { kind: 'failed', code, retryable: RETRYABLE[code], detail }
}
