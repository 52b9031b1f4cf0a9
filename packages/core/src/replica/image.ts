//! What a snapshot is on its way to another master: the books, and the add entries whose payloads are still wanted.
//!
//!   image := frame ... | 0 u32 | entry ...      frame := length u32 | items      entry := index u53 | length u32 | bytes
//!
//! It is put together in steps, since the books are large and the entries may have to be read from the disk first, and taken apart
//! in steps too. No frame of books is empty, so a length of 0 ends them.

import type { Imaging } from '../message/image.ts'
import { SNAPSHOT_BLOCK_BYTES, SnapshotHash } from '../master/snapshot.ts'
import { MalformedMessage, Reader, Writer } from '../message/layout.ts'
import type { LogIndex } from '../units.ts'

export interface PayloadEntry {
  readonly index: LogIndex
  readonly bytes: Uint8Array
}

/** Entries whose payloads are asked for at once. */
const RANGE_ENTRIES = 1024
/** Looked for together where an entry is on no disk here: a copy that was filled from a damaged one lacks many. */
const AHEAD_ENTRIES = 48
/** Of entries, in one step. */
const STEP_BYTES = 256 * 1024

/** What an image takes entries from. */
export interface PayloadSource {
  /** Those from `from` to `through` that are still wanted, rising. */
  wanted(from: LogIndex, through: LogIndex): readonly LogIndex[]
  /** The first of them from `from` on; Infinity without one. */
  next(from: LogIndex): number
  /** Undefined while it is read; null where it was freed meanwhile, or nobody can give it. */
  read(index: LogIndex): Uint8Array | undefined | null
  /** The entry is waited for, and these are wanted next: whether others are asked for it, which takes so long that these should be looked for meanwhile. */
  ahead(index: LogIndex, next: readonly LogIndex[]): boolean
}

export class ImageBuilder {
  readonly #imaging: Imaging
  readonly #through: LogIndex
  readonly #blocks = new Blocks()
  #hasBooks = false
  #wanted: readonly LogIndex[] = []
  #at = 0
  #aheadOf = 0
  /** Up to here it is known which entries are wanted. */
  #asked = 0

  /** The entries are those up to `through`, the index of the books. */
  constructor(imaging: Imaging, through: LogIndex) {
    this.#imaging = imaging
    this.#through = through
  }

  /** Goes on by about `work`, and returns 'complete', 'waits' where an entry has to be read first, or 'more'. */
  step(work: number, source: PayloadSource): 'complete' | 'waits' | 'more' {
    if (!this.#hasBooks) {
      const { piece, last } = this.#imaging.step(work)
      this.#blocks.add(piece)
      if (last) this.#blocks.add(END_OF_BOOKS)
      this.#hasBooks = last
      return 'more'
    }
    for (let taken = 0; taken < STEP_BYTES; ) {
      if (this.#at === this.#wanted.length) {
        if (this.#asked >= this.#through) return this.#blocks.end()
        this.#ask(source)
        return 'more'
      }
      const index = this.#wanted[this.#at]!
      const bytes = source.read(index)
      if (bytes === undefined) {
        if (this.#aheadOf !== index && source.ahead(index, this.#wanted.slice(this.#at + 1, this.#at + 1 + AHEAD_ENTRIES))) this.#aheadOf = index
        return 'waits'
      }
      this.#at++
      if (bytes === null) continue
      const head = new Writer(ENTRY_HEAD_BYTES)
      head.u53(index)
      head.u32(bytes.length)
      this.#blocks.add(head.take())
      this.#blocks.add(bytes)
      taken += ENTRY_HEAD_BYTES + bytes.length
    }
    return 'more'
  }

  get totalBytes(): number {
    return this.#blocks.size
  }

  get hash(): number {
    return this.#blocks.hash
  }

  chunk(offset: number, most: number): Uint8Array {
    return this.#blocks.read(offset, most)
  }

  /** Nobody wants the rest. */
  end(): void {
    this.#imaging.end()
  }

  #ask(source: PayloadSource): void {
    const from = source.next((this.#asked + 1) as LogIndex)
    const through = Math.min(from + RANGE_ENTRIES - 1, this.#through) as LogIndex
    this.#wanted = source.wanted(Math.min(from, through) as LogIndex, through)
    this.#at = 0
    this.#asked = through
  }
}

/** Bytes in blocks of one size, hashed as they come. */
class Blocks {
  size = 0
  hash = 0
  readonly #blocks: Uint8Array[] = []
  readonly #hash = new SnapshotHash()

  add(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length; ) {
      const at = this.size % BLOCK_BYTES
      if (at === 0) this.#blocks.push(new Uint8Array(BLOCK_BYTES))
      const count = Math.min(bytes.length - from, BLOCK_BYTES - at)
      const block = this.#blocks[this.#blocks.length - 1]!
      block.set(bytes.subarray(from, from + count), at)
      from += count
      this.size += count
      if (at + count === BLOCK_BYTES) this.#hash.add(block)
    }
  }

  end(): 'complete' {
    const rest = this.size % BLOCK_BYTES
    if (rest > 0) this.#hash.add(this.#blocks[this.#blocks.length - 1]!.subarray(0, rest))
    this.hash = this.#hash.value()
    return 'complete'
  }

  /** Up to the end of a block. */
  read(offset: number, most: number): Uint8Array {
    const at = offset % BLOCK_BYTES
    return this.#blocks[Math.floor(offset / BLOCK_BYTES)]?.subarray(at, Math.min(at + most, this.size - (offset - at))) ?? NOTHING
  }
}

/** The books of an image, in one piece of whole frames, and its entries, read one after another. Throws MalformedMessage. */
export function openImage(image: Uint8Array): { readonly books: Uint8Array; readonly entries: EntryReader } {
  const reader = new Reader(image)
  for (let length = reader.u32(); length > 0; length = reader.u32()) reader.skip(length)
  return { books: image.subarray(0, reader.at - END_OF_BOOKS.length), entries: new EntryReader(reader) }
}

export class EntryReader {
  readonly #reader: Reader

  constructor(reader: Reader) {
    this.#reader = reader
  }

  get isAtEnd(): boolean {
    return this.#reader.left === 0
  }

  /** The next entries, of about so many bytes; copies, since the journal keeps them for longer than anybody keeps the image. */
  take(most: number): PayloadEntry[] {
    const reader = this.#reader
    const entries: PayloadEntry[] = []
    for (let bytes = 0; bytes < most && reader.left > 0; ) {
      const index = reader.u53() as LogIndex
      if (index === 0) throw new MalformedMessage('an entry without an index')
      const entry = reader.raw(reader.u32()).slice()
      entries.push({ index, bytes: entry })
      bytes += entry.length + ENTRY_HEAD_BYTES
    }
    return entries
  }
}

const ENTRY_HEAD_BYTES = 12
const BLOCK_BYTES = 256 * SNAPSHOT_BLOCK_BYTES
const END_OF_BOOKS = new Uint8Array(4)
const NOTHING = new Uint8Array(0)
