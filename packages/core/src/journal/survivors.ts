//! Entries that the log no longer needs but a live job's payload does: where they are on disk, in sorted typed arrays of 20
//! bytes each. Removal only marks; the arrays are packed when half of them is marked.

import type { Hash } from '../hash.ts'
import type { Location, SegmentUse } from './tail.ts'

export class Survivors {
  #count = 0
  #removed = 0
  #index = new Float64Array(INITIAL)
  /** 0 marks a removed one. */
  #segment = new Uint32Array(INITIAL)
  #offset = new Uint32Array(INITIAL)
  #length = new Uint32Array(INITIAL)

  get size(): number {
    return this.#count - this.#removed
  }

  has(index: number): boolean {
    return this.#slot(index) >= 0
  }

  find(index: number): Location | undefined {
    const slot = this.#slot(index)
    return slot < 0 ? undefined : { segment: this.#segment[slot]!, offset: this.#offset[slot]!, length: this.#length[slot]! }
  }

  /** Takes over the claim on the segment; an earlier place of the same index gives up its own. */
  put(index: number, segment: number, offset: number, length: number, use: SegmentUse): void {
    let slot = this.#lowerBound(index)
    if (slot < this.#count && this.#index[slot] === index) {
      if (this.#segment[slot] === 0) this.#removed--
      else use.free(this.#segment[slot]!, this.#length[slot]!)
    } else slot = this.#insert(slot)
    this.#index[slot] = index
    this.#segment[slot] = segment
    this.#offset[slot] = offset
    this.#length[slot] = length
  }

  remove(index: number, use: SegmentUse): void {
    const slot = this.#slot(index)
    if (slot < 0) return
    this.#mark(slot, use)
    this.#pack()
  }

  /** Of those from `from` to `through`, keeps only the ones in `indexes`, which is sorted. */
  keepOnly(indexes: readonly number[], from: number, through: number, use: SegmentUse): void {
    let next = 0
    for (let slot = this.#lowerBound(from); slot < this.#count && this.#index[slot]! <= through; slot++) {
      const index = this.#index[slot]!
      while (next < indexes.length && indexes[next]! < index) next++
      if (this.#segment[slot] !== 0 && indexes[next] !== index) this.#mark(slot, use)
    }
    this.#pack()
  }

  truncate(from: number, use: SegmentUse): void {
    const first = this.#lowerBound(from)
    for (let slot = first; slot < this.#count; slot++) {
      if (this.#segment[slot] === 0) this.#removed--
      else use.free(this.#segment[slot]!, this.#length[slot]!)
    }
    this.#count = first
  }

  /** The lowest index held that is `from` or above, or Infinity. */
  atOrAfter(from: number): number {
    for (let slot = this.#lowerBound(from); slot < this.#count; slot++) if (this.#segment[slot] !== 0) return this.#index[slot]!
    return Infinity
  }

  /** The indexes of those in a segment. */
  within(segment: number): readonly number[] {
    const indexes: number[] = []
    for (let slot = 0; slot < this.#count; slot++) if (this.#segment[slot] === segment) indexes.push(this.#index[slot]!)
    return indexes
  }

  /** Claims the segment of every entry. */
  claim(use: SegmentUse): void {
    for (let slot = 0; slot < this.#count; slot++) if (this.#segment[slot] !== 0) use.need(this.#segment[slot]!, this.#length[slot]!)
  }

  clone(): Survivors {
    const copy = new Survivors()
    copy.#count = this.#count
    copy.#removed = this.#removed
    copy.#index = this.#index.slice()
    copy.#segment = this.#segment.slice()
    copy.#offset = this.#offset.slice()
    copy.#length = this.#length.slice()
    return copy
  }

  mix(hash: Hash): void {
    hash.number(this.size)
    for (let slot = 0; slot < this.#count; slot++) {
      if (this.#segment[slot] !== 0) hash.number(this.#index[slot]!).word(this.#segment[slot]!).word(this.#offset[slot]!)
    }
  }

  #slot(index: number): number {
    const slot = this.#lowerBound(index)
    return slot < this.#count && this.#index[slot] === index && this.#segment[slot] !== 0 ? slot : -1
  }

  #lowerBound(index: number): number {
    let low = 0
    let high = this.#count
    // Nearly every insertion is behind the last.
    if (high > 0 && this.#index[high - 1]! < index) return high
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#index[middle]! < index) low = middle + 1
      else high = middle
    }
    return low
  }

  #insert(slot: number): number {
    if (this.#count === this.#index.length) this.#resize(this.#count * 2)
    if (slot < this.#count) {
      this.#index.copyWithin(slot + 1, slot, this.#count)
      this.#segment.copyWithin(slot + 1, slot, this.#count)
      this.#offset.copyWithin(slot + 1, slot, this.#count)
      this.#length.copyWithin(slot + 1, slot, this.#count)
    }
    this.#count++
    return slot
  }

  #mark(slot: number, use: SegmentUse): void {
    use.free(this.#segment[slot]!, this.#length[slot]!)
    this.#segment[slot] = 0
    this.#removed++
  }

  #pack(): void {
    if (this.#removed <= INITIAL || this.#removed * 2 < this.#count) return
    let to = 0
    for (let from = 0; from < this.#count; from++) {
      if (this.#segment[from] === 0) continue
      this.#index[to] = this.#index[from]!
      this.#segment[to] = this.#segment[from]!
      this.#offset[to] = this.#offset[from]!
      this.#length[to] = this.#length[from]!
      to++
    }
    this.#count = to
    this.#removed = 0
    if (this.#index.length > INITIAL && to * 4 < this.#index.length) this.#resize(Math.max(INITIAL, to * 2))
  }

  #resize(capacity: number): void {
    const index = new Float64Array(capacity)
    index.set(this.#index.subarray(0, this.#count))
    this.#index = index
    this.#segment = resized(this.#segment, this.#count, capacity)
    this.#offset = resized(this.#offset, this.#count, capacity)
    this.#length = resized(this.#length, this.#count, capacity)
  }
}

const INITIAL = 16

function resized(words: Uint32Array, count: number, capacity: number): Uint32Array<ArrayBuffer> {
  const copy = new Uint32Array(capacity)
  copy.set(words.subarray(0, count))
  return copy
}
