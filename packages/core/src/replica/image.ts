//! What a snapshot is on its way to another master: the books, and the add entries whose payloads are still wanted.
//!
//!   books length u53 | books | count u32 | count x ( index u53 | length u32 | entry )
//!
//! The entries may have to be read from the disk first, so an image is put together in steps.

import { MalformedMessage, Reader, Writer } from '../message/layout.ts'
import type { LogIndex } from '../units.ts'

export interface PayloadEntry {
  readonly index: LogIndex
  readonly bytes: Uint8Array
}

export class ImageBuilder {
  readonly #writer = new Writer(64 * 1024)
  readonly #wanted: readonly LogIndex[]
  readonly #countAt: number
  #at = 0
  #count = 0

  constructor(books: Uint8Array, wanted: readonly LogIndex[]) {
    this.#wanted = wanted
    this.#writer.u53(books.length)
    this.#writer.raw(books)
    this.#countAt = this.#writer.claim(4)
  }

  /** Adds what `read` has; true when the image is complete. An entry that `read` gives up (null) was freed meanwhile. */
  step(read: (index: LogIndex) => Uint8Array | undefined | null): boolean {
    while (this.#at < this.#wanted.length) {
      const index = this.#wanted[this.#at]!
      const bytes = read(index)
      if (bytes === undefined) return false
      this.#at++
      if (bytes === null) continue
      this.#writer.u53(index)
      this.#writer.u32(bytes.length)
      this.#writer.raw(bytes)
      this.#count++
    }
    this.#writer.view.setUint32(this.#countAt, this.#count)
    return true
  }

  take(): Uint8Array {
    return this.#writer.take()
  }
}

/** Throws MalformedMessage. Books and entries are views of the image. */
export function readImage(image: Uint8Array): { readonly books: Uint8Array; readonly payloads: readonly PayloadEntry[] } {
  const reader = new Reader(image)
  const books = reader.raw(reader.u53())
  const payloads: PayloadEntry[] = []
  for (let count = reader.u32(); count > 0; count--) {
    const index = reader.u53() as LogIndex
    payloads.push({ index, bytes: reader.raw(reader.u32()) })
  }
  if (reader.left > 0) throw new MalformedMessage(`${reader.left} bytes behind the image`)
  return { books, payloads }
}
