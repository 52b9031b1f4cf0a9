//! The segments that stand, what each is still needed for, and the files that wait to be used again.
//!
//!   spare ──rename──▶ active ──full──▶ closed ──nothing needed, and all that made it so is flushed──▶ spare | deleted
//!
//! A segment whose last needed record is freed may not go at once: the record that superseded it may still be gathered.
//! So it waits until everything that was gathered at that moment is flushed.

import { present } from '../assert.ts'
import type { DeviceAnswer, DeviceRequest } from '../device.ts'
import type { Hash } from '../hash.ts'
import type { Nonce } from './record.ts'
import { segmentFile, spareFile, type SegmentEnd } from './segment.ts'
import type { SegmentUse } from './tail.ts'

export interface Segment {
  readonly number: number
  readonly base: number
  readonly size: number
  readonly nonce: Nonce
  /** The offset at which its records end. */
  end: number
  /** Records that are still wanted. */
  needed: number
  /** The bodies of the entries among them; snapshots do not count. */
  neededBytes: number
  /** Its live payloads were once moved out of it: what is left is left for other reasons. */
  rewritten: boolean
}

/** More free files than this are deleted rather than kept. */
export const SPARES_MAX = 2

export class Segments implements SegmentUse {
  /** The number of the segment that is being written; it never goes. */
  active = 0
  /** How many records were gathered and flushed so far; the owner counts. */
  gathered = 0
  flushed = 0
  /** 1 while records are freed on account of one that is only about to be gathered. */
  ahead = 0
  readonly spares: number[] = []
  /** Files on their way to become spares, by request. */
  #retiring = new Map<number, number>()
  #all = new Map<number, Segment>()
  /** Segments that nothing needs any more, and what had been gathered when that came to be. */
  #idle: { readonly number: number; readonly after: number }[] = []
  readonly #size: number

  constructor(size: number) {
    this.#size = size
  }

  get(number: number): Segment | undefined {
    return this.#all.get(number)
  }

  add(segment: Segment): void {
    this.#all.set(segment.number, segment)
  }

  need(number: number, bytes: number): void {
    const segment = present(this.#all.get(number), 'a needed record is in a segment that stands')
    segment.needed++
    segment.neededBytes += bytes
  }

  free(number: number, bytes: number): void {
    const segment = present(this.#all.get(number), 'a freed record is in a segment that stands')
    segment.needed--
    segment.neededBytes -= bytes
    if (segment.needed === 0) this.#idle.push({ number, after: this.gathered + this.ahead })
  }

  /** For a segment that was not active, or not known, when its last needed record was freed. */
  reconsider(number: number): void {
    if (this.#all.get(number)?.needed === 0) this.#idle.push({ number, after: this.gathered })
  }

  /** Takes out a segment that may go now, or undefined. */
  takeIdle(): Segment | undefined {
    for (let i = 0; i < this.#idle.length; i++) {
      const { number, after } = this.#idle[i]!
      if (after > this.flushed) return undefined
      const segment = this.#all.get(number)
      this.#idle.splice(i--, 1)
      if (!segment || segment.needed > 0 || number === this.active) continue
      this.#all.delete(number)
      return segment
    }
    return undefined
  }

  /** What becomes of the file of a segment that was taken out. */
  retire(segment: Segment, request: number): DeviceRequest {
    if (this.spares.length + this.#retiring.size < SPARES_MAX && segment.size === this.#size) {
      this.#retiring.set(request, segment.number)
      return { kind: 'rename', request, file: segmentFile(segment.number), to: spareFile(segment.number) }
    }
    return { kind: 'delete', request, file: segmentFile(segment.number) }
  }

  /** Whether the answer was to a rename of `retire`; one that failed costs a file that the next start clears away. */
  answer(answer: DeviceAnswer): boolean {
    const number = this.#retiring.get(answer.request)
    if (number === undefined) return false
    this.#retiring.delete(answer.request)
    if (answer.kind === 'renamed') this.spares.push(number)
    return true
  }

  ends(): readonly SegmentEnd[] {
    return this.ordered().map(({ number, end }) => ({ number, end }))
  }

  get count(): number {
    return this.#all.size
  }

  ordered(): readonly Segment[] {
    return [...this.#all.values()].sort((a, b) => a.number - b.number)
  }

  /** Bytes of all files. */
  get bytes(): number {
    let sum = this.spares.length * this.#size
    for (const segment of this.#all.values()) sum += segment.size
    return sum
  }

  clone(): Segments {
    const copy = new Segments(this.#size)
    copy.active = this.active
    copy.gathered = this.gathered
    copy.flushed = this.flushed
    copy.ahead = this.ahead
    copy.spares.push(...this.spares)
    copy.#retiring = new Map(this.#retiring)
    for (const segment of this.#all.values()) copy.#all.set(segment.number, { ...segment })
    copy.#idle = [...this.#idle]
    return copy
  }

  mix(hash: Hash): void {
    hash.number(this.active).number(this.gathered).number(this.flushed).number(this.spares.length)
    for (const each of this.ordered()) hash.number(each.number).number(each.end).number(each.needed).number(each.neededBytes)
  }
}
