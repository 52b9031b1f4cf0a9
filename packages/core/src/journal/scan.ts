//! Reads the records of all segments in the order in which they were written.
//!
//!   ── records ──▶ bad record ──below what is proven──▶ hole: resynchronise at the next record
//!                      └─at or above it──▶ search the rest for a mark that proves more; none ──▶ cut here
//!
//! Everything below the highest mark was flushed before that mark was written, so damage there is rot. Above it, damage
//! is the torn end of the last group.

import { present } from '../assert.ts'
import type { DeviceAnswer, DeviceRequest } from '../device.ts'
import type { Rebuild } from './rebuild.ts'
import { RECORD_ALIGNMENT, RECORD_HEADER_BYTES, RecordKind, bodyHolds, headerHolds, readHeader, recordBytes } from './record.ts'
import { nextHeader } from './search.ts'
import { ANCHOR_BYTES, segmentFile, type SegmentHead } from './segment.ts'
import { Window } from './window.ts'

export interface Scanned {
  readonly number: number
  /** Undefined for a dark segment. */
  readonly head: SegmentHead | undefined
  /** The offset at which its records end; undefined where no intact head tells it. */
  readonly end: number | undefined
  /** The segment before it was read just before. */
  readonly continuous: boolean
}

export class Scan {
  /** For each segment read, the offset below which its records are known to be on the disk. */
  readonly ends = new Map<number, number>()
  /** Where the last record ends that was found. */
  position = 0
  readonly #segments: readonly Scanned[]
  readonly #rebuild: Rebuild
  #window = new Window()
  #next = 0
  #current: { readonly segment: Scanned; readonly head: SegmentHead; readonly limit: number; readonly last: boolean } | undefined
  #mode: 'records' | 'resync' | 'prove' = 'records'
  #at = 0
  /** Where the search for the next record, or for a mark, has come to. */
  #searched = 0
  /** The offset below which records are proven to have been flushed. */
  #proven = 0
  /** The rest of the segment has been searched for marks. */
  #searchedAll = false

  constructor(segments: readonly Scanned[], rebuild: Rebuild) {
    this.#segments = segments
    this.#rebuild = rebuild
  }

  /** What to read next; undefined when all segments are read. */
  next(request: number): DeviceRequest | undefined {
    for (;;) {
      if (!this.#current && !this.#begin()) return undefined
      const keep = this.#step()
      if (keep !== undefined) return this.#window.ask(request, keep)
    }
  }

  accept(answer: DeviceAnswer): void {
    this.#window.accept(answer)
  }

  #begin(): boolean {
    for (;;) {
      const segment = this.#segments[this.#next++]
      if (!segment) return false
      this.#rebuild.beginSegment(segment.continuous)
      const { head, end } = segment
      if (head && end !== undefined && end <= ANCHOR_BYTES) this.ends.set(segment.number, 0)
      else if (!head) this.#rebuild.hole(this.#darkPosition())
      else {
        const limit = end ?? head.size
        this.#current = { segment, head, limit, last: this.#next === this.#segments.length }
        this.#mode = 'records'
        this.#at = ANCHOR_BYTES
        this.#proven = end ?? 0
        this.#searchedAll = end !== undefined
        this.#window.open(segmentFile(segment.number), ANCHOR_BYTES, limit)
        return true
      }
    }
  }

  /** A dark segment lies somewhere below the next one that is not. */
  #darkPosition(): number {
    const after = this.#segments.slice(this.#next).find(({ head }) => head)
    return present(after?.head, 'a dark segment counts only when a later one names it').base - 1
  }

  /** Goes on as far as the bytes at hand allow; the offset from which on more are wanted, or undefined at the end. */
  #step(): number | undefined {
    for (;;) {
      const { limit } = this.#current!
      if (this.#mode === 'prove') {
        const keep = this.#prove()
        if (keep !== undefined) return keep
      } else if (this.#mode === 'resync') {
        const keep = this.#resync()
        if (keep !== undefined) return keep
      } else if (this.#at + RECORD_HEADER_BYTES > limit) {
        if (this.#at < limit && this.#at < this.#proven) this.#hole()
        return this.#end()
      } else {
        const read = this.#read()
        if (read === 'more') return this.#at
        if (read === 'bad' && this.#bad()) return this.#end()
      }
    }
  }

  #end(): undefined {
    const { segment, last, head } = this.#current!
    this.position = head.base + Math.min(this.#at, head.size)
    // What is not proven in the last segment is carried over, and counts where it is carried to.
    this.ends.set(segment.number, last || segment.end === undefined ? Math.min(this.#proven, head.size) : segment.end)
    this.#current = undefined
  }

  #read(): 'read' | 'more' | 'bad' {
    const window = this.#window
    const { segment, head, limit, last } = this.#current!
    const at = this.#at
    if (!window.holds(at, RECORD_HEADER_BYTES)) return 'more'
    const local = window.local(at)
    if (!headerHolds(window.bytes, window.view, local, head.nonce, head.base + at)) return 'bad'
    const header = readHeader(window.view, local)
    const size = recordBytes(header.length)
    if (at + size > limit) return 'bad'
    if (!window.holds(at, size)) return 'more'
    const place = { segment: segment.number, offset: at, position: head.base + at }
    if (!bodyHolds(window.bytes, window.view, local)) {
      if (at >= this.#proven) return 'bad'
      this.#rebuild.applyRotten(header, place)
    } else {
      if (header.kind === RecordKind.mark) this.#proven = Math.max(this.#proven, header.index - head.base)
      const body = window.bytes.subarray(local + RECORD_HEADER_BYTES, local + RECORD_HEADER_BYTES + header.length)
      this.#rebuild.apply(header, body, place, last)
    }
    this.#at = at + size
    return 'read'
  }

  /** At a bad record; true where everything from it on is cut. */
  #bad(): boolean {
    if (this.#at < this.#proven) {
      this.#hole()
      this.#mode = 'resync'
      this.#searched = this.#at + RECORD_ALIGNMENT
      return false
    }
    if (this.#searchedAll) return true
    this.#mode = 'prove'
    this.#searched = this.#at + RECORD_ALIGNMENT
    return false
  }

  #hole(): void {
    this.#rebuild.hole(this.#current!.head.base + this.#at)
  }

  #resync(): number | undefined {
    const { head, limit } = this.#current!
    const found = nextHeader(this.#window, this.#searched, limit, head.nonce, head.base)
    this.#searched = found.at
    if (found.kind === 'more') return found.at
    this.#at = found.at
    this.#mode = 'records'
    return undefined
  }

  /** Looks for marks in all the rest, then comes back to the bad record. */
  #prove(): number | undefined {
    const { head, limit } = this.#current!
    for (;;) {
      const found = nextHeader(this.#window, this.#searched, limit, head.nonce, head.base)
      this.#searched = found.at
      if (found.kind === 'more') return found.at
      if (found.kind === 'none') break
      const header = readHeader(this.#window.view, this.#window.local(found.at))
      if (header.kind === RecordKind.mark) this.#proven = Math.max(this.#proven, header.index - head.base)
      this.#searched += RECORD_ALIGNMENT
    }
    this.#searchedAll = true
    this.#mode = 'records'
    // The search has left the bad record behind, and often given up its bytes.
    if (this.#at < this.#proven || !this.#window.holds(this.#at, RECORD_HEADER_BYTES)) this.#window.open(segmentFile(this.#current!.segment.number), this.#at, limit)
    return undefined
  }
}
