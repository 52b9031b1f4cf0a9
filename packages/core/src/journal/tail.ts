//! Where the entries of a shard's log are on disk: one dense run of indexes, in a ring of typed arrays, so that a million
//! entries cost 12 MB and appending one costs three stores. Segment 0 means that the entry is gathered but not yet placed.

import { assert } from '../assert.ts'
import type { Hash } from '../hash.ts'

/** Counts, per segment, the records that are still wanted, and their bytes. */
export interface SegmentUse {
  need(segment: number, bytes: number): void
  free(segment: number, bytes: number): void
}

export interface Location {
  readonly segment: number
  /** Of the record's header in the file. */
  readonly offset: number
  /** Of the body. */
  readonly length: number
}

export class Tail {
  /** The lowest index held; `last + 1` when empty. */
  first = 1
  last = 0
  #segment = new Uint32Array(INITIAL)
  #offset = new Uint32Array(INITIAL)
  #length = new Uint32Array(INITIAL)

  get size(): number {
    return this.last - this.first + 1
  }

  has(index: number): boolean {
    return index >= this.first && index <= this.last
  }

  /** The log goes on with `last + 1`, its place yet unknown. */
  push(): void {
    if (this.size === this.#segment.length) this.#grow()
    this.last++
    this.#segment[this.last % this.#segment.length] = 0
  }

  place(index: number, segment: number, offset: number, length: number): void {
    assert(this.has(index), 'only an entry of the log is placed')
    const slot = index % this.#segment.length
    this.#segment[slot] = segment
    this.#offset[slot] = offset
    this.#length[slot] = length
  }

  segmentOf(index: number): number {
    return this.#segment[index % this.#segment.length]!
  }

  /** Undefined where the entry is not held or not yet placed. */
  find(index: number): Location | undefined {
    if (!this.has(index)) return undefined
    const slot = index % this.#segment.length
    const segment = this.#segment[slot]!
    return segment === 0 ? undefined : { segment, offset: this.#offset[slot]!, length: this.#length[slot]! }
  }

  /** Drops `from` and everything after it. */
  truncate(from: number, use: SegmentUse): void {
    for (let index = Math.max(from, this.first); index <= this.last; index++) this.#release(index, use)
    this.last = Math.min(this.last, Math.max(from, this.first) - 1)
  }

  /** Drops the lowest entry. */
  shift(use: SegmentUse): void {
    this.#release(this.first, use)
    this.first++
  }

  /** Forgets everything; the log goes on behind `index`. */
  restart(index: number, use: SegmentUse): void {
    this.truncate(this.first, use)
    this.first = index + 1
    this.last = index
  }

  /** Claims the segment of every entry. */
  claim(use: SegmentUse): void {
    for (let index = this.first; index <= this.last; index++) use.need(this.segmentOf(index), this.#length[index % this.#length.length]!)
  }

  clone(): Tail {
    const copy = new Tail()
    copy.first = this.first
    copy.last = this.last
    copy.#segment = this.#segment.slice()
    copy.#offset = this.#offset.slice()
    copy.#length = this.#length.slice()
    return copy
  }

  mix(hash: Hash): void {
    hash.number(this.first).number(this.last)
    for (let index = this.first; index <= this.last; index++) {
      const slot = index % this.#segment.length
      hash.word(this.#segment[slot]!).word(this.#segment[slot] === 0 ? 0 : this.#offset[slot]!)
    }
  }

  #release(index: number, use: SegmentUse): void {
    const segment = this.segmentOf(index)
    if (segment !== 0) use.free(segment, this.#length[index % this.#length.length]!)
  }

  #grow(): void {
    const before = this.#segment.length
    const after = before * 2
    const segment = new Uint32Array(after)
    const offset = new Uint32Array(after)
    const length = new Uint32Array(after)
    for (let index = this.first; index <= this.last; index++) {
      segment[index % after] = this.#segment[index % before]!
      offset[index % after] = this.#offset[index % before]!
      length[index % after] = this.#length[index % before]!
    }
    this.#segment = segment
    this.#offset = offset
    this.#length = length
  }
}

const INITIAL = 16
