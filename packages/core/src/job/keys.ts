//! Idempotency keys of a partition: which job was added under a key, remembered for a fixed window by the wall clock of the
//! log, whatever became of the job. Since the window is the same for all, keys expire in the order in which they came.

import type { Frozen, ImageReader, Walk } from '../message/image.ts'
import { readPacked, writePacked } from '../message/packed.ts'
import { KEYS_MAX, KEY_WINDOW_MS, readName, writeName } from './limits.ts'

interface KeyPage {
  readonly keys: string[]
  readonly numbers: number[]
  readonly expiries: number[]
}

export class Keys {
  readonly #jobs = new Map<string, number>()
  /** In the order in which they came. Only ever added to at the end, so a snapshot needs no copy: it knows how far it goes. */
  #pages: KeyPage[] = []
  /** Keys of the first page that are forgotten. */
  #head = 0

  get size(): number {
    return this.#jobs.size
  }

  /** When the oldest key is forgotten; Infinity without keys. */
  get expiresNext(): number {
    return this.#pages[0]?.expiries[this.#head] ?? Infinity
  }

  fits(count: number): boolean {
    return this.#jobs.size + count <= KEYS_MAX
  }

  /** The job that was added under the key; keys past their window must have been forgotten before. */
  find(key: string): number | undefined {
    return this.#jobs.get(key)
  }

  /** A key that is not there. */
  remember(key: string, number: number, wallNow: number): void {
    this.#remember(key, number, wallNow + KEY_WINDOW_MS)
  }

  forget(wallNow: number): void {
    while (this.expiresNext <= wallNow) {
      const page = this.#pages[0]!
      this.#jobs.delete(page.keys[this.#head++]!)
      if (this.#head < page.keys.length) continue
      this.#pages.shift()
      this.#head = 0
    }
  }

  freeze(): Frozen {
    const pages = this.#pages.slice()
    const size = this.size
    const head = this.#head
    return function* (out): Walk {
      const { writer } = out
      writePacked(writer, size)
      out.endItem()
      let left = size
      for (const { keys, numbers, expiries } of pages) {
        for (let at = left === size ? head : 0; at < keys.length && left > 0; at++, left--) {
          writeName(writer, keys[at]!)
          writePacked(writer, numbers[at]!)
          writer.f64(expiries[at]!)
          out.endItem()
        }
        yield keys.length
      }
    }
  }

  static *read(input: ImageReader): Walk<Keys> {
    const keys = new Keys()
    const count = input.count(11)
    for (let i = 0; i < count; i++) {
      const reader = input.item()
      keys.#remember(readName(reader), readPacked(reader), reader.f64())
      if (i % PAGE_KEYS === PAGE_KEYS - 1) yield PAGE_KEYS
    }
    return keys
  }

  #remember(key: string, number: number, expiry: number): void {
    this.#jobs.set(key, number)
    let page = this.#pages.at(-1)
    if (page === undefined || page.keys.length === PAGE_KEYS) this.#pages.push((page = { keys: [], numbers: [], expiries: [] }))
    page.keys.push(key)
    page.numbers.push(number)
    page.expiries.push(expiry)
  }
}

const PAGE_KEYS = 256
