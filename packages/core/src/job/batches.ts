//! Where payloads live: one record for each unbroken row of jobs of an add entry, in the order of their numbers. A job is
//! found by binary search; a record goes when the last of its jobs has ended.
//!
//! An add that repeats idempotency keys gives no number to its duplicates, so its jobs fall into several records, each with
//! the ordinal at which it begins; they lie next to one another.

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
    const record = rows.insert(first)
    rows.setDouble(record, ENTRY, entryIndex)
    rows.setDouble(record, ADDED, addedAt)
    rows.setWord(record, PLACE, count * WORD_HALF + ordinal)
    rows.setWord(record, LIVE, count)
  }

  /** The record of a job whose payload is still needed by some job of it, or -1. It holds until the next append or release. */
  find(number: number): number {
    const recent = this.#recent
    if (recent >= 0 && this.#rows.isRow(recent) && this.#holds(recent, number)) return recent
    const record = this.#rows.floor(number)
    if (record < 0 || !this.#holds(record, number)) return -1
    return (this.#recent = record)
  }

  entryIndex(record: number): number {
    return this.#rows.double(record, ENTRY)
  }

  ordinal(record: number, number: number): number {
    return (this.#rows.word(record, PLACE) % WORD_HALF) + number - this.#rows.key(record)
  }

  addedAt(record: number): number {
    return this.#rows.double(record, ADDED)
  }

  /** The job has ended. Returns the index of its add entry where no other job of it is left, else 0. */
  release(number: number): number {
    const rows = this.#rows
    const record = this.find(number)
    assert(record >= 0, 'a job that ends has a batch')
    const live = rows.word(record, LIVE) - 1
    if (live > 0) {
      rows.setWord(record, LIVE, live)
      return 0
    }
    const entry = this.entryIndex(record)
    const before = rows.previous(record)
    const behind = rows.next(record)
    const isFree = (before < 0 || this.entryIndex(before) !== entry) && (behind < 0 || this.entryIndex(behind) !== entry)
    rows.delete(record)
    return isFree ? entry : 0
  }

  /** Whether a job of this add entry is left. */
  holdsEntry(index: number): boolean {
    const record = this.#fromEntry(index)
    return record >= 0 && this.entryIndex(record) === index
  }

  /** The indexes of the add entries from `from` up to `to` that are still needed, rising; each once. */
  liveEntries(from: number, to: number, into: number[]): void {
    let before = 0
    for (let record = this.#fromEntry(from); record >= 0; record = this.#rows.next(record)) {
      const entry = this.entryIndex(record)
      if (entry > to) return
      if (entry !== before) into.push(entry)
      before = entry
    }
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
          const count = Math.floor(place / WORD_HALF)
          writePacked(writer, first - number)
          writePacked(writer, count)
          writePacked(writer, place % WORD_HALF)
          writePacked(writer, doubles[at * 3 + ENTRY]! - entry)
          writePacked(writer, count - words[at * 2 + LIVE]!)
          writer.f64(doubles[at * 3 + ADDED]!)
          out.endItem()
          number = first + count
          entry = doubles[at * 3 + ENTRY]!
        }
        yield to - from
      }
    }
  }

  static *read(input: ImageReader, freezer?: Freezer): Walk<Batches> {
    const batches = new Batches(freezer)
    const size = input.count(13)
    let number = 0
    let entry = 0
    for (let i = 0; i < size; i++) {
      const reader = input.item()
      const first = number + readPacked(reader)
      const count = readPacked(reader)
      const ordinal = readPacked(reader)
      entry += readPacked(reader)
      const ended = readPacked(reader)
      if (first === 0 || ended >= count || count > ITEMS_MAX || ordinal > ITEMS_MAX || entry > Number.MAX_SAFE_INTEGER) throw new MalformedMessage('a batch without a job')
      batches.append(first, count, ordinal, entry, reader.f64())
      batches.#rows.setWord(batches.#rows.last, LIVE, count - ended)
      number = first + count
      if (i % 128 === 127) yield 128
    }
    return batches
  }

  #holds(record: number, number: number): boolean {
    const first = this.#rows.key(record)
    return number >= first && number < first + Math.floor(this.#rows.word(record, PLACE) / WORD_HALF)
  }

  /** The first record whose entry is `index` or above, or -1: entries rise with numbers. */
  #fromEntry(index: number): number {
    return this.#rows.firstWhere(ENTRY, index)
  }
}

const ENTRY = 1
const ADDED = 2
/** Count and first ordinal: an add holds at most 65,535 items, so each is half a word. */
const PLACE = 0
const WORD_HALF = 0x1_0000
/** Jobs that have not ended. */
const LIVE = 1
