//! First look at a file after a start: is it a segment, which one, and was its opening ever complete?
//!
//!   anchor or head intact ──▶ walk the opening ──opened──▶ counts
//!          │                        └─bad record──▶ search for a mark behind it ──▶ counts, with a hole | void
//!          └─neither──▶ the anchor at the end ──intact──▶ as above
//!                                  └─not either──▶ dark: counts, as one hole, only if a later segment names it
//!
//! The anchor at the end is on the disk before the opening begins. So a dark file that nothing names has never had an opening,
//! as long as one fault does not destroy both of its ends.

import type { DeviceAnswer, DeviceRequest } from '../device.ts'
import { RECORD_HEADER_BYTES, RecordKind, bodyHolds, headerHolds, readHeader, recordBytes } from './record.ts'
import { nextHeader } from './search.ts'
import { ANCHOR_BYTES, FORMAT_VERSION, HEAD_BYTES, decodeAnchor, decodeEnds, decodeHead, segmentFile, type SegmentEnd, type SegmentHead } from './segment.ts'
import { Window } from './window.ts'

export interface Probed {
  readonly number: number
  readonly size: number
  /** Undefined for a dark file. */
  head: SegmentHead | undefined
  /** What its head says of the other segments; undefined where the head record is damaged. */
  ends: readonly SegmentEnd[] | undefined
  /** The opening is complete, or something was written behind it. */
  counts: boolean
}

export class Probe {
  /** Why this journal is not to be touched. */
  refusal: string | undefined
  readonly result: Probed
  #window = new Window()
  #stage: 'anchor' | 'tail' | 'walk' | 'search' | 'done' = 'anchor'
  #at = ANCHOR_BYTES

  constructor(number: number, size: number) {
    this.result = { number, size, head: undefined, ends: undefined, counts: false }
    this.#window.open(segmentFile(number), 0, size)
    if (size < LEAST_BYTES) this.#stage = 'done'
  }

  /** What to read next; undefined when all is known. */
  next(request: number): DeviceRequest | undefined {
    if (this.#stage === 'anchor') {
      if (!this.#window.holds(0, LEAST_BYTES)) return this.#window.ask(request, 0)
      this.#readAnchor()
    }
    if (this.#stage === 'tail') {
      const at = this.result.size - ANCHOR_BYTES
      if (!this.#window.holds(at, ANCHOR_BYTES)) return this.#window.ask(request, at)
      this.#readTail()
    }
    if (this.#stage === 'walk') {
      const wanted = this.#walk()
      if (wanted) return this.#window.ask(request, this.#at)
    }
    if (this.#stage === 'search') {
      const wanted = this.#search()
      if (wanted) return this.#window.ask(request, this.#at)
    }
    return undefined
  }

  accept(answer: DeviceAnswer): void {
    this.#window.accept(answer)
  }

  clone(): Probe {
    const copy = new Probe(this.result.number, this.result.size)
    Object.assign(copy.result, this.result)
    copy.refusal = this.refusal
    copy.#window = this.#window.clone()
    copy.#stage = this.#stage
    copy.#at = this.#at
    return copy
  }

  #readAnchor(): void {
    const { bytes, view } = this.#window
    const { number, size } = this.result
    let found = decodeAnchor(bytes, view)
    if (found && found.version <= FORMAT_VERSION && found.head.number !== number) found = undefined
    if (!found) {
      // The head's own check needs the nonce that stands in its body: a head that is no head fails it.
      const told = decodeHead(view, ANCHOR_BYTES + RECORD_HEADER_BYTES)
      const { nonce, base } = told.head
      if (told.head.number !== number || !headerHolds(bytes, view, ANCHOR_BYTES, nonce, base + ANCHOR_BYTES)) {
        this.#stage = 'tail'
        this.#window.open(segmentFile(number), size - ANCHOR_BYTES, size)
        return
      }
      found = told
    }
    this.#take(found)
  }

  #readTail(): void {
    const { bytes, view } = this.#window
    const { number, size } = this.result
    const found = decodeAnchor(bytes, view)
    this.#stage = 'done'
    if (!found || (found.version <= FORMAT_VERSION && found.head.number !== number)) return
    this.#window.open(segmentFile(number), ANCHOR_BYTES, size)
    this.#take(found)
  }

  #take(found: { readonly version: number; readonly head: SegmentHead }): void {
    this.#stage = 'done'
    if (found.version > FORMAT_VERSION) {
      this.refusal = `${segmentFile(this.result.number)} is of format ${found.version}, this program knows up to ${FORMAT_VERSION}: start the newer version; nothing was changed`
      return
    }
    this.result.head = found.head
    this.#stage = 'walk'
  }

  /** True where more bytes are wanted. */
  #walk(): boolean {
    const window = this.#window
    const { nonce, base } = this.result.head!
    const limit = window.end
    for (;;) {
      if (this.#at + RECORD_HEADER_BYTES > limit) break
      if (!window.holds(this.#at, RECORD_HEADER_BYTES)) return true
      const local = window.local(this.#at)
      if (!headerHolds(window.bytes, window.view, local, nonce, base + this.#at)) break
      const header = readHeader(window.view, local)
      const size = recordBytes(header.length)
      if (this.#at + size > limit) break
      if (!window.holds(this.#at, size)) return true
      if (!bodyHolds(window.bytes, window.view, local)) break
      if (header.kind === RecordKind.head && header.length >= HEAD_BYTES) {
        this.result.ends = decodeEnds(window.view, local + RECORD_HEADER_BYTES, header.length)
      }
      if (header.kind === RecordKind.opened) {
        this.result.counts = true
        this.#stage = 'done'
        return false
      }
      this.#at += size
    }
    this.#stage = 'search'
    this.#at += 4
    return false
  }

  #search(): boolean {
    const { nonce, base } = this.result.head!
    for (;;) {
      const found = nextHeader(this.#window, this.#at, this.#window.end, nonce, base)
      this.#at = found.at
      if (found.kind === 'more') return true
      if (found.kind === 'none') break
      const { kind } = readHeader(this.#window.view, this.#window.local(found.at))
      if (kind === RecordKind.mark) {
        this.result.counts = true
        break
      }
      this.#at += 4
    }
    this.#stage = 'done'
    return false
  }
}

const LEAST_BYTES = ANCHOR_BYTES + RECORD_HEADER_BYTES + HEAD_BYTES
