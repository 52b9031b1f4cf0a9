//! How much room the disk has left. It is asked now and then, since others write to it too, and at once when a file was made.
//!
//! Short of room is who has less than the reserve: two segments and a snapshot. From then on nothing is added, and what is left
//! is for ending what there is: completions free payloads, and with them segments.

import type { DeviceAnswer, DeviceOutbox } from '../device.ts'
import type { Hash } from '../hash.ts'
import type { Instant } from '../units.ts'

const ASK_EVERY_MS = 1000
const RESERVED_SEGMENTS = 2
/** With less than so many segments' room left files are made ahead, so that nobody else takes the reserve. */
const SCARCE_SEGMENTS = 6

export class Space {
  /** When to ask next; Infinity while an answer is awaited, and before the journal runs. */
  askAt = Infinity as Instant
  /** What the disk says it still takes. */
  freeBytes = Infinity
  /** The largest snapshot that was written. */
  #snapshotBytes = 0
  readonly #segmentBytes: number
  readonly #request: () => number
  #asked = 0

  constructor(segmentBytes: number, request: () => number) {
    this.#segmentBytes = segmentBytes
    this.#request = request
  }

  get reserveBytes(): number {
    return RESERVED_SEGMENTS * this.#segmentBytes + this.#snapshotBytes
  }

  get isScarce(): boolean {
    return this.freeBytes < SCARCE_SEGMENTS * this.#segmentBytes
  }

  noteSnapshot(bytes: number): void {
    this.#snapshotBytes = Math.max(this.#snapshotBytes, bytes)
  }

  ask(outbox: DeviceOutbox): void {
    if (this.#asked !== 0) return
    this.#asked = this.#request()
    this.askAt = Infinity as Instant
    outbox.device({ kind: 'space', request: this.#asked })
  }

  /** Whether the answer was this one's. */
  answer(now: Instant, answer: DeviceAnswer): boolean {
    if (answer.request !== this.#asked) return false
    this.#asked = 0
    this.askAt = (now + ASK_EVERY_MS) as Instant
    if (answer.kind === 'space') this.freeBytes = answer.freeBytes
    return true
  }

  clone(request: () => number): Space {
    const copy = new Space(this.#segmentBytes, request)
    copy.askAt = this.askAt
    copy.freeBytes = this.freeBytes
    copy.#snapshotBytes = this.#snapshotBytes
    copy.#asked = this.#asked
    return copy
  }

  mix(hash: Hash): void {
    hash.number(this.freeBytes).number(this.#snapshotBytes).word(this.#asked === 0 ? 0 : 1)
  }
}
