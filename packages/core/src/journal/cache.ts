//! Entries in memory: what a leader ships to its followers and what is about to be written. Bounded in bytes, the newest
//! kept; one that is not yet durable is never given up, since nobody could read it back.

import type { LogIndex, Term } from '../units.ts'

export interface JournalEntry {
  readonly index: LogIndex
  readonly term: Term
  readonly bytes: Uint8Array
}

export interface Cached {
  /** Undefined once it was removed or replaced; the queue drops it later. */
  entry: JournalEntry | undefined
  /** Not yet durable. */
  pinned: boolean
  /** Handed in as a payload below the snapshot, not as part of the log. */
  readonly payload: boolean
  readonly of: CachedEntries
}

export type CachedEntries = Map<number, Cached>

export class Cache {
  bytes = 0
  readonly bytesMax: number
  /** In order of arrival from `#head` on. */
  #queue: Cached[] = []
  #head = 0
  #live = 0

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax
  }

  put(into: CachedEntries, entry: JournalEntry, pinned: boolean, payload = false): Cached {
    this.remove(into, entry.index)
    this.#makeRoom(entry.bytes.length)
    const cached: Cached = { entry, pinned, payload, of: into }
    into.set(entry.index, cached)
    this.#queue.push(cached)
    this.#live++
    this.bytes += entry.bytes.length
    return cached
  }

  remove(from: CachedEntries, index: number): void {
    const cached = from.get(index)
    if (cached) this.#forget(cached, index)
  }

  clear(entries: CachedEntries): void {
    for (const [index, cached] of entries) this.#forget(cached, index)
  }

  /** A copy over copied maps; `renewed` tells which copy stands for which item. */
  clone(mapOf: (entries: CachedEntries) => CachedEntries, renewed: Map<Cached, Cached>): Cache {
    const copy = new Cache(this.bytesMax)
    for (let i = this.#head; i < this.#queue.length; i++) {
      const item = this.#queue[i]!
      if (!item.entry) continue
      const twin: Cached = { entry: item.entry, pinned: item.pinned, payload: item.payload, of: mapOf(item.of) }
      twin.of.set(item.entry.index, twin)
      renewed.set(item, twin)
      copy.#queue.push(twin)
    }
    copy.#live = this.#live
    copy.bytes = this.bytes
    return copy
  }

  #forget(cached: Cached, index: number): void {
    cached.of.delete(index)
    this.bytes -= cached.entry!.bytes.length
    cached.entry = undefined
    this.#live--
    this.#tidy()
  }

  #makeRoom(wanted: number): void {
    // Pinned ones go to the back of the queue, so that each is looked at once and the loop ends.
    for (let left = this.#queue.length - this.#head; left > 0 && this.bytes + wanted > this.bytesMax; left--) {
      const oldest = this.#queue[this.#head++]!
      if (!oldest.entry) continue
      if (oldest.pinned) this.#queue.push(oldest)
      else {
        this.bytes -= oldest.entry.bytes.length
        oldest.of.delete(oldest.entry.index)
        oldest.entry = undefined
        this.#live--
      }
    }
    this.#tidy()
  }

  #tidy(): void {
    while (this.#head < this.#queue.length && !this.#queue[this.#head]!.entry) this.#head++
    const length = this.#queue.length
    if (length < 64 || length < this.#live * 2) return
    this.#queue = this.#queue.filter((item, i) => i >= this.#head && item.entry !== undefined)
    this.#head = 0
  }
}
