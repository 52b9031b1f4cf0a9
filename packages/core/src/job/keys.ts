//! Idempotency keys of a partition: which job was added under a key, remembered for a fixed window by the wall clock of the
//! log, whatever became of the job. Since the window is the same for all, keys expire in the order in which they came.

import type { Reader, Writer } from '../message/layout.ts'
import { readCount, readPacked, writePacked } from '../message/packed.ts'
import { KEYS_MAX, KEY_WINDOW_MS, readName, writeName } from './limits.ts'

export class Keys {
  readonly #jobs = new Map<string, number>()
  #keys: string[] = []
  #expiries: number[] = []
  #head = 0

  get size(): number {
    return this.#jobs.size
  }

  /** When the oldest key is forgotten; Infinity without keys. */
  get expiresNext(): number {
    return this.#head < this.#expiries.length ? this.#expiries[this.#head]! : Infinity
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
    this.#jobs.set(key, number)
    this.#keys.push(key)
    this.#expiries.push(wallNow + KEY_WINDOW_MS)
  }

  forget(wallNow: number): void {
    while (this.#head < this.#keys.length && this.#expiries[this.#head]! <= wallNow) this.#jobs.delete(this.#keys[this.#head++]!)
    if (this.#head > COMPACT_MIN && this.#head * 2 > this.#keys.length) {
      this.#keys = this.#keys.slice(this.#head)
      this.#expiries = this.#expiries.slice(this.#head)
      this.#head = 0
    }
  }

  write(writer: Writer): void {
    writePacked(writer, this.#keys.length - this.#head)
    for (let i = this.#head; i < this.#keys.length; i++) {
      writeName(writer, this.#keys[i]!)
      writePacked(writer, this.#jobs.get(this.#keys[i]!)!)
      writer.f64(this.#expiries[i]!)
    }
  }

  static read(reader: Reader): Keys {
    const keys = new Keys()
    const count = readCount(reader, 11)
    for (let i = 0; i < count; i++) {
      const key = readName(reader)
      keys.#jobs.set(key, readPacked(reader))
      keys.#keys.push(key)
      keys.#expiries.push(reader.f64())
    }
    return keys
  }
}

/** Compacting fewer is not worth it. */
const COMPACT_MIN = 1024
