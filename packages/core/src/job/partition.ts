//! The books of one partition: every job's life but its lease.
//!
//!   add ──▶ scheduled ──due──▶ waiting ──take──▶ active ──▶ completed ─┐
//!             │                  ▲  ▲              │ │                 ├─▶ ended, kept for its retention
//!             │                  │  └──putBack─────┤ └──▶ cancelled ───┘
//!             │                  └due─ retrying ◀──┤ fail
//!             └──────────▶ cancelled        dead ◀─┘ out of attempts, permanent, three leases lost
//!
//! A job with default options is a number in a run while it waits and a number in a lease while it is active for the first
//! time; only what is more than that has a row (table.ts). Whoever calls knows which leases hold: here that is not checked.

import { assert } from '../assert.ts'
import { Freezer } from '../freeze.ts'
import { Heap } from '../heap.ts'
import { JobState } from '../message/client.ts'
import { FailMode } from '../message/command.ts'
import { MalformedMessage, tryDecode } from '../message/layout.ts'
import { type PartitionSettings, partitionSettings, type Place } from '../message/posts.ts'
import { dueAt, type Segment } from './add.ts'
import { backoffMs } from './backoff.ts'
import { Batches } from './batches.ts'
import { EndedJobs } from './ended.ts'
import { Keys } from './keys.ts'
import { Lanes } from './lanes.ts'
import { ERROR_BYTES_MAX, LOST_LEASES_MAX, PROMOTED_PER_TICK_MAX } from './limits.ts'
import { laneOf, Names } from './names.ts'
import { OptionSets } from './options.ts'
import { JobTable, type RestoredRow } from './table.ts'
import type { Taken } from './taken.ts'

export interface Added {
  readonly first: number
  readonly added: number
  readonly duplicates: readonly { readonly ordinal: number; readonly number: number }[]
}

export class PartitionBooks {
  readonly partition: number
  readonly topic: string
  names = new Names()
  lanes: Lanes
  batches: Batches
  keys = new Keys()
  readonly sets: OptionSets
  readonly table: JobTable
  readonly ended: EndedJobs
  /** Jobs by JobState; of the ended ones those that are kept. */
  readonly counts = new Float64Array(JobState.dead + 1)
  /** The number of the next job. */
  next: number
  /** By due time; an entry whose job is no longer due then is skipped. */
  readonly #due = new Heap()
  #settings: Uint8Array
  #read: PartitionSettings

  constructor(partition: number, topic: string, settings: Uint8Array, freezer = new Freezer(), next = 1) {
    this.next = next
    this.partition = partition
    this.topic = topic
    this.#settings = settings
    this.#read = tryDecode(partitionSettings, settings) ?? NO_SETTINGS
    this.lanes = new Lanes(freezer)
    this.batches = new Batches(freezer)
    this.sets = new OptionSets(freezer)
    this.table = new JobTable(freezer)
    this.ended = new EndedJobs((state) => this.#count(state, -1))
  }

  /** `partitionSettings`, as the registry's leader wrote them. */
  get settings(): Uint8Array {
    return this.#settings
  }

  /** Which of two settings is the newer. */
  get settingsVersion(): number {
    return this.#read.version
  }

  /** What is older than what is known changes nothing: a leader may not have heard of the newest. */
  configure(settings: Uint8Array): void {
    const read = tryDecode(partitionSettings, settings)
    if (read === undefined || read.version <= this.#read.version) return
    this.#settings = settings
    this.#read = read
  }

  /** Where a job goes when it is dead; undefined where it stays. The same for each job, as long as the settings are. */
  deadLetterPlace(number: number): Place | undefined {
    const { deadLetters } = this.#read
    return deadLetters.length === 0 ? undefined : deadLetters[number % deadLetters.length]
  }

  /** Whether an add stays within what may be remembered of names and keys. */
  fits(names: readonly string[], segments: readonly Segment[]): boolean {
    let keys = 0
    for (const segment of segments) if (segment.key !== undefined) keys++
    return this.names.fits(names) && (keys === 0 || this.keys.fits(keys))
  }

  add(names: readonly string[], segments: readonly Segment[], entryIndex: number, wallNow: number): Added {
    const first = this.next
    const duplicates: { ordinal: number; number: number }[] = []
    let batchFirst = first
    let batchOrdinal = 0
    this.keys.forget(wallNow)
    for (const segment of segments) {
      const known = segment.key === undefined ? undefined : this.keys.find(segment.key)
      if (known !== undefined) {
        if (this.next > batchFirst) this.batches.append(batchFirst, this.next - batchFirst, batchOrdinal, entryIndex, wallNow)
        batchFirst = this.next
        batchOrdinal = segment.ordinal + 1
        duplicates.push({ ordinal: segment.ordinal, number: known })
        continue
      }
      if (segment.key !== undefined) this.keys.remember(segment.key, this.next, wallNow)
      this.#admit(segment, laneOf(segment.priority, this.names.intern(names[segment.nameOrdinal]!)), wallNow)
    }
    if (this.next > batchFirst) this.batches.append(batchFirst, this.next - batchFirst, batchOrdinal, entryIndex, wallNow)
    return { first, added: this.next - first, duplicates }
  }

  /** Numbers of those names that are known here; undefined for all names. */
  nameIds(names: readonly string[]): ReadonlySet<number> | undefined {
    if (names.length === 0) return undefined
    const ids = new Set<number>()
    for (const name of names) {
      const id = this.names.idOf(name)
      if (id !== undefined) ids.add(id)
    }
    return ids
  }

  /** Makes at most `limit` waiting jobs active, or undefined where none waits. */
  take(names: ReadonlySet<number> | undefined, limit: number): Taken | undefined {
    const most = Math.min(limit, this.counts[JobState.waiting]!)
    if (most === 0) return undefined
    let numbers = new Float64Array(most)
    let lanes = new Uint32Array(most)
    const count = this.lanes.take(names, most, numbers, lanes)
    if (count === 0) return undefined
    if (count < most) {
      numbers = numbers.slice(0, count)
      lanes = lanes.slice(0, count)
    }
    this.#count(JobState.waiting, -count)
    this.#count(JobState.active, count)
    return { numbers, lanes, leaseMs: this.table.size === 0 ? undefined : this.#activateRows(numbers) }
  }

  /** Which lease this is of a job that is active. */
  attempt(number: number): number {
    const row = this.table.find(number)
    return row < 0 ? 1 : this.table.attempts(row)
  }

  maxAttempts(number: number): number {
    const row = this.table.find(number)
    return this.sets.get(row < 0 ? 0 : this.table.options(row)).maxAttempts
  }

  /** An active job is done. Returns the index of its add entry where that is needed no longer, else 0. */
  complete(number: number, lane: number, wallNow: number, source: Uint8Array, at: number, length: number): number {
    return this.#end(number, this.table.find(number), lane, JobState.active, JobState.completed, wallNow, source, at, length)
  }

  /** An active job failed; `mode` is a FailMode. Returns whether it is dead now. */
  fail(number: number, lane: number, mode: number, retryAfterMs: number, wallNow: number, error: Uint8Array): boolean {
    const row = this.#rowOfActive(number, lane)
    const set = this.sets.get(this.table.options(row))
    const failures = this.table.attempts(row) - this.table.lostLeases(row)
    this.table.setError(row, error.length > 0 ? error.slice(0, ERROR_BYTES_MAX) : undefined)
    if (mode === FailMode.permanent || failures >= set.maxAttempts) return this.#bury(row, wallNow)
    const delay = mode === FailMode.retryAfter ? retryAfterMs : backoffMs(set, number, failures)
    if (delay > 0) this.#postpone(row, JobState.retrying, wallNow + delay)
    else this.#wait(row)
    return false
  }

  /** An active job is handed back by its worker, or was leased to one that never got it: the attempt does not count. */
  putBack(number: number, lane: number): void {
    const row = this.#rowOfActive(number, lane)
    this.table.setAttempts(row, this.table.attempts(row) - 1)
    this.#wait(row)
  }

  /** The lease of a job that a worker had was lost: it waits again, or is dead when that happened too often. Returns whether it is. */
  loseLease(number: number, lane: number, wallNow: number): boolean {
    const row = this.#rowOfActive(number, lane)
    this.table.addLostLease(row)
    if (this.table.lostLeases(row) < LOST_LEASES_MAX) {
      this.#wait(row)
      return false
    }
    this.table.setError(row, LOST_ERROR)
    return this.#bury(row, wallNow)
  }

  /** The last error of a job that is not ended. */
  errorOf(number: number): Uint8Array {
    const row = this.table.find(number)
    return (row < 0 ? undefined : this.table.error(row)) ?? NO_BYTES
  }

  /** Cancels a job that is not active. Returns undefined where it is active, unknown or has ended, else as `complete`. */
  cancelIdle(number: number, wallNow: number): number | undefined {
    const row = this.table.find(number)
    if (row < 0) {
      const lane = this.lanes.laneOf(number)
      if (lane < 0) return undefined
      this.lanes.open(lane).remove(number)
      return this.#end(number, row, lane, JobState.waiting, JobState.cancelled, wallNow, NO_BYTES, 0, 0)
    }
    const state = this.table.state(row)
    const lane = this.table.lane(row)
    if (state === JobState.active) return undefined
    if (state === JobState.waiting) this.lanes.open(lane).remove(number)
    return this.#end(number, row, lane, state, JobState.cancelled, wallNow, NO_BYTES, 0, 0)
  }

  cancelActive(number: number, lane: number, wallNow: number): number {
    return this.#end(number, this.table.find(number), lane, JobState.active, JobState.cancelled, wallNow, NO_BYTES, 0, 0)
  }

  /** What `wallNow` has made due waits; what is past its retention goes. */
  tick(wallNow: number): void {
    for (let promoted = 0; promoted < PROMOTED_PER_TICK_MAX && this.dueNext <= wallNow; promoted++) {
      this.#wait(this.table.find(this.#due.pop()))
    }
    this.ended.expire(wallNow)
    this.keys.forget(wallNow)
  }

  /** When the next scheduled or retrying job is due; Infinity without one. */
  get dueNext(): number {
    const due = this.#due
    while (due.size > 0 && !this.#isDue(due.peekKey, due.peekValue)) due.pop()
    return due.peekKey
  }

  /** When something next leaves its retention; Infinity without. */
  get expiresNext(): number {
    return Math.min(this.ended.expiresNext, this.keys.expiresNext)
  }

  /** A row was taken back from a snapshot: to be called after runs, with rising numbers. Throws MalformedMessage. */
  restored({ number, state, lane, time }: RestoredRow): void {
    if (state === JobState.scheduled || state === JobState.retrying) this.#due.push(time, number)
    else if (state === JobState.waiting && this.lanes.get(lane)?.has(number) !== true) throw new MalformedMessage('a job that waits is in its lane')
  }

  #admit(segment: Segment, lane: number, wallNow: number): void {
    const first = this.next
    this.next += segment.count
    const due = dueAt(segment, wallNow)
    const state = due > wallNow ? JobState.scheduled : JobState.waiting
    this.#count(state, segment.count)
    if (segment.set !== undefined || state === JobState.scheduled) {
      assert(segment.count === 1, 'a job with options of its own is a segment of its own')
      const row = this.table.insert(first, state, lane, 0, segment.set === undefined ? 0 : this.sets.use(segment.set))
      if (state === JobState.scheduled) {
        this.table.setState(row, state, due)
        this.#due.push(due, first)
        return
      }
    }
    this.lanes.open(lane).push(first, segment.count)
  }

  #activateRows(numbers: Float64Array): Uint32Array | undefined {
    const table = this.table
    let leaseMs: Uint32Array | undefined
    for (let i = 0; i < numbers.length; i++) {
      const row = table.find(numbers[i]!)
      if (row < 0) continue
      table.setState(row, JobState.active, table.time(row))
      table.setAttempts(row, Math.min(table.attempts(row) + 1, ATTEMPTS_MAX))
      const own = this.sets.get(table.options(row)).leaseMs
      if (own > 0) (leaseMs ??= new Uint32Array(numbers.length))[i] = own
    }
    return leaseMs
  }

  #rowOfActive(number: number, lane: number): number {
    const row = this.table.find(number)
    return row >= 0 ? row : this.table.insert(number, JobState.active, lane, 1, 0)
  }

  #end(number: number, row: number, lane: number, from: number, state: number, wallNow: number, source: Uint8Array, at: number, length: number): number {
    const table = this.table
    const record = this.batches.find(number)
    ending.number = number
    ending.state = state
    ending.lane = lane
    ending.addedAt = this.batches.addedAt(record)
    ending.endedAt = wallNow
    ending.attempt = from === JobState.active ? 1 : 0
    ending.lostLeases = 0
    ending.maxAttempts = this.sets.get(0).maxAttempts
    if (row >= 0) {
      ending.attempt = table.attempts(row)
      ending.lostLeases = table.lostLeases(row)
      ending.maxAttempts = this.sets.get(table.options(row)).maxAttempts
      this.#dropRow(row)
    }
    this.#count(from, -1)
    this.#count(state, 1)
    this.ended.push(ending, source, at, length)
    return this.batches.release(number)
  }

  #dropRow(row: number): void {
    this.sets.drop(this.table.options(row))
    this.table.delete(row)
  }

  #wait(row: number): void {
    this.#move(row, JobState.waiting, 0)
    this.lanes.open(this.table.lane(row)).giveBack(this.table.number(row))
  }

  #postpone(row: number, state: number, until: number): void {
    this.#move(row, state, until)
    this.#due.push(until, this.table.number(row))
  }

  #bury(row: number, wallNow: number): true {
    this.#move(row, JobState.dead, wallNow)
    return true
  }

  #move(row: number, state: number, time: number): void {
    this.#count(this.table.state(row), -1)
    this.#count(state, 1)
    this.table.setState(row, state, time)
  }

  #isDue(time: number, number: number): boolean {
    const row = this.table.find(number)
    if (row < 0 || this.table.time(row) !== time) return false
    const state = this.table.state(row)
    return state === JobState.scheduled || state === JobState.retrying
  }

  #count(state: number, by: number): void {
    this.counts[state] = this.counts[state]! + by
  }
}

/** Reused for every job that ends: the ring copies it into its columns. */
const ending = { number: 0, state: 0, lane: 0, attempt: 0, maxAttempts: 0, lostLeases: 0, addedAt: 0, endedAt: 0 }
const ATTEMPTS_MAX = 65_535
const NO_SETTINGS: PartitionSettings = { version: 0, deadLetters: [] }
const NO_BYTES = new Uint8Array(0)
const LOST_ERROR = bytesOf(`lease lost ${LOST_LEASES_MAX} times`)

function bytesOf(ascii: string): Uint8Array {
  return Uint8Array.from(ascii, (character) => character.charCodeAt(0))
}
