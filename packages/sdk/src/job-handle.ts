//! What an add gives back: the job's id, and ways to wait for it or to take it back.

import type { AddedJob } from './adder.ts'
import { HorusError, JobCancelled, JobFailed } from './errors.ts'
import { jobId } from './job-id.ts'
import type { JobInfo } from './job-info.ts'
import { abortSignal, check } from './options.ts'

const POLL_MS_MIN = 100
const POLL_MS_MAX = 1000

/** What a handle asks of the client that made it. */
export interface JobReader {
  job(topic: string, id: string, options?: { readonly signal?: AbortSignal }): Promise<JobInfo | undefined>
  cancel(topic: string, id: string): Promise<boolean>
  /** As of the machine that the client runs on. */
  changes(): number
  pause(ms: number, signal: AbortSignal | undefined, changes: number): Promise<void>
}

export class JobHandle<Output = unknown> {
  readonly topic: string
  readonly #partition: number
  readonly #number: number
  /** The job was there before: an earlier add had the same idempotency key. */
  readonly deduplicated: boolean
  readonly #reader: JobReader

  constructor(reader: JobReader, topic: string, added: AddedJob) {
    this.#reader = reader
    this.topic = topic
    this.#partition = added.partition
    this.#number = added.number
    this.deduplicated = added.duplicate
  }

  /** Unique in the cluster: the partition and the job's number there, such as `1-17`. */
  get id(): string {
    return jobId(this.#partition, this.#number)
  }

  /**
   * Waits until the job has ended, and returns what its handler returned. Asks for the stored state, so it works for a job
   * that ended long ago. Throws JobFailed when the job is dead, JobCancelled, or NotFound when it is no longer kept (an
   * hour after its end). Waits for ever unless the signal ends it; a shard without a quorum is asked again.
   */
  async result(options?: { readonly signal?: AbortSignal }): Promise<Output> {
    const { signal } = check('result', options, { signal: abortSignal })
    for (let wait = POLL_MS_MIN; ; wait = Math.min(wait * 2, POLL_MS_MAX)) {
      const changes = this.#reader.changes()
      const info = await this.#look(signal)
      if (info !== 'unreachable') {
        if (info === undefined) throw new HorusError('NotFound', `job ${this.id} of ${this.topic} is not known, or no longer kept`)
        if (info.state === 'completed') return info.result as Output
        if (info.state === 'cancelled') throw new JobCancelled('JobCancelled', `job ${this.id} of ${this.topic} was cancelled`)
        if (info.state === 'dead') throw new JobFailed('JobFailed', `job ${this.id} of ${this.topic} failed: ${info.error?.message ?? 'no reason is kept'}`, { cause: info.error })
      }
      await this.#reader.pause(wait, signal, changes)
    }
  }

  /** True when the job was cancelled, false when it had ended before. Throws NoQuorum, Unknown. */
  cancel(): Promise<boolean> {
    return this.#reader.cancel(this.topic, this.id)
  }

  /** A shard that cannot answer now may answer later: the wait goes on. */
  async #look(signal: AbortSignal | undefined): Promise<JobInfo | undefined | 'unreachable'> {
    try {
      return await this.#reader.job(this.topic, this.id, signal === undefined ? {} : { signal })
    } catch (error) {
      if (error instanceof HorusError && error.retryable) return 'unreachable'
      throw error
    }
  }
}
