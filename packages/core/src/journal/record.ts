//! One record of a segment: a header of 36 bytes, a body, zeros up to a multiple of four.
//!
//!   0      4       8         12        16     20    21     22        24       28    36
//!   check  length  body CRC  sequence  shard  kind  zero   term high term low index body ...
//!
//! `check` is a CRC over the header seeded with the segment's nonce and the record's position, a number that is never used
//! twice in a node's life: so bytes left over in a recycled file never count, and after a hole the next record can be
//! found by looking at every fourth byte without being deceived. `sequence` counts the records of a shard, so that a
//! reader knows whether a hole has swallowed one of them. The header has a check of its own, so a rotten body costs one
//! record whose shard and index are known. All numbers are little-endian.

import { assert } from '../assert.ts'
import { crc32 } from '../crc32.ts'

export const RECORD_HEADER_BYTES = 36
/** Records begin at multiples of this. */
export const RECORD_ALIGNMENT = 4
/** Bodies up to this size are copied beside their header: cheaper than two more pieces for the device. */
export const COPIED_BODY_BYTES_MAX = 512

/** Only ever added to; a retired number stays listed. */
export const RecordKind = {
  /** First of a segment: what the anchor says, and where the other segments end. */
  head: 1,
  /** In an opening: the hard state and bounds of one shard's log. */
  state: 2,
  /** Closes an opening; a segment counts only when it is there. */
  opened: 3,
  /** Begins a group, or trails the last one: everything below `index` was flushed before this was written. */
  mark: 4,
  entry: 5,
  hardState: 6,
  /** Begins a snapshot: `index` and `term` are its own, the body is its configuration. */
  snapshot: 7,
  /** A piece of the snapshot begun last; `index` is its offset in bytes. */
  chunk: 8,
  /** An entry below the snapshot, wanted for its payload only. */
  payload: 9,
  /** The log starts anew behind `index`. */
  reset: 10,
  /** This node no longer hosts the shard. */
  drop: 11,
  /** The log up to `index` is no longer needed as such; on the disk before any segment goes for that reason. */
  trim: 12,
  /** Ends the snapshot begun last, which only now counts; `index` is its length in bytes, the body the index of the snapshot. */
  complete: 13,
} as const
export type RecordKind = (typeof RecordKind)[keyof typeof RecordKind]

const KIND_MAX = RecordKind.complete
const TERM_LIMIT = 2 ** 48
const WORD = 2 ** 32

/** Drawn for every segment. */
export interface Nonce {
  readonly low: number
  readonly high: number
}

export interface RecordHeader {
  kind: number
  shard: number
  sequence: number
  index: number
  term: number
  length: number
}

/** The bytes that a record takes on disk. */
export function recordBytes(bodyLength: number): number {
  return (RECORD_HEADER_BYTES + bodyLength + RECORD_ALIGNMENT - 1) & -RECORD_ALIGNMENT
}

/** For one nonce, positions that share their high word never share a seed. */
export function recordSeed(nonce: Nonce, position: number): number {
  let seed = Math.imul((position >>> 0) ^ nonce.low, 0x85ebca6b)
  seed ^= seed >>> 15
  seed = Math.imul(seed ^ nonce.high ^ Math.imul(Math.floor(position / WORD), 0x9e3779b1), 0xc2b2ae35)
  return (seed ^ (seed >>> 16)) >>> 0
}

export function writeWhole(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true)
  view.setUint32(at + 4, Math.floor(value / WORD), true)
}

export function readWhole(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * WORD + view.getUint32(at, true)
}

/** Whether a record's header begins at `at`. */
export function headerHolds(bytes: Uint8Array, view: DataView, at: number, nonce: Nonce, position: number): boolean {
  return mayBeHeader(bytes, at) && view.getUint32(at, true) === crc32(bytes, at + 4, at + RECORD_HEADER_BYTES, recordSeed(nonce, position))
}

/** The cheap part of the test, on its own and small enough to be inlined: a search asks it at every fourth byte. */
export function mayBeHeader(bytes: Uint8Array, at: number): boolean {
  const kind = bytes[at + 20]!
  return kind !== 0 && kind <= KIND_MAX && bytes[at + 21] === 0
}

/** The header at `at`, whose check must have held. */
export function readHeader(view: DataView, at: number): RecordHeader {
  return {
    kind: view.getUint8(at + 20),
    shard: view.getUint32(at + 16, true),
    sequence: view.getUint32(at + 12, true),
    index: view.getUint32(at + 28, true) + view.getUint32(at + 32, true) * WORD,
    term: view.getUint16(at + 22, true) * WORD + view.getUint32(at + 24, true),
    length: view.getUint32(at + 4, true),
  }
}

export function bodyHolds(bytes: Uint8Array, view: DataView, at: number): boolean {
  const from = at + RECORD_HEADER_BYTES
  return view.getUint32(at + 8, true) === crc32(bytes, from, from + view.getUint32(at + 4, true))
}

/** What a device is to write for a row of records: headers and small bodies in one buffer, large bodies as they are. */
export class Framer {
  readonly pieces: Uint8Array[] = []
  /** Where in the file the next record begins. */
  offset: number
  readonly #nonce: Nonce
  readonly #base: number
  readonly #small: Uint8Array
  readonly #view: DataView
  #fill = 0
  #emitted = 0

  /** `smallBytes` is the sum of `smallBytes(body)` over the records to come. */
  constructor(nonce: Nonce, base: number, offset: number, smallBytes: number) {
    this.#nonce = nonce
    this.#base = base
    this.offset = offset
    this.#small = new Uint8Array(smallBytes)
    this.#view = new DataView(this.#small.buffer)
  }

  static smallBytes(bodyLength: number): number {
    return RECORD_HEADER_BYTES + RECORD_ALIGNMENT + (bodyLength <= COPIED_BODY_BYTES_MAX ? bodyLength : 0)
  }

  /** Bytes ahead of the first record, such as the anchor of a segment. */
  raw(bytes: Uint8Array): void {
    this.pieces.push(bytes)
    this.offset += bytes.length
  }

  /** Appends a record and returns the offset at which it begins. */
  add(kind: RecordKind, shard: number, sequence: number, index: number, term: number, body: Uint8Array): number {
    const began = this.offset
    const length = body.length
    this.#header(kind, shard, sequence, index, term, body, this.#base + began)
    this.#fill += RECORD_HEADER_BYTES
    if (length <= COPIED_BODY_BYTES_MAX) {
      this.#small.set(body, this.#fill)
      this.#fill += length
    } else {
      this.#emit()
      this.pieces.push(body)
    }
    const size = recordBytes(length)
    this.#fill += size - RECORD_HEADER_BYTES - length
    this.offset = began + size
    return began
  }

  finish(): readonly Uint8Array[] {
    this.#emit()
    return this.pieces
  }

  #header(kind: number, shard: number, sequence: number, index: number, term: number, body: Uint8Array, position: number): void {
    assert(term < TERM_LIMIT, 'a term fits 48 bits')
    const view = this.#view
    const at = this.#fill
    view.setUint32(at + 4, body.length, true)
    view.setUint32(at + 8, crc32(body), true)
    view.setUint32(at + 12, sequence, true)
    view.setUint32(at + 16, shard, true)
    view.setUint8(at + 20, kind)
    view.setUint16(at + 22, Math.floor(term / WORD), true)
    view.setUint32(at + 24, term >>> 0, true)
    view.setUint32(at + 28, index >>> 0, true)
    view.setUint32(at + 32, Math.floor(index / WORD), true)
    view.setUint32(at, crc32(this.#small, at + 4, at + RECORD_HEADER_BYTES, recordSeed(this.#nonce, position)), true)
  }

  #emit(): void {
    if (this.#fill > this.#emitted) this.pieces.push(this.#small.subarray(this.#emitted, this.#fill))
    this.#emitted = this.#fill
  }
}
