//! Jobs of which only the cluster knows whether they are completed: their worker was killed between its complete and the answer,
//! or was told that the outcome is unknown. The cluster is asked soon, since it keeps ended jobs for a while only, and its
//! word goes into the history.

import type { Horus, JobInfo } from '@horus/sdk'
import { until } from '../local/until.ts'
import type { HistoryEvent } from './event.ts'
import type { Recorder, WithoutStamp } from './recorder.ts'

/** Longer than all nodes take to come back after they were killed at once. */
const ASK_MS_MAX = 90_000
const POLL_MS = 500
/** Asked about at once; a history with more doubts than this is of no use anyway. */
const ASKED_MAX = 10_000

export class Doubts {
  readonly #horus: Horus
  readonly #topic: string
  readonly #recorder: Recorder
  readonly #asking = new Map<string, Promise<void>>()

  constructor(horus: Horus, topic: string, recorder: Recorder) {
    this.#horus = horus
    this.#topic = topic
    this.#recorder = recorder
  }

  /** Asks until the job has ended: a complete may still be on its way, and if it is not, somebody else completes the job. */
  follow(id: string): void {
    if (this.#asking.has(id) || this.#asking.size >= ASKED_MAX) return
    this.#asking.set(id, until(`the end of job ${id}`, () => this.#ask(id), ASK_MS_MAX, POLL_MS).then(() => {}, () => {}).finally(() => this.#asking.delete(id)))
  }

  /** Resolves when nothing is in doubt any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#asking.values())
  }

  async #ask(id: string): Promise<boolean> {
    const job = await this.#horus.job(this.#topic, id)
    const over = job === undefined || job.state === 'completed' || job.state === 'cancelled' || job.state === 'dead'
    if (over) this.#recorder.record(foundOf(id, job))
    return over
  }
}

/** What the cluster says of a job, for the history; undefined where it knows none. */
export function foundOf(id: string, job: JobInfo | undefined): WithoutStamp<HistoryEvent> {
  if (job === undefined) return { kind: 'found', id, state: 'gone' }
  const { state, attempt, maxAttempts, lostLeases } = job
  return { kind: 'found', id, state, attempt, maxAttempts, lostLeases, detail: detailOf(job) }
}

/** What is worth knowing of a job that should have ended. */
export function detailOf(job: JobInfo): string {
  const { attempt, maxAttempts, lostLeases, fencingToken, dueAt, error } = job
  return [
    `attempt ${attempt} of ${maxAttempts}`, `${lostLeases} lost leases`, `token ${fencingToken}`,
    ...(dueAt === undefined ? [] : [`due at ${dueAt.toISOString()}`]),
    ...(error === undefined ? [] : [`error ${JSON.stringify(error.message)}`]),
  ].join(', ')
}
