//! The state of a machine as bytes, written and read in steps, so that neither ever holds the loop.
//!
//!   image := frame ...      frame := length u32 | items      an item never straddles two frames
//!
//! Where frames end follows from what is in them alone, so equal states give equal images, whatever the steps were. A reader
//! takes the bytes in any pieces, and lets each go as soon as it is read.
//!
//! A walk is a generator that yields, now and then, about how many small things it has done since: between two such places
//! whoever steps it may stop.

import { assert } from '../assert.ts'
import type { Freezer } from '../freeze.ts'
import { MalformedMessage, Reader, Writer } from './layout.ts'
import { readPacked } from './packed.ts'

/** Small, so that hardly any bytes wait for the rest of their frame. */
export const FRAME_BYTES = 2048
const LENGTH_BYTES = 4

export type Walk<T = void> = Generator<number, T, void>
/** What was frozen, as a walk that writes it. */
export type Frozen = (out: ImageWriter) => Walk

export class ImageWriter {
  readonly writer = new Writer(2 * FRAME_BYTES)
  #began = 0

  constructor() {
    this.writer.claim(LENGTH_BYTES)
  }

  /** Behind every item: only there may a frame end. The reader calls `item` before each. */
  endItem(): void {
    if (this.writer.at - this.#began >= FRAME_BYTES) this.#endFrame()
  }

  /** The frames that are complete, behind each other; with `all` also what waits for its frame. */
  take(all: boolean): Uint8Array<ArrayBuffer> {
    const { writer } = this
    if (all && writer.at - this.#began > LENGTH_BYTES) this.#endFrame()
    const taken = writer.bytes.slice(0, this.#began)
    const rest = writer.at - this.#began
    writer.bytes.copyWithin(0, this.#began, writer.at)
    writer.at = rest
    this.#began = 0
    return taken
  }

  #endFrame(): void {
    const { writer } = this
    writer.view.setUint32(this.#began, writer.at - this.#began - LENGTH_BYTES)
    this.#began = writer.at
    writer.claim(LENGTH_BYTES)
  }
}

/** A snapshot that is being written. */
export class Imaging {
  readonly #out = new ImageWriter()
  readonly #walk: Walk
  #freezer: Freezer | undefined

  /** `freezer` is held until the end. */
  constructor(frozen: Frozen, freezer: Freezer | undefined) {
    this.#freezer = freezer
    this.#walk = frozen(this.#out)
  }

  /** Does about so much; the next piece of the image, and whether it is the last. */
  step(work: number): { readonly piece: Uint8Array<ArrayBuffer>; readonly last: boolean } {
    const last = walked(this.#walk, work) !== undefined
    if (last) this.end()
    return { piece: this.#out.take(last), last }
  }

  /** Nobody wants the rest. */
  end(): void {
    this.#freezer?.release()
    this.#freezer = undefined
  }
}

/** The whole image at once: for what is small, and for tests. */
export function imageOf(imaging: Imaging): Uint8Array<ArrayBuffer> {
  return imaging.step(Infinity).piece
}

/** The image of a state that is so small that it is one item. */
export function smallImage(bytes: Uint8Array): Imaging {
  return new Imaging(function* (out): Walk {
    out.writer.raw(bytes)
    out.endItem()
  }, undefined)
}

/** What `smallImage` was made of. Throws MalformedMessage. */
export function readSmall(pieces: readonly Uint8Array[]): Uint8Array {
  const input = new ImageReader([...pieces])
  // A frame is never empty.
  if (input.left === 0) return NOTHING
  const reader = input.item()
  const bytes = reader.raw(reader.left)
  input.end()
  return bytes
}

export class ImageReader {
  readonly #pieces: (Uint8Array | undefined)[]
  #next = 0
  /** The piece being read, from `#at` on. */
  #piece: Uint8Array = NOTHING
  #at = 0
  /** Bytes of all frames that are not read yet, but for the one being read. */
  #behind: number
  #frame = new Reader(NOTHING)

  /** The pieces are this reader's from now on: each is let go when it has been read. */
  constructor(pieces: (Uint8Array | undefined)[]) {
    this.#pieces = pieces
    this.#behind = pieces.reduce((sum, piece) => sum + (piece?.length ?? 0), 0)
  }

  /** Where the next item begins; to be asked for before each. Throws MalformedMessage where nothing is left. */
  item(): Reader {
    while (this.#frame.left === 0) {
      const prefix = new Reader(this.#take(LENGTH_BYTES))
      this.#frame = new Reader(this.#take(prefix.u32()))
    }
    return this.#frame
  }

  /** A count of items that take at least `bytesEach` bytes: more than can follow is malformed before anything is allocated. */
  count(bytesEach: number): number {
    const count = readPacked(this.item())
    if (count * bytesEach > this.left) throw new MalformedMessage(`${count} items in ${this.left} bytes`)
    return count
  }

  get left(): number {
    return this.#frame.left + this.#behind
  }

  /** Throws MalformedMessage where something is left. */
  end(): void {
    if (this.left > 0) throw new MalformedMessage(`${this.left} bytes behind the image`)
  }

  /** A view where the bytes lie in one piece. */
  #take(count: number): Uint8Array {
    if (count > this.#behind) throw new MalformedMessage(`${count} bytes wanted, ${this.#behind} left`)
    this.#behind -= count
    if (this.#at + count <= this.#piece.length) return this.#view(count)
    const joined = new Uint8Array(count)
    for (let filled = 0; filled < count; ) {
      if (this.#at === this.#piece.length) this.#turnOver()
      const part = this.#view(Math.min(count - filled, this.#piece.length - this.#at))
      joined.set(part, filled)
      filled += part.length
    }
    return joined
  }

  #view(count: number): Uint8Array {
    const view = this.#piece.subarray(this.#at, this.#at + count)
    this.#at += count
    return view
  }

  #turnOver(): void {
    const piece = this.#pieces[this.#next]
    assert(piece !== undefined, 'the bytes that are left are in the pieces that are left')
    this.#pieces[this.#next++] = undefined
    this.#piece = piece
    this.#at = 0
  }
}

/** Steps a walk until about so much is done; its result once it has ended. `undefined` is not for a result. */
export function walked<T>(walk: Walk<T>, work: number): { readonly result: T } | undefined {
  for (let done = 0; done < work; ) {
    const next = walk.next()
    if (next.done) return { result: next.value }
    done += next.value
  }
  return undefined
}

const NOTHING = new Uint8Array(0)
