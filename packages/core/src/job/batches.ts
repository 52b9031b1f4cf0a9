//! Where payloads live: one record for each unbroken row of jobs of an add entry, in the order of their numbers. A job is
//! found by binary search; a record goes when the last of its jobs has ended.
//!
//! An add that repeats idempotency keys gives no number to its duplicates, so its jobs fall into several records, each with
//! the ordinal at which it begins; they lie next to one another.
//!
//! Adds of one job each that follow one another in the log within the same millisecond share a record: job and entry rise
//! together in it. It is cut where one of its jobs ends.

import { assert } from '../assert.ts'
import type { Freezer } from '../freeze.ts'
import type { Frozen, ImageReader, Walk } from '../message/image.ts'
import { ITEMS_MAX } from '../message/jobs.ts'
import { MalformedMessage } from '../message/layout.ts'
import { readPacked, writePacked } from '../message/packed.ts'
import { Rows } from '../rows.ts'

export class Batches {
  /** By the number of the first job. */
  readonly #rows: Rows
  /** The record found last: neighbours are asked for in a row. */
  #recent = -1

  constructor(freezer?: Freezer) {
    this.#rows = new Rows(3, 2, freezer)
  }

  append(first: number, count: number, ordinal: number, entryIndex: number, addedAt: number): void {
    const rows = this.#rows
    if (count === 1 && ordinal === 0 && this.#joins(rows.last, first, entryIndex, addedAt)) return
    this.#insert(first, entryIndex, addedAt, count * WORD_HALF + ordinal, count)
  }

  /** The record of a job whose payload is still needed by some job of it, or -1. It holds until the next append or release. */
  find(number: number): number {
    const recent = this.#recent
    if (recent >= 0 && this.#rows.isRow(recent) && this.#holds(recent, number)) return recent
    const record = this.#rows.floor(number)
    if (record < 0 || !this.#holds(record, number)) return -1
    return (this.#recent = record)
  }

  /** Of the add that brought a job of the record. */
  entryIndex(record: number, number: number): number {
    const entry = this.#rows.double(record, ENTRY)
    return this.#isRow(record) ? entry + number - this.#rows.key(record) : entry
  }

  ordinal(record: number, number: number): number {
    return this.#isRow(record) ? 0 : (this.#rows.word(record, PLACE) % WORD_HALF) + number - this.#rows.key(record)
  }

  addedAt(record: number): number {
    return this.#rows.double(record, ADDED)
  }

  /** The job has ended. Returns the index of its add entry where no other job of it is left, else 0. */
  release(number: number): number {
    const rows = this.#rows
    const record = this.find(number)
    assert(record >= 0, 'a job that ends has a batch')
    const entry = this.entryIndex(record, number)
    const live = rows.word(record, LIVE) - 1
    if (live > 0) {
      rows.setWord(record, LIVE, live)
      return 0
    }
    const before = rows.previous(record)
    const behind = rows.next(record)
    const isFree = (before < 0 || this.#entryLast(before) !== entry) && (behind < 0 || rows.double(behind, ENTRY) !== entry)
    if (live === 0) rows.delete(record)
    else this.#cut(record, number)
    return isFree ? entry : 0
  }

  /** Whether a job of this add entry is left. */
  holdsEntry(index: number): boolean {
    const record = this.#fromEntry(index)
    return record >= 0 && this.#rows.double(record, ENTRY) <= index
  }

  /** The indexes of the add entries from `from` up to `to` that are still needed, rising; each once. */
  liveEntries(from: number, to: number, into: number[]): void {
    let before = 0
    for (let record = this.#fromEntry(from); record >= 0; record = this.#rows.next(record)) {
      const last = Math.min(this.#entryLast(record), to)
      for (let entry = Math.max(this.#rows.double(record, ENTRY), from, before + 1); entry <= last; entry++) into.push((before = entry))
      if (last === to) return
    }
  }

  /** The first add entry from `from` on that is still needed; Infinity without one. */
  nextLive(from: number): number {
    const record = this.#fromEntry(from)
    return record < 0 ? Infinity : Math.max(this.#rows.double(record, ENTRY), from)
  }

  freeze(): Frozen {
    const pages = this.#rows.freeze()
    const size = this.#rows.size
    return function* (out): Walk {
      const { writer } = out
      writePacked(writer, size)
      out.endItem()
      let number = 0
      let entry = 0
      for (const { doubles, words, from, to } of pages) {
        for (let at = from; at < to; at++) {
          const first = doubles[at * 3]!
          const place = words[at * 2 + PLACE]!
          const live = words[at * 2 + LIVE]!
          const count = live === 0 ? place : Math.floor(place / WORD_HALF)
          writePacked(writer, first - number)
          writePacked(writer, doubles[at * 3 + ENTRY]! - entry)
          writer.f64(doubles[at * 3 + ADDED]!)
          writePacked(writer, live)
          writePacked(writer, count)
          if (live > 0) writePacked(writer, place % WORD_HALF)
          out.endItem()
          number = first + count
          entry = doubles[at * 3 + ENTRY]! + (live === 0 ? count - 1 : 0)
        }
        yield to - from
      }
    }
  }

  static *read(input: ImageReader, freezer?: Freezer): Walk<Batches> {
    const batches = new Batches(freezer)
    const size = input.count(12)
    let number = 0
    let entry = 0
    for (let i = 0; i < size; i++) {
      const reader = input.item()
      const first = number + readPacked(reader)
      const from = entry + readPacked(reader)
      const addedAt = reader.f64()
      const live = readPacked(reader)
      const count = readPacked(reader)
      const ordinal = live > 0 ? readPacked(reader) : 0
      number = first + count
      entry = live > 0 ? from : from + count - 1
      if (first === 0 || count === 0 || live > count || number > Number.MAX_SAFE_INTEGER || entry > Number.MAX_SAFE_INTEGER) throw new MalformedMessage('a batch without a job')
      if (live > 0 ? count > ITEMS_MAX || ordinal > ITEMS_MAX : count > ROW_MAX) throw new MalformedMessage('a batch that is too long')
      batches.#insert(first, from, addedAt, live > 0 ? count * WORD_HALF + ordinal : count, live)
      if (i % 128 === 127) yield 128
    }
    return batches
  }

  #insert(first: number, entryIndex: number, addedAt: number, place: number, live: number): void {
    const rows = this.#rows
    const record = rows.insert(first)
    rows.setDouble(record, ENTRY, entryIndex)
    rows.setDouble(record, ADDED, addedAt)
    rows.setWord(record, PLACE, place)
    rows.setWord(record, LIVE, live)
  }

  /** Takes an add of one job into the record before it, where it goes on with that one. */
  #joins(record: number, number: number, entryIndex: number, addedAt: number): boolean {
    const rows = this.#rows
    if (record < 0 || rows.double(record, ADDED) !== addedAt || this.#end(record) !== number || this.#entryLast(record) !== entryIndex - 1) return false
    if (this.#isRow(record)) {
      const count = rows.word(record, PLACE)
      if (count === ROW_MAX) return false
      rows.setWord(record, PLACE, count + 1)
      return true
    }
    // One job, the first and only one of its add.
    if (rows.word(record, PLACE) !== WORD_HALF) return false
    rows.setWord(record, PLACE, 2)
    rows.setWord(record, LIVE, 0)
    return true
  }

  /** Takes one job out of a record of adds of one job each. */
  #cut(record: number, number: number): void {
    const rows = this.#rows
    const first = rows.key(record)
    const entry = rows.double(record, ENTRY)
    const addedAt = rows.double(record, ADDED)
    const before = number - first
    const behind = this.#end(record) - number - 1
    if (before > 0) this.#setRow(record, before)
    else if (behind === 0) rows.delete(record)
    else {
      rows.setDouble(record, 0, number + 1)
      rows.setDouble(record, ENTRY, entry + 1)
      this.#setRow(record, behind)
    }
    if (before === 0 || behind === 0) return
    const [place, live] = rowOf(behind)
    this.#insert(number + 1, entry + before + 1, addedAt, place, live)
  }

  #setRow(record: number, count: number): void {
    const [place, live] = rowOf(count)
    this.#rows.setWord(record, PLACE, place)
    this.#rows.setWord(record, LIVE, live)
  }

  #isRow(record: number): boolean {
    return this.#rows.word(record, LIVE) === 0
  }

  /** Behind the last number of a record. */
  #end(record: number): number {
    const place = this.#rows.word(record, PLACE)
    return this.#rows.key(record) + (this.#isRow(record) ? place : Math.floor(place / WORD_HALF))
  }

  #entryLast(record: number): number {
    return this.entryIndex(record, this.#end(record) - 1)
  }

  #holds(record: number, number: number): boolean {
    return number >= this.#rows.key(record) && number < this.#end(record)
  }

  /** The first record with an entry of `index` or above, or -1: entries rise with numbers. */
  #fromEntry(index: number): number {
    const rows = this.#rows
    const record = rows.firstWhere(ENTRY, index)
    const before = record < 0 ? rows.last : rows.previous(record)
    return before >= 0 && this.#entryLast(before) >= index ? before : record
  }
}

const ENTRY = 1
const ADDED = 2
/** Count and first ordinal: an add holds at most 65,535 items, so each is half a word. Of adds of one job each: their count. */
const PLACE = 0
const WORD_HALF = 0x1_0000
/** Jobs that have not ended; 0 for a record of adds of one job each, all of which have not. */
const LIVE = 1
const ROW_MAX = 0xffff_ffff

/** Place and live of a record of adds of one job each. */
const rowOf = (count: number): readonly [place: number, live: number] => (count === 1 ? [WORD_HALF, 1] : [count, 0])
