//! Reads a file from front to back in bounded chunks, so that recovery never holds a whole segment, nor the loop.

import type { DeviceAnswer, DeviceRequest } from '../device.ts'

export const CHUNK_BYTES = 1024 * 1024
/** A chunk that cannot be read is halved down to a sector of the disk; what then still fails counts as zeros. */
const SECTOR_BYTES = 512
/** Up to this part of a chunk is read twice. */
const REREAD_PART = 16

export class Window {
  bytes: Uint8Array = new Uint8Array(0)
  view: DataView = new DataView(new ArrayBuffer(0))
  /** The file offset of the first byte held. */
  start = 0
  #file = ''
  #end = 0
  #chunk = CHUNK_BYTES
  #asked = 0

  /** Goes to `from` of a file; nothing at or beyond `end` is read. */
  open(file: string, from: number, end: number): void {
    this.#file = file
    this.#end = end
    this.#chunk = CHUNK_BYTES
    this.#hold(EMPTY, from)
  }

  get end(): number {
    return this.#end
  }

  holds(at: number, length: number): boolean {
    return at >= this.start && at + length <= this.start + this.bytes.length
  }

  /** Where the file's offset `at` is in `bytes`. */
  local(at: number): number {
    return at - this.start
  }

  /** Asks for the next chunk and gives up what is below `keep`. */
  ask(request: number, keep: number): DeviceRequest {
    const held = this.start + this.bytes.length
    // A short rest is read again rather than copied to the front of a new chunk: a search goes through whole segments. Not so near a
    // sector that cannot be read: what has been read in small pieces would be asked for in a large one, for ever.
    if (keep >= held || (this.#chunk === CHUNK_BYTES && (held - keep) * REREAD_PART <= CHUNK_BYTES)) this.#hold(EMPTY, keep)
    else if (keep > this.start) this.#hold(this.bytes.subarray(keep - this.start), keep)
    const at = this.start + this.bytes.length
    this.#asked = this.#pieceEnd(at) - at
    return { kind: 'read', request, file: this.#file, at, length: this.#asked }
  }

  /** False where the same place is to be asked for once more, in a smaller piece. */
  accept(answer: DeviceAnswer): boolean {
    if (answer.kind !== 'bytes') {
      if (this.#chunk > SECTOR_BYTES) {
        this.#chunk = Math.max(SECTOR_BYTES, this.#asked >> 1)
        return false
      }
      this.#append(EMPTY)
      return true
    }
    this.#chunk = Math.min(CHUNK_BYTES, this.#chunk * 2)
    this.#append(answer.bytes)
    return true
  }

  clone(): Window {
    const copy = new Window()
    copy.#hold(this.bytes, this.start)
    copy.#file = this.#file
    copy.#end = this.#end
    copy.#chunk = this.#chunk
    copy.#asked = this.#asked
    return copy
  }

  /** At the end of a sector, so that one that cannot be read never costs what stands in the next: that may be the only proof of what it held. */
  #pieceEnd(at: number): number {
    const to = Math.min(at + this.#chunk, this.#end)
    if (to === this.#end && this.#chunk > SECTOR_BYTES) return to
    const whole = to - (to % SECTOR_BYTES)
    return whole > at ? whole : Math.min(this.#end, at - (at % SECTOR_BYTES) + SECTOR_BYTES)
  }

  /** A file that is shorter than it says ends in zeros. */
  #append(chunk: Uint8Array): void {
    if (this.bytes.length === 0 && chunk.length === this.#asked) {
      this.#hold(chunk, this.start)
      return
    }
    const joined = new Uint8Array(this.bytes.length + this.#asked)
    joined.set(this.bytes)
    joined.set(chunk.subarray(0, this.#asked), this.bytes.length)
    this.#hold(joined, this.start)
  }

  #hold(bytes: Uint8Array, start: number): void {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    this.start = start
  }
}

const EMPTY = new Uint8Array(0)
