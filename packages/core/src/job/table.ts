//! A row for each job of a partition that is more than a number in a run: scheduled, waiting again, retrying, dead, with
//! options of its own, or active after any of these. A job without a row has default options and is either waiting in a
//! run, active for the first time, or ended.
//!
//! A row is named by where it lies, which holds until the next row is inserted or deleted.

import type { Freezer } from '../freeze.ts'
import type { Frozen, ImageReader, Walk } from '../message/image.ts'
import { JobState } from '../message/client.ts'
import { MalformedMessage } from '../message/layout.ts'
import { readPacked, readRising, writePacked } from '../message/packed.ts'
import { Rows } from '../rows.ts'
import { Slots } from '../slots.ts'
import { ERROR_BYTES_MAX } from './limits.ts'
import { type OptionSets, readOptionSet, writeOptionSet } from './options.ts'

/** A row as an image tells it; `options` is the number of a set that one more job uses. */
export interface RestoredRow {
  readonly number: number
  readonly state: number
  readonly lane: number
  readonly time: number
}

export class JobTable {
  readonly #rows: Rows
  /** Last errors of jobs that failed. */
  readonly #errors: Slots<Uint8Array>

  constructor(freezer?: Freezer) {
    this.#rows = new Rows(2, 4, freezer)
    this.#errors = new Slots(freezer)
  }

  get size(): number {
    return this.#rows.size
  }

  /** The row of a job, or -1. */
  find(number: number): number {
    return this.#rows.size === 0 ? -1 : this.#rows.find(number)
  }

  insert(number: number, state: number, lane: number, attempts: number, options: number): number {
    const row = this.#rows.insert(number)
    this.#rows.setWord(row, COUNTS, attempts * ATTEMPT + state)
    this.#rows.setWord(row, LANE, lane)
    this.#rows.setWord(row, OPTIONS, options)
    return row
  }

  delete(row: number): void {
    this.setError(row, undefined)
    this.#rows.delete(row)
  }

  number(row: number): number {
    return this.#rows.key(row)
  }

  state(row: number): number {
    return this.#rows.word(row, COUNTS) % LOST
  }

  lane(row: number): number {
    return this.#rows.word(row, LANE)
  }

  /** Leases so far, less those that were handed back. */
  attempts(row: number): number {
    return Math.floor(this.#rows.word(row, COUNTS) / ATTEMPT)
  }

  lostLeases(row: number): number {
    return Math.floor(this.#rows.word(row, COUNTS) / LOST) % (ATTEMPT / LOST)
  }

  /** Number of an option set. */
  options(row: number): number {
    return this.#rows.word(row, OPTIONS)
  }

  /** Wall time: due while scheduled or retrying, ended while dead, else 0. */
  time(row: number): number {
    return this.#rows.double(row, TIME)
  }

  error(row: number): Uint8Array | undefined {
    const slot = this.#rows.word(row, ERROR)
    return slot === 0 ? undefined : this.#errors.get(slot - 1)
  }

  setState(row: number, state: number, time: number): void {
    const counts = this.#rows.word(row, COUNTS)
    this.#rows.setWord(row, COUNTS, counts - (counts % LOST) + state)
    this.#rows.setDouble(row, TIME, time)
  }

  setAttempts(row: number, attempts: number): void {
    this.#rows.setWord(row, COUNTS, attempts * ATTEMPT + (this.#rows.word(row, COUNTS) % ATTEMPT))
  }

  addLostLease(row: number): void {
    this.#rows.setWord(row, COUNTS, this.#rows.word(row, COUNTS) + LOST)
  }

  setError(row: number, error: Uint8Array | undefined): void {
    const before = this.#rows.word(row, ERROR)
    if (before === 0 && error === undefined) return
    if (before > 0) this.#errors.free(before - 1)
    this.#rows.setWord(row, ERROR, error === undefined ? 0 : this.#errors.put(error) + 1)
  }

  /** Calls `visit` for the rows of jobs from `from` up until it returns false. */
  each(from: number, visit: (number: number, state: number, lane: number) => boolean): void {
    const rows = this.#rows
    for (let row = Math.max(rows.floor(from), rows.first); row >= 0; row = rows.next(row)) if (!visit(this.number(row), this.state(row), this.lane(row))) return
  }

  /** The first row with an option set that none before it had brings it along. */
  freeze(sets: OptionSets): Frozen {
    const pages = this.#rows.freeze()
    const size = this.#rows.size
    const errors = this.#errors
    return function* (out): Walk {
      const { writer } = out
      const ordinals = new Map<number, number>()
      writePacked(writer, size)
      out.endItem()
      let before = 0
      for (const { doubles, words, from, to } of pages) {
        for (let at = from; at < to; at++) {
          const counts = words[at * 4 + COUNTS]!
          const state = counts % LOST
          const options = words[at * 4 + OPTIONS]!
          const error = words[at * 4 + ERROR]!
          writePacked(writer, doubles[at * 2]! - before)
          writer.u32(counts)
          writePacked(writer, words[at * 4 + LANE]!)
          const ordinal = ordinals.get(options) ?? ordinals.size
          writePacked(writer, ordinal)
          if (ordinal === ordinals.size) {
            ordinals.set(options, ordinal)
            writeOptionSet(writer, sets.get(options))
          }
          if (hasTime(state)) writer.f64(doubles[at * 2 + TIME]!)
          const text = error === 0 ? NO_ERROR : errors.get(error - 1)
          writePacked(writer, text.length)
          writer.raw(text)
          out.endItem()
          before = doubles[at * 2]!
        }
        yield to - from
      }
    }
  }

  /** Reads into an empty table; `restored` hears of each row. */
  *read(input: ImageReader, sets: OptionSets, restored: (row: RestoredRow) => void): Walk {
    const size = input.count(8)
    const known = []
    let number = 0
    for (let i = 0; i < size; i++) {
      const reader = input.item()
      number = readRising(reader, number)
      const counts = reader.u32()
      const state = counts % LOST
      const lane = readPacked(reader)
      if (lane > LANE_MAX) throw new MalformedMessage('a lane that is none')
      const ordinal = readPacked(reader)
      if (ordinal > known.length) throw new MalformedMessage('a job whose options are not there')
      if (ordinal === known.length) known.push(readOptionSet(reader))
      const row = this.insert(number, 0, lane, 0, sets.use(known[ordinal]!))
      this.#rows.setWord(row, COUNTS, counts)
      const time = hasTime(state) ? reader.f64() : 0
      this.#rows.setDouble(row, TIME, time)
      const length = readPacked(reader)
      if (length > ERROR_BYTES_MAX) throw new MalformedMessage('an error that is too long')
      if (length > 0) this.setError(row, reader.raw(length).slice())
      restored({ number, state, lane, time })
      if (i % 128 === 127) yield 128
    }
  }
}

const hasTime = (state: number): boolean => state === JobState.scheduled || state === JobState.retrying || state === JobState.dead

const TIME = 1
/** State, lost leases and attempts share a word: 8, 8 and 16 bits, the lowest first. */
const COUNTS = 0
const LOST = 0x100
const ATTEMPT = 0x1_0000
const LANE = 1
const OPTIONS = 2
/** A slot, counted from 1; 0 for none. */
const ERROR = 3
const LANE_MAX = 0xffff_ffff
const NO_ERROR = new Uint8Array(0)
