//! The waiting jobs of one lane, smallest number first: an ordered set of numbers, kept as runs.
//!
//!   [first, count] [first, count] ...      a batch of thousands is one run, and what comes back closes the gaps
//!
//! So a backlog of millions costs a few bytes for each batch, and taking from it is arithmetic. Runs that touch are joined, so
//! equal sets have equal runs, however they came to be.

import type { Freezer } from '../freeze.ts'
import type { Frozen, ImageReader, Walk } from '../message/image.ts'
import { MalformedMessage } from '../message/layout.ts'
import { readRising, writePacked } from '../message/packed.ts'
import { Rows } from '../rows.ts'

export class ReadyList {
  /** By the first number of each run. */
  readonly #runs: Rows
  #size = 0

  constructor(freezer?: Freezer) {
    this.#runs = new Rows(1, 1, freezer)
  }

  get size(): number {
    return this.#size
  }

  /** The smallest number, or Infinity. */
  get next(): number {
    return this.#size === 0 ? Infinity : this.#runs.key(this.#runs.first)
  }

  /** New jobs: numbers above all that were ever pushed. */
  push(first: number, count: number): void {
    this.#size += count
    const runs = this.#runs
    const last = runs.last
    if (last >= 0 && this.#end(last) === first && this.#count(last) + count <= COUNT_MAX) runs.setWord(last, COUNT, this.#count(last) + count)
    else runs.setWord(runs.insert(first), COUNT, count)
  }

  /** A job that waits again. */
  giveBack(number: number): void {
    this.#size++
    const runs = this.#runs
    const before = runs.floor(number)
    const behind = before < 0 ? runs.first : runs.next(before)
    const joinsBefore = before >= 0 && this.#end(before) === number && this.#count(before) < COUNT_MAX
    const joinsBehind = behind >= 0 && runs.key(behind) === number + 1 && this.#count(behind) < COUNT_MAX
    if (joinsBefore && joinsBehind && this.#count(before) + 1 + this.#count(behind) <= COUNT_MAX) {
      runs.setWord(before, COUNT, this.#count(before) + 1 + this.#count(behind))
      runs.delete(behind)
    } else if (joinsBefore) runs.setWord(before, COUNT, this.#count(before) + 1)
    else if (joinsBehind) {
      runs.setDouble(behind, FIRST, number)
      runs.setWord(behind, COUNT, this.#count(behind) + 1)
    } else runs.setWord(runs.insert(number), COUNT, 1)
  }

  /** Takes at most `limit` numbers below `bound`, smallest first, into `into` from `at`; returns how many. */
  take(limit: number, bound: number, into: Float64Array, at: number): number {
    const runs = this.#runs
    let taken = 0
    while (taken < limit && taken < this.#size) {
      const row = runs.first
      const first = runs.key(row)
      if (first >= bound) break
      const count = Math.min(this.#count(row), limit - taken, bound - first)
      for (let i = 0; i < count; i++) into[at + taken + i] = first + i
      taken += count
      this.#shorten(row, first + count, this.#count(row) - count)
    }
    this.#size -= taken
    return taken
  }

  /** Takes out a job that waits here. */
  remove(number: number): void {
    this.#size--
    const runs = this.#runs
    const row = runs.floor(number)
    const first = runs.key(row)
    const end = this.#end(row)
    if (first === number) return this.#shorten(row, number + 1, end - number - 1)
    runs.setWord(row, COUNT, number - first)
    if (end > number + 1) runs.setWord(runs.insert(number + 1), COUNT, end - number - 1)
  }

  has(number: number): boolean {
    const row = this.#runs.floor(number)
    return row >= 0 && number < this.#end(row)
  }

  /** Calls `visit` for the numbers from `from` up until it returns false. */
  each(from: number, visit: (number: number) => boolean): void {
    const runs = this.#runs
    for (let row = Math.max(runs.floor(from), runs.first); row >= 0; row = runs.next(row)) {
      const end = this.#end(row)
      for (let number = Math.max(runs.key(row), from); number < end; number++) if (!visit(number)) return
    }
  }

  freeze(): Frozen {
    const pages = this.#runs.freeze()
    const runs = this.#runs.size
    return function* (out): Walk {
      const { writer } = out
      writePacked(writer, runs)
      out.endItem()
      let before = 0
      for (const { doubles, words, from, to } of pages) {
        for (let at = from; at < to; at++) {
          writePacked(writer, doubles[at]! - before)
          writePacked(writer, words[at]!)
          out.endItem()
          before = doubles[at]! + words[at]!
        }
        yield to - from
      }
    }
  }

  static *read(input: ImageReader, freezer?: Freezer): Walk<ReadyList> {
    const list = new ReadyList(freezer)
    const runs = input.count(2)
    let before = 0
    for (let i = 0; i < runs; i++) {
      const reader = input.item()
      const first = readRising(reader, before)
      const count = readRising(reader, 0)
      if (count > COUNT_MAX) throw new MalformedMessage('a run that is too long')
      list.push(first, count)
      before = first + count
      if (i % 128 === 127) yield 128
    }
    return list
  }

  /** What is left of a run from `first` on. */
  #shorten(row: number, first: number, count: number): void {
    if (count === 0) return this.#runs.delete(row)
    this.#runs.setDouble(row, FIRST, first)
    this.#runs.setWord(row, COUNT, count)
  }

  #count(row: number): number {
    return this.#runs.word(row, COUNT)
  }

  #end(row: number): number {
    return this.#runs.key(row) + this.#runs.word(row, COUNT)
  }
}

const FIRST = 0
const COUNT = 0
/** Of one run: a count is a word. */
const COUNT_MAX = 0xffff_ffff
