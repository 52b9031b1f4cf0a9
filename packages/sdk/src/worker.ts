//! A worker: takes jobs of a topic as they come, runs their handler, and tells the cluster what became of them.
//!
//!   leased ─▶ handler ─┬─ returns ──▶ complete ──▶ 'completed'
//!                      ├─ throws ───▶ fail ──────▶ 'failed'
//!                      └─ lease lost, cancelled, shut down: its signal aborts ──▶ 'lost'
//!
//! How many run at once is bounded by what the cluster is asked for, so nothing queues up here. Leases are extended by the
//! client while a handler runs, as long as the process answers at all: a handler that blocks its loop past the lease finds
//! its completion refused.

import { EventEmitter } from 'node:events'
import type { LeasedJob as CoreJob, LeaseLostReason, Outcome, WorkerNumber } from '@horus/core/client/api'
import type { Holder, Receiver } from './engine.ts'
import { errorOf, type HorusError, PermanentError } from './errors.ts'
import { failureOf, HeldJob, type HoldContext, type JobEnd, reasonOf } from './held-job.ts'
import type { Timer } from './machine.ts'
import { abortSignal, check, drainTime, type Duration, ms, whole } from './options.ts'
import { type AnyTopic, conform, type JobTypes } from './topic.ts'
import { isThenable, unlessAborted } from './wait.ts'

/** What a handler is given. */
export type Job<Input = unknown> = Pick<HeldJob<Input>, 'id' | 'topic' | 'name' | 'data' | 'attempt' | 'maxAttempts' | 'fencingToken' | 'heldUntil' | 'headers' | 'deadLetter' | 'signal' | 'extend'>

export type Handler<Input = unknown, Output = unknown> = (job: Job<Input>) => Output | Promise<Output>
export type Handlers<T extends JobTypes> = { readonly [N in keyof T]?: Handler<T[N]['input'], T[N]['output']> } | Handler<T[keyof T]['input'], T[keyof T]['output']>

export interface WorkOptions {
  /** How many jobs run at once, 1 to 65,535; default 10. */
  readonly concurrency?: number
  /** How long the worker has a job for itself without a word, at least 100 ms; default 30 s. A lease of the job's own options goes first. */
  readonly lease?: Duration
  /** Stops the worker as `stop()` does. */
  readonly signal?: AbortSignal
}

export const workChecks = { concurrency: whole(1, 65_535), lease: ms(100), signal: abortSignal }
export const CONCURRENCY_DEFAULT = 10
export const LEASE_MS_DEFAULT = 30_000
/** How long a hand-back may take before the leases are left to run out. */
const RELEASE_MS = 5000

export interface WorkerStats {
  /** Handlers that run now. */
  readonly active: number
  /** Since the worker began, each as often as the event of that name. */
  readonly completed: number
  readonly failed: number
  readonly lost: number
}

export interface WorkerEvents {
  /** The completion is committed. */
  completed: [job: Job, result: unknown]
  /** The failed attempt is committed; `error` is what the handler threw. The job is tried again, or dead. */
  failed: [job: Job, error: unknown]
  /** The lease is gone, or it is not known whether the end of the job was noted: it may run again. */
  lost: [job: Job, reason: string]
  /** What is nobody's in particular: the cluster did not take a completion, a listener threw. */
  error: [error: Error]
}

export class Worker<T extends JobTypes = JobTypes> implements Holder {
  readonly number: WorkerNumber
  readonly #context: HoldContext
  readonly #topic: AnyTopic<never>
  readonly #handlers: Readonly<Record<string, Handler>> | Handler
  readonly #events = new EventEmitter<WorkerEvents>()
  /** Jobs without an outcome yet, in no order; each knows its place. */
  readonly #jobs: RunningJob[] = []
  readonly #ended: () => void
  readonly #hasSchemas: boolean
  #concurrency: number
  #active = 0
  #completed = 0
  #failed = 0
  #lost = 0
  #stopping: Promise<void> | undefined
  #released = false

  /** `ended` is called once the worker has stopped. */
  constructor(number: WorkerNumber, context: HoldContext, topic: AnyTopic<T>, handlers: Handlers<T>, concurrency: number, ended: () => void) {
    this.number = number
    this.#context = context
    this.#topic = topic as AnyTopic<never>
    this.#handlers = handlers as Readonly<Record<string, Handler>> | Handler
    this.#hasSchemas = typeof topic !== 'string' && topic.schemas !== undefined
    this.#concurrency = concurrency
    this.#ended = ended
  }

  get stats(): WorkerStats {
    return { active: this.#active, completed: this.#completed, failed: this.#failed, lost: this.#lost }
  }

  get concurrency(): number {
    return this.#concurrency
  }

  /** 1 to 65,535, else InvalidOption. Takes effect at once for more, and for less as jobs end. */
  set concurrency(value: number) {
    const { concurrency } = check('worker', { concurrency: value }, { concurrency: workChecks.concurrency })
    this.#concurrency = concurrency!
    this.#context.engine.input({ kind: 'setConcurrency', worker: this.number, concurrency: this.#concurrency })
  }

  on<E extends keyof WorkerEvents>(event: E, listener: (...values: WorkerEvents[E]) => void): this {
    this.#events.on(event, listener as never)
    return this
  }

  once<E extends keyof WorkerEvents>(event: E, listener: (...values: WorkerEvents[E]) => void): this {
    this.#events.once(event, listener as never)
    return this
  }

  off<E extends keyof WorkerEvents>(event: E, listener: (...values: WorkerEvents[E]) => void): this {
    this.#events.off(event, listener as never)
    return this
  }

  /**
   * Takes no more jobs. Those that run may go on for `drain` (true, the default: as long as they take; false: not at all); then
   * their signals abort and they are handed back, without an attempt counted. The signal only ends the wait.
   */
  stop(options?: { readonly drain?: boolean | Duration; readonly signal?: AbortSignal }): Promise<void> {
    const { drain = Infinity, signal } = check('stop', options, { drain: drainTime, signal: abortSignal })
    this.#stopping ??= this.#stop(drain).finally(() => this.#ended())
    return unlessAborted(this.#stopping, signal)
  }

  async #stop(drainMs: number): Promise<void> {
    if (drainMs > 0 && (await this.#stopWork('drain', drainMs))) return
    this.#released = true
    for (const job of this.#jobs) job.end('shutdown')
    await this.#stopWork('release', RELEASE_MS)
  }

  async #stopWork(how: 'drain' | 'release', timeoutMs: number): Promise<boolean> {
    try {
      await this.#context.engine.request((request) => ({ kind: 'stopWork', request, worker: this.number, how, timeoutMs }))
      return true
    } catch {
      return false
    }
  }

  // ---- from the engine ---------------------------------------------------------------------------------------------

  leased(jobs: readonly CoreJob[]): void {
    for (const lease of jobs) {
      const job = new RunningJob(lease, this.#context, this as Worker)
      lease.tag = job
      job.place = this.#jobs.push(job) - 1
      this.#active++
      this.#run(job)
    }
  }

  leaseLost(lease: CoreJob, reason: LeaseLostReason): void {
    const job = lease.tag as RunningJob
    this.#forget(job)
    job.end(reason)
    if (!this.#released) this.#tellLost(job, reasonOf(reason).message)
  }

  #forget(job: RunningJob): void {
    if (this.#jobs[job.place] !== job) return
    const last = this.#jobs.pop()!
    if (last === job) return
    this.#jobs[job.place] = last
    last.place = job.place
  }

  /** A handler that returns no promise costs none. */
  #run(job: RunningJob): void {
    job.startTimer()
    try {
      const handler = this.#handlerOf(job.name)
      const ready = this.#hasSchemas ? job.conformData(this.#topic) : undefined
      const { machine } = this.#context.engine
      const returned = ready === undefined ? machine.run(handler, job) : ready.then(() => machine.run(handler, job))
      if (isThenable(returned)) returned.then((value) => this.#returned(job, value), (thrown: unknown) => this.#threw(job, thrown))
      else this.#returned(job, returned)
    } catch (thrown) {
      this.#threw(job, thrown)
    }
  }

  #returned(job: RunningJob, value: unknown): void {
    try {
      const result = this.#hasSchemas && !job.over ? conform(this.#topic, job.name, 'output', value) : value
      if (isThenable(result)) {
        result.then((settled) => this.#finish(job, settled), (thrown: unknown) => this.#threw(job, thrown))
        return
      }
      this.#finish(job, result)
    } catch (thrown) {
      this.#threw(job, thrown)
    }
  }

  #finish(job: RunningJob, result: unknown): void {
    try {
      if (!job.over) job.complete(result)
    } catch (thrown) {
      // The result is too large, or nothing that can be written down.
      job.fail(thrown)
    }
    this.#stepDown(job)
  }

  #threw(job: RunningJob, thrown: unknown): void {
    if (!job.over) job.fail(thrown)
    this.#stepDown(job)
  }

  #stepDown(job: RunningJob): void {
    job.stopTimer()
    this.#active--
  }

  #handlerOf(name: string): Handler {
    const handler = typeof this.#handlers === 'function' ? this.#handlers : Object.hasOwn(this.#handlers, name) ? this.#handlers[name] : undefined
    if (handler === undefined) throw new Error(`no handler for jobs named ${JSON.stringify(name)}`)
    return handler
  }

  /** The cluster has said what became of a job's end. */
  settled(job: RunningJob, outcome: Outcome): void {
    this.#forget(job)
    if (outcome.kind !== 'failed') {
      if (job.thrown === undefined) {
        this.#completed++
        this.#emit('completed', job, job.returned)
      } else {
        this.#failed++
        this.#emit('failed', job, job.thrown.value)
      }
      return
    }
    const error = errorOf(outcome)
    if (outcome.code === 'NoQuorum') this.#context.engine.input({ kind: 'release', request: 0, lease: job.lease, timeoutMs: this.#context.requestTimeoutMs })
    if (this.#released) return
    this.#tellLost(job, outcome.detail)
    if (outcome.code !== 'LeaseLost') this.fault(error)
  }

  #tellLost(job: RunningJob, reason: string): void {
    if (job.toldLost) return
    job.toldLost = true
    this.#lost++
    this.#emit('lost', job, reason)
  }

  /** An 'error' that nobody listens for is a warning, not the end of the process. */
  fault(error: HorusError | Error): void {
    if (this.#events.listenerCount('error') > 0) this.#events.emit('error', error)
    else process.emitWarning(error)
  }

  #emit<E extends 'completed' | 'failed' | 'lost'>(event: E, ...values: WorkerEvents[E]): void {
    if (this.#events.listenerCount(event) === 0) return
    try {
      this.#events.emit(event, ...(values as never))
    } catch (error) {
      this.fault(error instanceof Error ? error : new Error(String(error)))
    }
  }
}

class RunningJob extends HeldJob implements Receiver {
  readonly #worker: Worker
  #timer: Timer | undefined
  /** The cluster has been told how it ended, or the lease is gone: what the handler does now counts no more. */
  over = false
  /** Its index among the worker's jobs. */
  place = 0
  toldLost = false
  returned: unknown
  thrown: { readonly value: unknown } | undefined
  #conformed: { readonly value: unknown } | undefined

  constructor(lease: CoreJob, context: HoldContext, worker: Worker) {
    super(lease, context)
    this.#worker = worker
  }

  /** Bytes that are no CBOR will be none at the next attempt either. */
  override get data(): unknown {
    if (this.#conformed !== undefined) return this.#conformed.value
    try {
      return super.data
    } catch (error) {
      throw new PermanentError(`the payload cannot be read: ${(error as Error).message}`)
    }
  }

  /** A promise only where the schema gives one. */
  conformData(topic: AnyTopic<never>): Promise<void> | undefined {
    const value = conform(topic, this.name, 'input', this.data)
    if (isThenable(value)) return value.then((settled) => void (this.#conformed = { value: settled }))
    this.#conformed = { value }
    return undefined
  }

  startTimer(): void {
    if (this.lease.timeoutMs === 0) return
    this.#timer = this.context.engine.machine.timer(() => {
      if (this.over) return
      this.abort('timeout')
      this.fail(reasonOf('timeout'))
    }, this.lease.timeoutMs)
  }

  stopTimer(): void {
    this.#timer?.stop()
  }

  complete(result: unknown): void {
    const bytes = this.encodeResult(result)
    this.over = true
    this.returned = result
    const { engine, requestTimeoutMs } = this.context
    engine.input({ kind: 'complete', request: engine.register(this), lease: this.lease, result: bytes, timeoutMs: requestTimeoutMs })
  }

  fail(thrown: unknown): void {
    this.over = true
    this.thrown = { value: thrown }
    const { engine, requestTimeoutMs } = this.context
    engine.input({ kind: 'fail', request: engine.register(this), lease: this.lease, ...failureOf(thrown), timeoutMs: requestTimeoutMs })
  }

  /** Somebody else ends it. */
  end(end: JobEnd): void {
    this.over = true
    this.abort(end)
  }

  done(outcome: Outcome): void {
    this.#worker.settled(this, outcome)
  }
}
