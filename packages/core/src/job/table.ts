//! A row for each job of a partition that is more than a number in a run: scheduled, waiting again, retrying, dead, with
//! options of its own, or active after any of these. A job without a row has default options and is either waiting in a
//! run, active for the first time, or ended.
//!
//! Rows are columns of typed arrays, found through an open-addressed index; a row's number means nothing outside.

import { NumberIndex } from './numbers.ts'

export class JobTable {
  numbers = new Float64Array(CAPACITY_MIN)
  states = new Uint8Array(CAPACITY_MIN)
  lanes = new Uint32Array(CAPACITY_MIN)
  /** Leases so far, less those that were handed back. */
  attempts = new Uint16Array(CAPACITY_MIN)
  lostLeases = new Uint8Array(CAPACITY_MIN)
  /** Number of an option set. */
  options = new Uint32Array(CAPACITY_MIN)
  /** Wall time: due while scheduled or retrying, ended while dead, else 0. */
  times = new Float64Array(CAPACITY_MIN)
  #index = new NumberIndex()
  #free = new Int32Array(CAPACITY_MIN)
  #freeCount = 0
  #used = 0

  get size(): number {
    return this.#index.size
  }

  /** The row of a job, or -1. */
  find(number: number): number {
    return this.#index.find(number)
  }

  insert(number: number, state: number, lane: number, attempts: number, options: number): number {
    if (this.#freeCount === 0 && this.#used === this.numbers.length) this.#grow()
    const row = this.#freeCount > 0 ? this.#free[--this.#freeCount]! : this.#used++
    this.#index.set(number, row)
    this.numbers[row] = number
    this.states[row] = state
    this.lanes[row] = lane
    this.attempts[row] = attempts
    this.lostLeases[row] = 0
    this.options[row] = options
    this.times[row] = 0
    return row
  }

  delete(row: number): void {
    this.#index.delete(this.numbers[row]!)
    this.numbers[row] = 0
    this.#free[this.#freeCount++] = row
  }

  /** The numbers of all rows, rising. */
  sorted(): Float64Array {
    return this.#index.sorted()
  }

  /** Rows from 0 up to this may be in use; those that are not have number 0. */
  get end(): number {
    return this.#used
  }

  #grow(): void {
    const capacity = this.numbers.length * 2
    this.numbers = copied(this.numbers, new Float64Array(capacity))
    this.states = copied(this.states, new Uint8Array(capacity))
    this.lanes = copied(this.lanes, new Uint32Array(capacity))
    this.attempts = copied(this.attempts, new Uint16Array(capacity))
    this.lostLeases = copied(this.lostLeases, new Uint8Array(capacity))
    this.options = copied(this.options, new Uint32Array(capacity))
    this.times = copied(this.times, new Float64Array(capacity))
    this.#free = copied(this.#free, new Int32Array(capacity))
  }
}

const CAPACITY_MIN = 32

function copied<T extends { set(from: T): void }>(from: T, to: T): T {
  to.set(from)
  return to
}
