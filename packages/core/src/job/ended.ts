//! Jobs that have ended and are still within retention: a ring in the order in which they ended, their results in a second
//! ring of bytes. The oldest goes when there are too many, too many bytes, or it is too old.

import { assert } from '../assert.ts'
import type { Reader, Writer } from '../message/layout.ts'
import { readCount, readPacked, readRising, writePacked } from '../message/packed.ts'
import { ENDED_BYTES_MAX, ENDED_COUNT_MAX, ENDED_MS_MAX } from './limits.ts'
import { NumberIndex } from './numbers.ts'

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
  /** Positions in the byte ring, which only rise. */
  #resultAt = new Float64Array(CAPACITY_MIN)
  #resultLength = new Uint32Array(CAPACITY_MIN)
  #head = 0
  #tail = 0
  /** Of the jobs from head up to `indexed`: it grows when somebody asks, so that ending a job that nobody asks for costs no lookup. */
  #index = new NumberIndex()
  #indexed = 0
  #bytes = new Uint8Array(BYTES_MIN)
  #bytesHead = 0
  #bytesTail = 0
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
    while (this.size >= ENDED_COUNT_MAX || this.#bytesTail - this.#bytesHead + length > ENDED_BYTES_MAX) this.#dropOldest()
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
    this.#resultAt[slot] = this.#bytesTail
    this.#resultLength[slot] = length
    if (length > 0) this.#keep(source, at, length)
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

  read(slot: number): EndedJob {
    return {
      number: this.#numbers[slot]!, state: this.#states[slot]!, lane: this.#lanes[slot]!, attempt: this.#attempts[slot]!,
      maxAttempts: this.#maxAttempts[slot]!, lostLeases: this.#lostLeases[slot]!, addedAt: this.#added[slot]!, endedAt: this.#ended[slot]!,
    }
  }

  /** A copy of the job's result. */
  result(slot: number): Uint8Array {
    const [before, behind] = this.#resultParts(slot)
    const result = new Uint8Array(before.length + behind.length)
    result.set(before)
    result.set(behind, before.length)
    return result
  }

  /** Views of the job's result, which may go on at the ring's start. */
  #resultParts(slot: number): readonly [Uint8Array, Uint8Array] {
    const length = this.#resultLength[slot]!
    if (length === 0) return NO_RESULT
    const from = this.#resultAt[slot]! % this.#bytes.length
    const first = Math.min(length, this.#bytes.length - from)
    return [this.#bytes.subarray(from, from + first), this.#bytes.subarray(0, length - first)]
  }

  /** Calls `visit` for every job, in the order in which they ended. */
  each(visit: (number: number, state: number, lane: number) => void): void {
    const mask = this.#numbers.length - 1
    for (let at = this.#head; at < this.#tail; at++) visit(this.#numbers[at & mask]!, this.#states[at & mask]!, this.#lanes[at & mask]!)
  }

  write(writer: Writer): void {
    writePacked(writer, this.size)
    const mask = this.#numbers.length - 1
    for (let at = this.#head; at < this.#tail; at++) {
      const job = this.read(at & mask)
      writePacked(writer, job.number)
      writer.u8(job.state)
      writePacked(writer, job.lane)
      writePacked(writer, job.attempt)
      writePacked(writer, job.maxAttempts)
      writer.u8(job.lostLeases)
      writer.f64(job.addedAt)
      writer.f64(job.endedAt)
      const [before, behind] = this.#resultParts(at & mask)
      writePacked(writer, before.length + behind.length)
      writer.raw(before)
      writer.raw(behind)
    }
  }

  readAll(reader: Reader): void {
    const size = readCount(reader, 23)
    for (let i = 0; i < size; i++) {
      const job = {
        number: readRising(reader, 0), state: reader.u8(), lane: readPacked(reader), attempt: readPacked(reader),
        maxAttempts: readPacked(reader), lostLeases: reader.u8(), addedAt: reader.f64(), endedAt: reader.f64(),
      }
      const length = readPacked(reader)
      this.push(job, reader.bytes, reader.skip(length), length)
    }
  }

  #dropOldest(): void {
    const slot = this.#head & (this.#numbers.length - 1)
    if (this.#head < this.#indexed) this.#index.delete(this.#numbers[slot]!)
    else this.#indexed++
    this.#left(this.#states[slot]!)
    this.#bytesHead += this.#resultLength[slot]!
    this.#head++
  }

  #keep(source: Uint8Array, at: number, length: number): void {
    if (this.#bytesTail - this.#bytesHead + length > this.#bytes.length) this.#growBytes(length)
    const from = this.#bytesTail % this.#bytes.length
    this.#bytesTail += length
    const first = Math.min(length, this.#bytes.length - from)
    copy(source, at, this.#bytes, from, first)
    if (first < length) copy(source, at + first, this.#bytes, 0, length - first)
  }

  #growBytes(more: number): void {
    let capacity = this.#bytes.length
    while (capacity < this.#bytesTail - this.#bytesHead + more) capacity *= 2
    const larger = new Uint8Array(capacity)
    for (let at = this.#bytesHead; at < this.#bytesTail; ) {
      const from = at % this.#bytes.length
      const to = at % capacity
      const count = Math.min(this.#bytesTail - at, this.#bytes.length - from, capacity - to)
      larger.set(this.#bytes.subarray(from, from + count), to)
      at += count
    }
    this.#bytes = larger
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
    this.#resultAt = move(this.#resultAt, new Float64Array(capacity))
    this.#resultLength = move(this.#resultLength, new Uint32Array(capacity))
    for (let at = this.#head; at < this.#indexed; at++) this.#index.set(this.#numbers[at & (capacity - 1)]!, at & (capacity - 1))
  }
}

const CAPACITY_MIN = 16
const BYTES_MIN = 1024
const NO_RESULT: readonly [Uint8Array, Uint8Array] = [new Uint8Array(0), new Uint8Array(0)]
/** Below this a loop beats the call of `set` with its view. */
const LOOP_BYTES_MAX = 64

function copy(source: Uint8Array, at: number, into: Uint8Array, to: number, length: number): void {
  if (length > LOOP_BYTES_MAX) into.set(source.subarray(at, at + length), to)
  else for (let i = 0; i < length; i++) into[to + i] = source[at + i]!
}
