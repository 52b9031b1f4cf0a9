//! Entries that the log no longer needs but a live job's payload does: where they are on disk, as runs.
//!
//!   [first index, count, segment, offset, length]     entries of one length with rising indexes, one record behind the other
//!
//! So adds of one job each, which are all alike, cost next to nothing while they were written in large groups, and never more
//! than 24 bytes each.

import type { Hash } from '../hash.ts'
import { Rows } from '../rows.ts'
import { recordBytes } from './record.ts'
import type { Location, SegmentUse } from './tail.ts'

export class Survivors {
  #runs = new Rows(1, 4)
  #size = 0

  get size(): number {
    return this.#size
  }

  has(index: number): boolean {
    return this.#runOf(index) >= 0
  }

  find(index: number): Location | undefined {
    const run = this.#runOf(index)
    if (run < 0) return undefined
    const length = this.#runs.word(run, LENGTH)
    return { segment: this.#runs.word(run, SEGMENT), offset: this.#runs.word(run, OFFSET) + (index - this.#runs.key(run)) * recordBytes(length), length }
  }

  /** Takes over the claim on the segment; an earlier place of the same index gives up its own. */
  put(index: number, segment: number, offset: number, length: number, use: SegmentUse): void {
    this.remove(index, use)
    this.#size++
    const runs = this.#runs
    const before = runs.floor(index)
    if (before >= 0 && this.#end(before) === index && runs.word(before, SEGMENT) === segment && runs.word(before, LENGTH) === length) {
      const count = runs.word(before, COUNT)
      if (runs.word(before, OFFSET) + count * recordBytes(length) === offset) return runs.setWord(before, COUNT, count + 1)
    }
    this.#insert(index, 1, segment, offset, length)
  }

  remove(index: number, use: SegmentUse): void {
    const runs = this.#runs
    const run = this.#runOf(index)
    if (run < 0) return
    this.#size--
    const segment = runs.word(run, SEGMENT)
    const length = runs.word(run, LENGTH)
    use.free(segment, length)
    const first = runs.key(run)
    const offset = runs.word(run, OFFSET)
    const behind = this.#end(run) - index - 1
    if (index === first) {
      if (behind === 0) return runs.delete(run)
      runs.setDouble(run, 0, index + 1)
      runs.setWord(run, OFFSET, offset + recordBytes(length))
      runs.setWord(run, COUNT, behind)
      return
    }
    runs.setWord(run, COUNT, index - first)
    if (behind > 0) this.#insert(index + 1, behind, segment, offset + (index + 1 - first) * recordBytes(length), length)
  }

  /** Of those from `from` to `through`, keeps only the ones in `indexes`, which is sorted. */
  keepOnly(indexes: readonly number[], from: number, through: number, use: SegmentUse): void {
    let next = 0
    for (let index = this.atOrAfter(from); index <= through; index = this.atOrAfter(index + 1)) {
      while (next < indexes.length && indexes[next]! < index) next++
      if (indexes[next] !== index) this.remove(index, use)
    }
  }

  truncate(from: number, use: SegmentUse): void {
    const runs = this.#runs
    for (let run = runs.last; run >= 0 && this.#end(run) > from; run = runs.last) {
      const kept = Math.max(0, from - runs.key(run))
      for (let count = runs.word(run, COUNT); count > kept; count--) use.free(runs.word(run, SEGMENT), runs.word(run, LENGTH))
      this.#size -= runs.word(run, COUNT) - kept
      if (kept === 0) runs.delete(run)
      else runs.setWord(run, COUNT, kept)
    }
  }

  /** The lowest index held that is `from` or above, or Infinity. */
  atOrAfter(from: number): number {
    const runs = this.#runs
    const run = runs.floor(from)
    if (run >= 0 && from < this.#end(run)) return from
    const next = run < 0 ? runs.first : runs.next(run)
    return next < 0 ? Infinity : runs.key(next)
  }

  /** Looks at runs in order, about `most` entries and no more runs, from `from` on: the indexes of those in a segment, and where to go on, Infinity at the end. */
  within(segment: number, from: number, most: number): { readonly indexes: readonly number[]; readonly next: number } {
    const runs = this.#runs
    const indexes: number[] = []
    let next = this.atOrAfter(from)
    for (let looked = 0; looked < most && next < Infinity; looked++) {
      const run = runs.floor(next)
      const end = this.#end(run)
      if (runs.word(run, SEGMENT) === segment) {
        const until = Math.min(end, next + most)
        looked += until - next
        while (next < until) indexes.push(next++)
      } else next = end
      next = this.atOrAfter(next)
    }
    return { indexes, next }
  }

  /** Claims the segment of every entry. */
  claim(use: SegmentUse): void {
    const runs = this.#runs
    for (let run = runs.first; run >= 0; run = runs.next(run)) {
      for (let count = runs.word(run, COUNT); count > 0; count--) use.need(runs.word(run, SEGMENT), runs.word(run, LENGTH))
    }
  }

  clone(): Survivors {
    const copy = new Survivors()
    copy.#runs = this.#runs.clone()
    copy.#size = this.#size
    return copy
  }

  mix(hash: Hash): void {
    const runs = this.#runs
    hash.number(this.size)
    for (let run = runs.first; run >= 0; run = runs.next(run)) {
      hash.number(runs.key(run))
      for (const column of [COUNT, SEGMENT, OFFSET, LENGTH]) hash.word(runs.word(run, column))
    }
  }

  #insert(index: number, count: number, segment: number, offset: number, length: number): void {
    const run = this.#runs.insert(index)
    this.#runs.setWord(run, COUNT, count)
    this.#runs.setWord(run, SEGMENT, segment)
    this.#runs.setWord(run, OFFSET, offset)
    this.#runs.setWord(run, LENGTH, length)
  }

  #runOf(index: number): number {
    const run = this.#runs.floor(index)
    return run >= 0 && index < this.#end(run) ? run : -1
  }

  /** Behind the last index of a run. */
  #end(run: number): number {
    return this.#runs.key(run) + this.#runs.word(run, COUNT)
  }
}

const COUNT = 0
const SEGMENT = 1
/** Of the first record's header. */
const OFFSET = 2
/** Of each body. */
const LENGTH = 3
