//! What the cluster knows of a job, as users see it.

import { type countsAnswer, JobState, jobView } from '@horus/core/message/client'
import type { ValueOf } from '@horus/core/message/layout'
import { jobId } from './job-id.ts'
import { decodeError, decodePayload, type StoredError } from './payload.ts'

export type JobStateName = keyof typeof JobState

export interface JobInfo {
  readonly id: string
  readonly topic: string
  readonly name: string
  readonly state: JobStateName
  /** How often it was leased to be worked on. */
  readonly attempt: number
  readonly maxAttempts: number
  /** Leases that ran out, counted apart from attempts. */
  readonly lostLeases: number
  readonly priority: number
  /** Of its newest lease; 0 when it was never leased. */
  readonly fencingToken: number
  readonly addedAt: Date
  /** When a scheduled or retrying job becomes waiting. */
  readonly dueAt: Date | undefined
  readonly endedAt: Date | undefined
  /** What the handler returned, of a completed job. */
  readonly result: unknown
  /** What the last handler threw. */
  readonly error: StoredError | undefined
  /** Where the answer brings it. */
  readonly data: unknown
}

export type JobCounts = ValueOf<typeof countsAnswer>

/** Jobs without an end may still be worked on. */
export function hasEnded(state: JobStateName): boolean {
  return state === 'completed' || state === 'cancelled' || state === 'dead'
}

export function jobInfo(topic: string, partition: number, view: ValueOf<typeof jobView>): JobInfo {
  return {
    id: jobId(partition, view.number), topic, name: view.name, state: stateName(view.state), attempt: view.attempt, maxAttempts: view.maxAttempts, lostLeases: view.lostLeases,
    priority: view.priority, fencingToken: view.token, addedAt: new Date(view.addedAt), dueAt: timeOf(view.dueAt), endedAt: timeOf(view.endedAt),
    result: view.result && decodePayload(view.result), error: view.error && view.error.length > 0 ? decodeError(view.error) : undefined, data: view.payload && decodePayload(view.payload),
  }
}

export const stateNames = Object.keys(JobState) as readonly JobStateName[]

function stateName(state: number): JobStateName {
  return stateNames.find((name) => JobState[name] === state) ?? 'waiting'
}

function timeOf(at: number): Date | undefined {
  return at > 0 ? new Date(at) : undefined
}
