//! Works on jobs and writes down what it was given and what came of it.

import type { Horus, Job, Worker } from '@horus/sdk'
import { Doubts } from './doubts.ts'
import { clock } from './event.ts'
import type { Recorder } from './recorder.ts'

export interface RecordedWork {
  readonly topic: string
  readonly concurrency: number
  readonly lease?: string
  readonly handle: (job: Job, data: KeyedData) => Promise<unknown>
  /** Called behind every acknowledged completion. */
  readonly onCompleted?: () => void
}

/** What a recording publisher gave the job. */
export type KeyedData = Readonly<Record<string, unknown>> & { readonly key: string }

export function recordWork(horus: Horus, recorder: Recorder, work: RecordedWork): Worker {
  /** Leases whose handler is over: if the completion fails, the worker hands them back itself. */
  const finished = new Set<string>()
  const leaseOf = (job: Pick<Job, 'id' | 'fencingToken'>): string => `${job.id} ${job.fencingToken}`
  const doubts = new Doubts(horus, work.topic, recorder)
  const worker = horus.work(work.topic, async (job) => {
    const { id, fencingToken: token, attempt } = job
    const data = job.data as KeyedData
    recorder.record({ kind: 'delivered', id, key: data.key, token, attempt, boundAt: clock() + (job.heldUntil - performance.now()) })
    let result: unknown
    try {
      result = await work.handle(job, data)
    } catch (error) {
      recorder.record({ kind: 'gaveUp', id, token, reason: 'failed' })
      throw error
    }
    finished.add(leaseOf(job))
    recorder.record({ kind: 'completing', id, token, ...(typeof result === 'string' ? { result } : {}) })
    return result
  }, { concurrency: work.concurrency, ...(work.lease === undefined ? {} : { lease: work.lease }) })
  worker.on('completed', (job) => {
    finished.delete(leaseOf(job))
    recorder.record({ kind: 'completed', id: job.id, token: job.fencingToken })
    work.onCompleted?.()
  })
  worker.on('lost', (job) => {
    const ended = finished.delete(leaseOf(job))
    recorder.record({ kind: 'gaveUp', id: job.id, token: job.fencingToken, reason: ended ? 'released' : 'lost' })
    if (ended) doubts.follow(job.id)
  })
  return worker
}
