//! A job while somebody has its lease: what a handler is given, and, with ways to end it by hand, what `acquire` gives.

import type { LeasedJob as CoreJob, LeaseLostReason } from '@horus/core/client/api'
import { FailMode } from '@horus/core/message/command'
import { type DeadLetter, deadLetterOf } from './dead-letter.ts'
import type { Engine } from './engine.ts'
import { HorusError, LeaseLost, PermanentError, RetryLater } from './errors.ts'
import { jobId } from './job-id.ts'
import { check, type Duration, ms } from './options.ts'
import { decodePayload, encodeError, encodePayload } from './payload.ts'

/** Why a job's signal aborts. */
export type JobEnd = LeaseLostReason | 'timeout' | 'shutdown'

/** What leases of one client have in common. */
export interface HoldContext {
  readonly engine: Engine
  readonly topic: string
  readonly requestTimeoutMs: number
  readonly payloadBytesMax: number
}

export abstract class HeldJob<Input = unknown> {
  /** As the cluster leased it. */
  readonly lease: CoreJob
  protected readonly context: HoldContext
  #data: Input | undefined
  #decoded = false
  #controller: AbortController | undefined
  #aborted: Error | undefined
  #headers: Readonly<Record<string, string>> | undefined

  constructor(lease: CoreJob, context: HoldContext) {
    this.lease = lease
    this.context = context
  }

  get id(): string {
    return jobId(this.lease.partition, this.lease.number)
  }

  get topic(): string {
    return this.context.topic
  }

  get name(): string {
    return this.lease.name
  }

  /** Decoded when it is first asked for. */
  get data(): Input {
    if (!this.#decoded) {
      this.#data = decodePayload(this.lease.payload) as Input
      this.#decoded = true
    }
    return this.#data as Input
  }

  /** From 1. */
  get attempt(): number {
    return this.lease.attempt
  }

  get maxAttempts(): number {
    return this.lease.maxAttempts
  }

  /** Rises with every lease of the job: hand it on to whatever the job writes to, which then can refuse an older one. */
  get fencingToken(): number {
    return this.lease.token
  }

  /**
   * Until when the worker could surely hold the job as it was given to it, on the clock of `performance.now()`; extensions,
   * which come by themselves in a worker, make it longer.
   */
  get heldUntil(): number {
    return this.lease.heldUntil
  }

  get headers(): Readonly<Record<string, string>> {
    return (this.#headers ??= Object.fromEntries(this.lease.headers))
  }

  /** Of a job in a dead-letter topic: which job it was, and why that is dead. Undefined of any other. */
  get deadLetter(): DeadLetter | undefined {
    return deadLetterOf(this.headers)
  }

  /** Aborts when the job is no longer this worker's: lost lease, cancel, time-out, shutdown. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#aborted !== undefined && !this.#controller.signal.aborted) this.#controller.abort(this.#aborted)
    return this.#controller.signal
  }

  /** Makes the lease last from now for `by` (at least 1 ms), or for its own length. A worker's leases are extended without it. Throws LeaseLost, NoQuorum, Unknown. */
  async extend(by?: Duration): Promise<void> {
    const { engine, requestTimeoutMs } = this.context
    const { by: leaseMs = 0 } = check('extend', { by }, { by: ms(1) })
    await engine.request((request) => ({ kind: 'extend', request, lease: this.lease, leaseMs, timeoutMs: requestTimeoutMs }))
  }

  protected abort(end: JobEnd): void {
    if (this.#aborted !== undefined) return
    this.#aborted = reasonOf(end)
    this.#controller?.abort(this.#aborted)
  }

  protected encodeResult(result: unknown): Uint8Array | undefined {
    return result === undefined ? undefined : encodePayload(result, this.context.payloadBytesMax)
  }
}

const REASONS: Readonly<Record<JobEnd, string>> = {
  expired: 'the lease has run out', cancelled: 'the job was cancelled', unknown: 'the lease is no longer held', session: 'the cluster has forgotten this worker',
  closed: 'the client was closed', timeout: 'the job took longer than its time-out', shutdown: 'the worker is shutting down',
}

export function reasonOf(end: JobEnd): Error {
  if (end === 'cancelled') return new HorusError('JobCancelled', REASONS.cancelled)
  if (end === 'timeout') return new DOMException(REASONS.timeout, 'TimeoutError')
  return end === 'shutdown' ? new DOMException(REASONS.shutdown, 'AbortError') : new LeaseLost('LeaseLost', REASONS[end])
}

/** How a thrown value ends an attempt. By name too, since a program may have this package twice. */
export function failureOf(thrown: unknown): { readonly mode: number; readonly retryAfterMs: number; readonly error: Uint8Array } {
  const name = thrown instanceof Error ? thrown.name : ''
  const error = encodeError(thrown)
  if (thrown instanceof PermanentError || name === 'PermanentError' || name === 'SchemaInvalid') return { mode: FailMode.permanent, retryAfterMs: 0, error }
  if (thrown instanceof RetryLater || name === 'RetryLater') return { mode: FailMode.retryAfter, retryAfterMs: delayOf((thrown as RetryLater).delay), error }
  return { mode: FailMode.retry, retryAfterMs: 0, error }
}

/** A handler may throw nonsense; then the job is tried again without a delay of its own choice. */
function delayOf(delay: unknown): number {
  try {
    return ms()(delay)
  } catch {
    return 0
  }
}
