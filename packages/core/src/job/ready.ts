//! The waiting jobs of one lane, smallest number first.
//!
//!   runs      [first, count] [first, count] ...   as they were added: a batch of thousands is one run
//!   returned  a heap of the few that came back: lease lost, released, retry or delay due
//!   removed   numbers inside runs or heap that were cancelled; stepped over when their turn comes
//!
//! So a backlog of millions costs a few bytes for each batch, and taking from it is arithmetic.

import { Heap } from '../heap.ts'
import { MalformedMessage, type Reader, type Writer } from '../message/layout.ts'
import { readCount, readRising, writePacked } from '../message/packed.ts'
import { NumberIndex } from './numbers.ts'

export class ReadyList {
  #firsts = new Float64Array(4)
  #counts = new Float64Array(4)
  #head = 0
  #tail = 0
  #returned = new Heap()
  #removed = new NumberIndex()
  #size = 0

  get size(): number {
    return this.#size
  }

  /** The smallest number, or Infinity. */
  get next(): number {
    const back = this.#returned.peekKey
    if (this.#head === this.#tail) return back
    const first = this.#firsts[this.#head]!
    return first < back ? first : back
  }

  /** New jobs: numbers above all that were ever pushed. */
  push(first: number, count: number): void {
    this.#size += count
    const last = this.#tail - 1
    if (this.#head < this.#tail && this.#firsts[last]! + this.#counts[last]! === first) {
      this.#counts[last] = this.#counts[last]! + count
      return
    }
    if (this.#tail === this.#firsts.length) this.#makeRoom()
    this.#firsts[this.#tail] = first
    this.#counts[this.#tail++] = count
  }

  /** A job that waits again. */
  giveBack(number: number): void {
    this.#size++
    this.#returned.push(number, number)
  }

  /** Takes at most `limit` numbers below `bound`, smallest first, into `into` from `at`; returns how many. */
  take(limit: number, bound: number, into: Float64Array, at: number): number {
    let taken = 0
    while (taken < limit) {
      const first = this.#head < this.#tail ? this.#firsts[this.#head]! : Infinity
      const back = this.#returned.peekKey
      if (back < first) {
        if (back >= bound) break
        into[at + taken++] = this.#returned.pop()
      } else {
        if (first >= bound) break
        const edge = Math.min(bound, back, this.#removed.size > 0 ? first + 1 : Infinity)
        const count = Math.min(this.#counts[this.#head]!, limit - taken, edge - first)
        for (let i = 0; i < count; i++) into[at + taken + i] = first + i
        taken += count
        this.#advance(count)
      }
      if (this.#removed.size > 0) this.#settle()
    }
    this.#size -= taken
    return taken
  }

  /** Takes out a job that waits here. */
  remove(number: number): void {
    this.#size--
    this.#removed.set(number, 1)
    this.#settle()
  }

  /** Whether the job waits in a run, where it needs no row of its own. */
  inRuns(number: number): boolean {
    const run = this.#runOf(number)
    return run >= 0 && number < this.#firsts[run]! + this.#counts[run]! && this.#removed.find(number) < 0
  }

  /** Calls `visit` for the numbers in runs from `from` up until it returns false. */
  eachInRuns(from: number, visit: (number: number) => boolean): void {
    for (let run = Math.max(this.#runOf(from), this.#head); run < this.#tail; run++) {
      const end = this.#firsts[run]! + this.#counts[run]!
      for (let number = Math.max(this.#firsts[run]!, from); number < end; number++) {
        if (this.#removed.size > 0 && this.#removed.find(number) >= 0) continue
        if (!visit(number)) return
      }
    }
  }

  /** The heap is not written: what waits outside the runs has a row in the job table, and is given back from there. */
  write(writer: Writer): void {
    writePacked(writer, this.#tail - this.#head)
    let before = 0
    for (let run = this.#head; run < this.#tail; run++) {
      writePacked(writer, this.#firsts[run]! - before)
      writePacked(writer, this.#counts[run]!)
      before = this.#firsts[run]! + this.#counts[run]!
    }
    const removed = this.#removed.sorted().filter((number) => this.#covers(number))
    writePacked(writer, removed.length)
    before = 0
    for (const number of removed) {
      writePacked(writer, number - before)
      before = number
    }
  }

  static read(reader: Reader): ReadyList {
    const list = new ReadyList()
    const runs = readCount(reader, 2)
    let before = 0
    for (let i = 0; i < runs; i++) {
      const first = readRising(reader, before)
      const count = readRising(reader, 0)
      list.push(first, count)
      before = first + count
    }
    const removed = readCount(reader)
    before = 0
    for (let i = 0; i < removed; i++) {
      before = readRising(reader, before)
      if (!list.inRuns(before)) throw new MalformedMessage('a removed job that is not there')
      list.remove(before)
    }
    return list
  }

  /** Drops cancelled numbers from the front, so that `next` is always a job that waits. */
  #settle(): void {
    while (this.#removed.size > 0 && this.#head < this.#tail && this.#removed.delete(this.#firsts[this.#head]!)) this.#advance(1)
    while (this.#removed.size > 0 && this.#returned.size > 0 && this.#removed.delete(this.#returned.peekKey)) this.#returned.pop()
  }

  #advance(count: number): void {
    const left = this.#counts[this.#head]! - count
    if (left > 0) {
      this.#firsts[this.#head] = this.#firsts[this.#head]! + count
      this.#counts[this.#head] = left
    } else if (++this.#head === this.#tail) this.#head = this.#tail = 0
  }

  #covers(number: number): boolean {
    const run = this.#runOf(number)
    return run >= 0 && number < this.#firsts[run]! + this.#counts[run]!
  }

  /** The last run that begins at or below `number`, or -1. */
  #runOf(number: number): number {
    let low = this.#head
    let high = this.#tail
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#firsts[middle]! <= number) low = middle + 1
      else high = middle
    }
    return low > this.#head ? low - 1 : -1
  }

  #makeRoom(): void {
    const size = this.#tail - this.#head
    const capacity = size * 2 > this.#firsts.length ? this.#firsts.length * 2 : this.#firsts.length
    const firsts = new Float64Array(capacity)
    const counts = new Float64Array(capacity)
    firsts.set(this.#firsts.subarray(this.#head, this.#tail))
    counts.set(this.#counts.subarray(this.#head, this.#tail))
    this.#firsts = firsts
    this.#counts = counts
    this.#head = 0
    this.#tail = size
  }
}
