//! Questions to the books of a partition. They change nothing and are no log entries; a leader asks once it knows that it
//! still leads.

import { Heap } from '../heap.ts'
import { type jobView, JobState } from '../message/client.ts'
import type { ValueOf } from '../message/layout.ts'
import type { FencingToken, JobNumber } from '../units.ts'
import { laneName, lanePriority } from './names.ts'
import type { PartitionBooks } from './partition.ts'

export type JobView = ValueOf<typeof jobView>

/** What the leases know of an active job. */
export interface ActiveJob {
  readonly lane: number
  readonly token: number
}

/** The job, or undefined where it was never added or has left its retention; the payload is for the caller to add. */
export function viewJob(books: PartitionBooks, number: number, active: (number: number) => ActiveJob | undefined): JobView | undefined {
  const slot = books.ended.find(number)
  if (slot >= 0) return viewEnded(books, slot)
  const record = books.batches.find(number)
  if (record < 0) return undefined
  const row = books.table.find(number)
  const table = books.table
  const lease = row < 0 || table.state(row) === JobState.active ? active(number) : undefined
  const lane = row >= 0 ? table.lane(row) : (lease?.lane ?? books.lanes.laneOf(number))
  if (lane < 0) return undefined
  const state = row >= 0 ? table.state(row) : lease ? JobState.active : JobState.waiting
  const time = row >= 0 ? table.time(row) : 0
  const isDead = state === JobState.dead
  return {
    number: number as JobNumber, name: books.names.text(laneName(lane)), state, priority: lanePriority(lane), token: (lease?.token ?? 0) as FencingToken,
    attempt: row >= 0 ? table.attempts(row) : lease ? 1 : 0, maxAttempts: books.maxAttempts(number), lostLeases: row >= 0 ? table.lostLeases(row) : 0,
    addedAt: books.batches.addedAt(record), dueAt: isDead ? 0 : time, endedAt: isDead ? time : 0,
    result: undefined, error: row >= 0 ? table.error(row) : undefined, payload: undefined,
  }
}

export interface JobFilter {
  /** JobStates; none means all. */
  readonly states: readonly number[]
  readonly name: string | undefined
  /** The least number wanted. */
  readonly from: number
}

/** The smallest numbers, at most `limit`, of the jobs that the filter lets through, rising. */
export function selectJobs(books: PartitionBooks, filter: JobFilter, limit: number, eachPlainActive: (visit: (number: number, lane: number) => void) => void): number[] {
  const name = filter.name === undefined ? -1 : books.names.idOf(filter.name)
  if (name === undefined || limit === 0) return []
  const smallest = new Smallest(limit)
  const wanted = (state: number, lane: number): boolean => (filter.states.length === 0 || filter.states.includes(state)) && (name < 0 || laneName(lane) === name)
  const offer = (number: number, state: number, lane: number): boolean => number < filter.from || !wanted(state, lane) || smallest.offer(number)
  const table = books.table
  table.each(filter.from, offer)
  books.ended.each(offer)
  eachPlainActive((number, lane) => {
    if (table.find(number) < 0) offer(number, JobState.active, lane)
  })
  books.lanes.each((lane, list) => {
    if (!wanted(JobState.waiting, lane)) return
    list.each(filter.from, (number) => table.find(number) >= 0 || smallest.offer(number))
  })
  return smallest.take()
}

function viewEnded(books: PartitionBooks, slot: number): JobView {
  const job = books.ended.job(slot)
  return {
    number: job.number as JobNumber, name: books.names.text(laneName(job.lane)), state: job.state, priority: lanePriority(job.lane), token: 0 as FencingToken,
    attempt: job.attempt, maxAttempts: job.maxAttempts, lostLeases: job.lostLeases, addedAt: job.addedAt, dueAt: 0, endedAt: job.endedAt,
    result: job.state === JobState.completed ? books.ended.result(slot) : undefined, error: undefined, payload: undefined,
  }
}

/** Keeps the `limit` smallest numbers offered. */
class Smallest {
  readonly #limit: number
  /** The largest on top. */
  readonly #heap = new Heap()

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Whether a number as large as this one was still wanted. */
  offer(number: number): boolean {
    if (this.#heap.size < this.#limit) this.#heap.push(-number, number)
    else if (-this.#heap.peekKey > number) {
      this.#heap.pop()
      this.#heap.push(-number, number)
    } else return false
    return true
  }

  take(): number[] {
    const numbers: number[] = []
    while (this.#heap.size > 0) numbers.push(this.#heap.pop())
    return numbers.reverse()
  }
}
