//! How a byte stream is cut into messages.
//!
//!   stream  = frame*
//!   frame   = length u32 big-endian | payload of that many bytes
//!   payload = greeting (hello.ts) until both sides have greeted, then one message of core
//!
//! A frame of length 0 says only "I am here". Whoever changes this changes what even the greeting is wrapped in, so no
//! version could be told any more: the four bytes stay.

import { PAYLOAD_BYTES_MAX } from '@horus/core/message/client'
import { TransportError } from './errors.ts'

export const HEADER_BYTES = 4
/** Before the other side is known, it may not make us hold more than this. */
export const GREETING_BYTES_MAX = 4096
const CONTROL_BYTES_MAX = 1024 * 1024
/** A control frame of 1 MiB, or the largest payload with what surrounds it. */
export const FRAME_BYTES_MAX = PAYLOAD_BYTES_MAX + CONTROL_BYTES_MAX

/** A frame that came in pieces is gathered in a buffer that starts at this size: a claimed length costs no memory until the bytes are there. */
const GATHER_BYTES_FIRST = 256 * 1024
/** Bodies up to this size are copied behind each other, so that a batch of small frames is one write; larger ones go out as they are. */
const COPY_BYTES_MAX = 16 * 1024

/** Cuts chunks into frames. A frame that lies whole in its chunk is handed over as a view of it; only one that straddles chunks is copied. */
export class FrameReader {
  #limit: number
  readonly #frame: (payload: Uint8Array) => void
  readonly #header = new Uint8Array(HEADER_BYTES)
  #headerBytes = 0
  /** The frame being gathered: its length, what came so far, and the room for it. */
  #length = 0
  #gathered = 0
  #room: Uint8Array | undefined
  #stopped = false

  constructor(limit: number, frame: (payload: Uint8Array) => void) {
    this.#limit = limit
    this.#frame = frame
  }

  /** From the next frame on. */
  set limit(bytes: number) {
    this.#limit = bytes
  }

  /** No further frame is handed over, not even from the chunk at hand. */
  stop(): void {
    this.#stopped = true
    this.#room = undefined
  }

  /** Throws a TransportError with code `malformed` when a frame is longer than the limit, before any of it is kept. */
  push(chunk: Uint8Array): void {
    let at = 0
    while (at < chunk.length && !this.#stopped) {
      if (this.#room) {
        at = this.#gather(chunk, at)
        continue
      }
      if (this.#headerBytes > 0 || chunk.length - at < HEADER_BYTES) {
        at = this.#gatherHeader(chunk, at)
        continue
      }
      const length = this.#checked(((chunk[at]! << 24) | (chunk[at + 1]! << 16) | (chunk[at + 2]! << 8) | chunk[at + 3]!) >>> 0)
      at += HEADER_BYTES
      if (chunk.length - at >= length) {
        // A plain Uint8Array: on Node's Buffer, slice() would be a view and not a copy.
        this.#frame(new Uint8Array(chunk.buffer, chunk.byteOffset + at, length))
        at += length
      } else this.#begin(length)
    }
  }

  #gatherHeader(chunk: Uint8Array, at: number): number {
    while (at < chunk.length && this.#headerBytes < HEADER_BYTES) this.#header[this.#headerBytes++] = chunk[at++]!
    if (this.#headerBytes < HEADER_BYTES) return at
    const [a, b, c, d] = this.#header as unknown as readonly [number, number, number, number]
    this.#headerBytes = 0
    const length = this.#checked(((a << 24) | (b << 16) | (c << 8) | d) >>> 0)
    if (length > 0) this.#begin(length)
    else this.#frame(this.#header.subarray(0, 0))
    return at
  }

  #begin(length: number): void {
    this.#length = length
    this.#gathered = 0
    this.#room = new Uint8Array(Math.min(length, GATHER_BYTES_FIRST))
  }

  #gather(chunk: Uint8Array, at: number): number {
    const count = Math.min(this.#length - this.#gathered, chunk.length - at)
    let room = this.#room!
    if (this.#gathered + count > room.length) {
      room = new Uint8Array(Math.min(this.#length, Math.max(this.#gathered + count, 2 * room.length)))
      room.set(this.#room!.subarray(0, this.#gathered))
      this.#room = room
    }
    room.set(chunk.subarray(at, at + count), this.#gathered)
    this.#gathered += count
    if (this.#gathered === this.#length) {
      this.#room = undefined
      this.#frame(room)
    }
    return at + count
  }

  #checked(length: number): number {
    if (length > this.#limit) throw new TransportError('malformed', `a frame of ${length} bytes where ${this.#limit} are allowed`)
    return length
  }
}

/** Frames on their way out, gathered over a turn so that they leave in one write. */
export class FrameBatch {
  #bodies: Uint8Array[] = []
  /** What was added since the last `take`, headers included. */
  bytes = 0

  /** The body belongs to the batch until it has been written: who added it must not change it. */
  add(body: Uint8Array): void {
    this.#bodies.push(body)
    this.bytes += HEADER_BYTES + body.length
  }

  /** All frames as pieces to be written one behind the other; the batch is empty afterwards. */
  take(): Uint8Array[] {
    const bodies = this.#bodies
    this.#bodies = []
    this.bytes = 0
    const pieces: Uint8Array[] = []
    let from = 0
    while (from < bodies.length) from = joinRun(bodies, from, pieces)
    return pieces
  }
}

/** Copies the frames from `from` on into one piece, up to and with the header of the first large body, which follows as it is. */
function joinRun(bodies: readonly Uint8Array[], from: number, pieces: Uint8Array[]): number {
  let to = from
  let size = 0
  while (to < bodies.length && bodies[to]!.length <= COPY_BYTES_MAX) size += HEADER_BYTES + bodies[to++]!.length
  const large = bodies[to]
  const piece = Buffer.allocUnsafe(large ? size + HEADER_BYTES : size)
  let at = 0
  for (let i = from; i < to; i++) {
    const body = bodies[i]!
    at = writeLength(piece, at, body.length)
    piece.set(body, at)
    at += body.length
  }
  pieces.push(piece)
  if (!large) return to
  writeLength(piece, at, large.length)
  pieces.push(large)
  return to + 1
}

function writeLength(into: Uint8Array, at: number, length: number): number {
  into[at] = length >>> 24
  into[at + 1] = length >>> 16
  into[at + 2] = length >>> 8
  into[at + 3] = length
  return at + HEADER_BYTES
}
