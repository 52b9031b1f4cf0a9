//! A hash table from job numbers to small whole numbers, in two typed arrays: open addressing, linear probing, deletion
//! by shifting back, so that there are no tombstones and the table's order never matters to anyone.
//!
//! Job numbers are dense, so sixteen neighbours share a home line: a batch walks memory in order instead of jumping.

import { assert } from '../assert.ts'

export class NumberIndex {
  /** 0 is an empty place: jobs are numbered from 1. */
  #keys = new Float64Array(CAPACITY_MIN)
  #values = new Int32Array(CAPACITY_MIN)
  #size = 0

  get size(): number {
    return this.#size
  }

  /** The value, or -1. */
  find(number: number): number {
    if (this.#size === 0) return -1
    const keys = this.#keys
    const mask = keys.length - 1
    for (let at = home(number, mask); ; at = (at + 1) & mask) {
      const key = keys[at]!
      // First of all, since a client may ask for job 0.
      if (key === 0) return -1
      if (key === number) return this.#values[at]!
    }
  }

  set(number: number, value: number): void {
    assert(number > 0, 'a job number is at least 1')
    if ((this.#size + 1) * 2 > this.#keys.length) this.#rebuild(this.#keys.length * 2)
    const keys = this.#keys
    const mask = keys.length - 1
    let at = home(number, mask)
    for (; keys[at] !== 0; at = (at + 1) & mask) if (keys[at] === number) break
    if (keys[at] === 0) this.#size++
    keys[at] = number
    this.#values[at] = value
  }

  delete(number: number): boolean {
    const keys = this.#keys
    const values = this.#values
    const mask = keys.length - 1
    let at = home(number, mask)
    for (; ; at = (at + 1) & mask) {
      if (keys[at] === 0) return false
      if (keys[at] === number) break
    }
    for (let next = (at + 1) & mask; keys[next] !== 0; next = (next + 1) & mask) {
      // Whatever would no longer be reached from its home across the gap moves into it.
      if (((next - home(keys[next]!, mask)) & mask) < ((next - at) & mask)) continue
      keys[at] = keys[next]!
      values[at] = values[next]!
      at = next
    }
    keys[at] = 0
    this.#size--
    return true
  }

  #rebuild(capacity: number): void {
    const keys = this.#keys
    const values = this.#values
    this.#keys = new Float64Array(capacity)
    this.#values = new Int32Array(capacity)
    this.#size = 0
    for (let i = 0; i < keys.length; i++) if (keys[i] !== 0) this.set(keys[i]!, values[i]!)
  }
}

const CAPACITY_MIN = 32

/** Mixes the line of sixteen, keeps the place in it. */
function home(number: number, mask: number): number {
  let line = (number / 16) | 0
  line = Math.imul(line ^ (line >>> 15), 0x9e3779b1)
  return (((line ^ (line >>> 13)) << 4) | (number & 15)) & mask
}
