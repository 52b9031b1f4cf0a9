//! What the users of a simulated cluster know for certain: which adds they sent and what they were told, which leases they
//! held and until when they believed in them. Kept outside of the processes, so that it outlives their crashes.

import { JobState } from '@horus/core/message/client'
import type { FencingToken, JobNumber, NodeId, PartitionId } from '@horus/core/units'

/** One item of one add that a user sent; its number is written into the payload, so that it is known wherever it shows up. */
export interface Attempt {
  readonly id: number
  readonly client: string
  readonly topic: string
  readonly key: string | undefined
  readonly sentAt: number
  /** `refused` is a definite no; `unknown` may have been done. An attempt whose client died stays open for ever. */
  outcome: 'open' | 'acknowledged' | 'refused' | 'unknown'
  code: string | undefined
  job: JobName | undefined
}

/** A job as users name it: `topic/partition/number`. */
export type JobName = string

export function jobName(topic: string, partition: PartitionId, number: JobNumber): JobName {
  return `${topic}/${partition}/${number}`
}

export interface HeldLease {
  readonly client: string
  readonly job: JobName
  readonly partition: PartitionId
  readonly number: JobNumber
  readonly token: FencingToken
  /** From the payload; 0 where the payload is none that a user wrote. */
  readonly attempt: number
}

/** A job of the dead-letter topic as a user sees it: which job it says that it was. */
export interface Letter {
  readonly job: JobName
  readonly was: JobName
  /** As in a lease. */
  readonly attempt: number
}

export type EndHow = 'complete' | 'fail' | 'release'

/** Told as it happens; the checkers listen. */
export interface HistoryListener {
  settled?(attempt: Attempt, duplicate: boolean): void
  /** Bytes of a `deliver` have reached a running user process, whatever its client makes of them. */
  delivered?(bytes: Uint8Array): void
  leased?(lease: HeldLease): void
  /** The user no longer works on it: ended by a command under way, lost, or its process died. */
  letGo?(lease: HeldLease, why: EndHow | 'lost' | 'died'): void
  /** A complete, fail or release has its outcome; `ok` or an error's code. */
  ended?(lease: HeldLease, how: EndHow, code: string): void
  /** A worker failed the job for good, and was told so: from now on it is dead. */
  failedForGood?(lease: HeldLease): void
  /** A user got a job of the dead-letter topic. */
  exhumed?(letter: Letter): void
  /** A final reading of a job's state by query; undefined where the cluster does not know the job. */
  state?(job: JobName, state: number | undefined): void
}

export class History {
  readonly attempts: Attempt[] = []
  /** Clients that say old things again: an add that was refused to such a one may have been taken when it was repeated. */
  readonly repeaters = new Set<string>()
  /** What the operator was told last of nodes: whether they drain. Nodes of which he cannot know it are left out. */
  readonly draining = new Map<NodeId, boolean>()
  readonly #listeners: HistoryListener[] = []
  /** Jobs whose end a worker was told of while states were being read, and what they are since: the reading may be from before. */
  #endedSince: Map<JobName, JobState> | undefined
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  listen(listener: HistoryListener): void {
    this.#listeners.push(listener)
  }

  attempt(client: string, topic: string, key: string | undefined): Attempt {
    const attempt: Attempt = { id: this.attempts.length + 1, client, topic, key, sentAt: this.#now(), outcome: 'open', code: undefined, job: undefined }
    this.attempts.push(attempt)
    return attempt
  }

  repeats(client: string): void {
    this.repeaters.add(client)
  }

  byId(id: number): Attempt | undefined {
    return this.attempts[id - 1]
  }

  acknowledged(attempt: Attempt, job: JobName, duplicate: boolean): void {
    attempt.outcome = 'acknowledged'
    attempt.job = job
    for (const listener of this.#listeners) listener.settled?.(attempt, duplicate)
  }

  failed(attempt: Attempt, code: string): void {
    attempt.outcome = code === 'Unknown' ? 'unknown' : 'refused'
    attempt.code = code
    for (const listener of this.#listeners) listener.settled?.(attempt, false)
  }

  delivered(bytes: Uint8Array): void {
    for (const listener of this.#listeners) listener.delivered?.(bytes)
  }

  leased(lease: HeldLease): void {
    for (const listener of this.#listeners) listener.leased?.(lease)
  }

  letGo(lease: HeldLease, why: EndHow | 'lost' | 'died'): void {
    for (const listener of this.#listeners) listener.letGo?.(lease, why)
  }

  ended(lease: HeldLease, how: EndHow, code: string): void {
    if (how === 'complete' && code === 'ok') this.#endedSince?.set(lease.job, JobState.completed)
    for (const listener of this.#listeners) listener.ended?.(lease, how, code)
  }

  failedForGood(lease: HeldLease): void {
    this.#endedSince?.set(lease.job, JobState.dead)
    for (const listener of this.#listeners) listener.failedForGood?.(lease)
  }

  exhumed(letter: Letter): void {
    for (const listener of this.#listeners) listener.exhumed?.(letter)
  }

  /** States that were asked for before this say nothing any more. */
  beginReading(): void {
    this.#endedSince = new Map()
  }

  state(job: JobName, state: number | undefined): void {
    for (const listener of this.#listeners) listener.state?.(job, this.#endedSince?.get(job) ?? state)
  }
}

// ---- payloads ------------------------------------------------------------------------------------------------------

const MAGIC = 0x484f5255

/** An attempt's number at the head of as many bytes as wanted. */
export function payloadOf(attempt: number, length: number): Uint8Array {
  const bytes = new Uint8Array(Math.max(12, length))
  const view = new DataView(bytes.buffer)
  view.setUint32(0, MAGIC)
  view.setFloat64(4, attempt)
  for (let i = 12; i < bytes.length; i++) bytes[i] = (attempt + i) & 255
  return bytes
}

/** 0 where the bytes are not, to the last one, what `payloadOf` wrote. */
export function attemptOf(payload: Uint8Array): number {
  if (payload.length < 12) return 0
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  if (view.getUint32(0) !== MAGIC) return 0
  const attempt = view.getFloat64(4)
  for (let i = 12; i < payload.length; i++) if (payload[i] !== ((attempt + i) & 255)) return 0
  return attempt
}
