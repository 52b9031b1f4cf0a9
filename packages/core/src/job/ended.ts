//! Jobs that have ended and are still within retention: a ring in the order in which they ended, their results in pages of
//! bytes. The oldest goes when there are too many, too many bytes, or it is too old. There are so few that a snapshot begins
//! with a copy of the ring.

import { assert } from '../assert.ts'
import type { Frozen, ImageReader, Walk } from '../message/image.ts'
import { MalformedMessage } from '../message/layout.ts'
import { readPacked, readRising, writePacked } from '../message/packed.ts'
import { ENDED_BYTES_MAX, ENDED_COUNT_MAX, ENDED_MS_MAX } from './limits.ts'
import { NumberIndex } from './numbers.ts'
import { Results } from './results.ts'

/** What is kept of one, besides its result. */
export interface EndedJob {
  number: number
  state: number
  lane: number
  attempt: number
  maxAttempts: number
  lostLeases: number
  addedAt: number
  endedAt: number
}

export class EndedJobs {
  #numbers = new Float64Array(CAPACITY_MIN)
  #states = new Uint8Array(CAPACITY_MIN)
  #lanes = new Uint32Array(CAPACITY_MIN)
  #attempts = new Uint16Array(CAPACITY_MIN)
  #maxAttempts = new Uint16Array(CAPACITY_MIN)
  #lostLeases = new Uint8Array(CAPACITY_MIN)
  #added = new Float64Array(CAPACITY_MIN)
  #ended = new Float64Array(CAPACITY_MIN)
  #resultPage = new Float64Array(CAPACITY_MIN)
  #resultAt = new Uint32Array(CAPACITY_MIN)
  #resultLength = new Uint32Array(CAPACITY_MIN)
  #head = 0
  #tail = 0
  /** Of the jobs from head up to `indexed`: it grows when somebody asks, so that ending a job that nobody asks for costs no lookup. */
  #index = new NumberIndex()
  #indexed = 0
  #results = new Results()
  /** Of all results that are kept. */
  #bytes = 0
  /** Called for the state of every job that leaves. */
  readonly #left: (state: number) => void

  constructor(left: (state: number) => void) {
    this.#left = left
  }

  get size(): number {
    return this.#tail - this.#head
  }

  /** When the oldest is too old, by the wall clock. */
  get expiresNext(): number {
    return this.size === 0 ? Infinity : this.#ended[this.#head & (this.#numbers.length - 1)]! + ENDED_MS_MAX
  }

  /** Keeps an ended job with `length` bytes of `source` as its result. */
  push(job: EndedJob, source: Uint8Array, at: number, length: number): void {
    assert(length <= ENDED_BYTES_MAX, 'a result is smaller than what all results may take')
    while (this.size >= ENDED_COUNT_MAX || this.#bytes + length > ENDED_BYTES_MAX) this.#dropOldest()
    if (this.size === this.#numbers.length) this.#grow()
    const slot = this.#tail++ & (this.#numbers.length - 1)
    this.#numbers[slot] = job.number
    this.#states[slot] = job.state
    this.#lanes[slot] = job.lane
    this.#attempts[slot] = job.attempt
    this.#maxAttempts[slot] = job.maxAttempts
    this.#lostLeases[slot] = job.lostLeases
    this.#added[slot] = job.addedAt
    this.#ended[slot] = job.endedAt
    this.#resultLength[slot] = length
    if (length === 0) return
    const place = this.#results.put(source, at, length)
    this.#resultPage[slot] = place.page
    this.#resultAt[slot] = place.at
    this.#bytes += length
  }

  /** Drops what is too old. */
  expire(wallNow: number): void {
    while (this.expiresNext <= wallNow) this.#dropOldest()
  }

  /** The slot of a job, or -1. */
  find(number: number): number {
    const mask = this.#numbers.length - 1
    for (; this.#indexed < this.#tail; this.#indexed++) this.#index.set(this.#numbers[this.#indexed & mask]!, this.#indexed & mask)
    return this.#index.find(number)
  }

  job(slot: number): EndedJob {
    return {
      number: this.#numbers[slot]!, state: this.#states[slot]!, lane: this.#lanes[slot]!, attempt: this.#attempts[slot]!,
      maxAttempts: this.#maxAttempts[slot]!, lostLeases: this.#lostLeases[slot]!, addedAt: this.#added[slot]!, endedAt: this.#ended[slot]!,
    }
  }

  /** A copy of the job's result. */
  result(slot: number): Uint8Array {
    const length = this.#resultLength[slot]!
    return length === 0 ? NO_RESULT : this.#results.bytes(this.#resultPage[slot]!, this.#resultAt[slot]!, length).slice()
  }

  /** Calls `visit` for every job, in the order in which they ended. */
  each(visit: (number: number, state: number, lane: number) => void): void {
    const mask = this.#numbers.length - 1
    for (let at = this.#head; at < this.#tail; at++) visit(this.#numbers[at & mask]!, this.#states[at & mask]!, this.#lanes[at & mask]!)
  }

  freeze(): Frozen {
    const size = this.size
    const mask = this.#numbers.length - 1
    const jobs = Array.from({ length: size }, (_, at) => this.job((this.#head + at) & mask))
    const inOrder = <T extends Float64Array | Uint32Array>(from: T, to: T): T => {
      for (let at = 0; at < size; at++) to[at] = from[(this.#head + at) & mask]!
      return to
    }
    const pages = inOrder(this.#resultPage, new Float64Array(size))
    const places = inOrder(this.#resultAt, new Uint32Array(size))
    const lengths = inOrder(this.#resultLength, new Uint32Array(size))
    const results = this.#results.freeze()
    return function* (out): Walk {
      const { writer } = out
      writePacked(writer, size)
      out.endItem()
      for (let at = 0; at < size; at++) {
        const job = jobs[at]!
        writePacked(writer, job.number)
        writer.u8(job.state)
        writePacked(writer, job.lane)
        writePacked(writer, job.attempt)
        writePacked(writer, job.maxAttempts)
        writer.u8(job.lostLeases)
        writer.f64(job.addedAt)
        writer.f64(job.endedAt)
        const length = lengths[at]!
        writePacked(writer, length)
        if (length > 0) writer.raw(results(pages[at]!, places[at]!, length))
        out.endItem()
        yield 1 + length / RESULT_BYTES_EACH
      }
    }
  }

  *read(input: ImageReader): Walk {
    const size = input.count(23)
    for (let i = 0; i < size; i++) {
      const reader = input.item()
      const job = {
        number: readRising(reader, 0), state: reader.u8(), lane: readPacked(reader), attempt: readPacked(reader),
        maxAttempts: readPacked(reader), lostLeases: reader.u8(), addedAt: reader.f64(), endedAt: reader.f64(),
      }
      const length = readPacked(reader)
      const at = reader.skip(length)
      if (length > ENDED_BYTES_MAX) throw new MalformedMessage('a result that is too long')
      this.push(job, reader.bytes, at, length)
      yield 1 + length / RESULT_BYTES_EACH
    }
  }

  #dropOldest(): void {
    const slot = this.#head & (this.#numbers.length - 1)
    if (this.#head < this.#indexed) this.#index.delete(this.#numbers[slot]!)
    else this.#indexed++
    this.#left(this.#states[slot]!)
    if (this.#resultLength[slot]! > 0) {
      this.#bytes -= this.#resultLength[slot]!
      this.#results.keepFrom(this.#resultPage[slot]!)
    }
    this.#head++
  }

  #grow(): void {
    const mask = this.#numbers.length - 1
    const capacity = this.#numbers.length * 2
    const move = <T extends Float64Array | Uint32Array | Uint16Array | Uint8Array>(from: T, to: T): T => {
      for (let at = this.#head; at < this.#tail; at++) to[at & (capacity - 1)] = from[at & mask]!
      return to
    }
    this.#numbers = move(this.#numbers, new Float64Array(capacity))
    this.#states = move(this.#states, new Uint8Array(capacity))
    this.#lanes = move(this.#lanes, new Uint32Array(capacity))
    this.#attempts = move(this.#attempts, new Uint16Array(capacity))
    this.#maxAttempts = move(this.#maxAttempts, new Uint16Array(capacity))
    this.#lostLeases = move(this.#lostLeases, new Uint8Array(capacity))
    this.#added = move(this.#added, new Float64Array(capacity))
    this.#ended = move(this.#ended, new Float64Array(capacity))
    this.#resultPage = move(this.#resultPage, new Float64Array(capacity))
    this.#resultAt = move(this.#resultAt, new Uint32Array(capacity))
    this.#resultLength = move(this.#resultLength, new Uint32Array(capacity))
    for (let at = this.#head; at < this.#indexed; at++) this.#index.set(this.#numbers[at & (capacity - 1)]!, at & (capacity - 1))
  }
}

const CAPACITY_MIN = 16
const NO_RESULT = new Uint8Array(0)
/** So many bytes are about as much work as one job. */
const RESULT_BYTES_EACH = 1024
