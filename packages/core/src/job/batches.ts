//! Where payloads live: one record for each unbroken row of jobs of an add entry, in the order of their numbers. A job is
//! found by binary search; a record goes when the last of its jobs has ended.
//!
//! An add that repeats idempotency keys gives no number to its duplicates, so its jobs fall into several records, each with
//! the ordinal at which it begins; they lie next to one another.

import { assert } from '../assert.ts'
import { ITEMS_MAX } from '../message/jobs.ts'
import { MalformedMessage, type Reader, type Writer } from '../message/layout.ts'
import { readCount, readPacked, writePacked } from '../message/packed.ts'

export class Batches {
  #firsts = new Float64Array(4)
  /** An add holds at most 65,535 items: counts and ordinals fit two bytes, and a record thirty. */
  #counts = new Uint16Array(4)
  #ordinals = new Uint16Array(4)
  #entries = new Float64Array(4)
  #added = new Float64Array(4)
  /** Jobs that have not ended; 0 is a record that is only waiting to be swept. */
  #live = new Uint16Array(4)
  #size = 0
  #empty = 0
  /** The record found last: neighbours are asked for in a row. */
  #recent = 0

  append(first: number, count: number, ordinal: number, entryIndex: number, addedAt: number): void {
    if (this.#size === this.#firsts.length) this.#makeRoom()
    const at = this.#size++
    this.#firsts[at] = first
    this.#counts[at] = count
    this.#ordinals[at] = ordinal
    this.#entries[at] = entryIndex
    this.#added[at] = addedAt
    this.#live[at] = count
  }

  /** The record of a job whose payload is still needed by some job of it, or -1. */
  find(number: number): number {
    const recent = this.#recent
    if (recent < this.#size && this.#holds(recent, number)) return this.#live[recent]! > 0 ? recent : -1
    const at = countUpTo(this.#firsts, this.#size, number) - 1
    if (at < 0 || !this.#holds(at, number)) return -1
    this.#recent = at
    return this.#live[at]! > 0 ? at : -1
  }

  entryIndex(record: number): number {
    return this.#entries[record]!
  }

  ordinal(record: number, number: number): number {
    return this.#ordinals[record]! + number - this.#firsts[record]!
  }

  addedAt(record: number): number {
    return this.#added[record]!
  }

  /** The job has ended. Returns the index of its add entry where no other job of it is left, else 0. */
  release(number: number): number {
    const at = this.find(number)
    assert(at >= 0, 'a job that ends has a batch')
    const live = this.#live[at]! - 1
    this.#live[at] = live
    if (live > 0) return 0
    this.#empty++
    const entry = this.#entries[at]!
    const free = this.#entryIsFree(at)
    if (this.#empty > EMPTY_MIN && this.#empty * 2 > this.#size) this.#sweep()
    return free ? entry : 0
  }

  /** Whether a job of this add entry is left. */
  holdsEntry(index: number): boolean {
    for (let at = countUpTo(this.#entries, this.#size, index) - 1; at >= 0 && this.#entries[at] === index; at--) if (this.#live[at]! > 0) return true
    return false
  }

  /** The indexes of all add entries that are still needed, rising; each once. */
  liveEntries(into: number[]): void {
    let before = 0
    for (let at = 0; at < this.#size; at++) {
      if (this.#live[at] === 0 || this.#entries[at] === before) continue
      before = this.#entries[at]!
      into.push(before)
    }
  }

  write(writer: Writer): void {
    writePacked(writer, this.#size - this.#empty)
    let number = 0
    let entry = 0
    for (let at = 0; at < this.#size; at++) {
      if (this.#live[at] === 0) continue
      writePacked(writer, this.#firsts[at]! - number)
      writePacked(writer, this.#counts[at]!)
      writePacked(writer, this.#ordinals[at]!)
      writePacked(writer, this.#entries[at]! - entry)
      writePacked(writer, this.#counts[at]! - this.#live[at]!)
      writer.f64(this.#added[at]!)
      number = this.#firsts[at]! + this.#counts[at]!
      entry = this.#entries[at]!
    }
  }

  static read(reader: Reader): Batches {
    const batches = new Batches()
    const size = readCount(reader, 13)
    let number = 0
    let entry = 0
    for (let at = 0; at < size; at++) {
      const first = number + readPacked(reader)
      const count = readPacked(reader)
      const ordinal = readPacked(reader)
      entry += readPacked(reader)
      const ended = readPacked(reader)
      if (first === 0 || ended >= count || count > ITEMS_MAX || ordinal > ITEMS_MAX) throw new MalformedMessage('a batch without a job')
      batches.append(first, count, ordinal, entry, reader.f64())
      batches.#live[at] = count - ended
      number = first + count
    }
    return batches
  }

  #holds(record: number, number: number): boolean {
    const first = this.#firsts[record]!
    return number >= first && number < first + this.#counts[record]!
  }

  /** Looks outward on both sides, since jobs mostly end in order: a living neighbour is mostly the very next one. */
  #entryIsFree(record: number): boolean {
    const entry = this.#entries[record]!
    let left = record - 1
    let right = record + 1
    for (;;) {
      const onLeft = left >= 0 && this.#entries[left] === entry
      const onRight = right < this.#size && this.#entries[right] === entry
      if (!onLeft && !onRight) return true
      if ((onLeft && this.#live[left]! > 0) || (onRight && this.#live[right]! > 0)) return false
      if (onLeft) left--
      if (onRight) right++
    }
  }

  #sweep(): void {
    let to = 0
    for (let from = 0; from < this.#size; from++) {
      if (this.#live[from] === 0) continue
      this.#firsts[to] = this.#firsts[from]!
      this.#counts[to] = this.#counts[from]!
      this.#ordinals[to] = this.#ordinals[from]!
      this.#entries[to] = this.#entries[from]!
      this.#added[to] = this.#added[from]!
      this.#live[to++] = this.#live[from]!
    }
    this.#size = to
    this.#empty = 0
    this.#recent = 0
  }

  #makeRoom(): void {
    if (this.#empty * 4 > this.#size) return this.#sweep()
    const capacity = this.#size * 2
    this.#firsts = widened(this.#firsts, new Float64Array(capacity))
    this.#counts = widened(this.#counts, new Uint16Array(capacity))
    this.#ordinals = widened(this.#ordinals, new Uint16Array(capacity))
    this.#entries = widened(this.#entries, new Float64Array(capacity))
    this.#added = widened(this.#added, new Float64Array(capacity))
    this.#live = widened(this.#live, new Uint16Array(capacity))
  }
}

/** Sweeping fewer is not worth it. */
const EMPTY_MIN = 64

/** How many of the first `size` values, which never fall, are `most` or less. */
function countUpTo(values: Float64Array, size: number, most: number): number {
  let low = 0
  let high = size
  while (low < high) {
    const middle = (low + high) >>> 1
    if (values[middle]! <= most) low = middle + 1
    else high = middle
  }
  return low
}

function widened<T extends Float64Array | Uint16Array>(from: T, to: T): T {
  to.set(from)
  return to
}
