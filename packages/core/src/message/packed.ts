//! Whole numbers in as few bytes as they need: seven bits a byte, the lowest first, the top bit set on all but the last.
//! Only for snapshots: what a leader stamps or patches in place has a fixed width.

import { MalformedMessage, type Reader, type Writer } from './layout.ts'

/** A whole number from 0 to 2^53 - 1, in one to eight bytes. */
export function writePacked(writer: Writer, value: number): void {
  if (!(value >= 0 && value <= Number.MAX_SAFE_INTEGER)) throw new RangeError(`${value} is no whole number`)
  let left = value
  while (left >= 0x80) {
    writer.u8((left % 0x80) | 0x80)
    left = Math.floor(left / 0x80)
  }
  writer.u8(left)
}

export function readPacked(reader: Reader): number {
  let value = 0
  let scale = 1
  for (let i = 0; i < PACKED_BYTES_MAX; i++) {
    const byte = reader.u8()
    value += (byte & 0x7f) * scale
    if (byte < 0x80) {
      if (value > Number.MAX_SAFE_INTEGER) break
      return value
    }
    scale *= 0x80
  }
  throw new MalformedMessage('a whole number over 2^53')
}

/** A number above `before`, written as the distance to it: how rising numbers are written. */
export function readRising(reader: Reader, before: number): number {
  const value = before + readPacked(reader)
  if (value <= before || value > Number.MAX_SAFE_INTEGER) throw new MalformedMessage('numbers that do not rise')
  return value
}

/** A count of things that take at least `bytesEach` bytes: more than can follow is malformed before anything is allocated. */
export function readCount(reader: Reader, bytesEach = 1): number {
  const count = readPacked(reader)
  if (count * bytesEach > reader.left) throw new MalformedMessage(`${count} items in ${reader.left} bytes`)
  return count
}

/** Eight groups of seven bits hold 53 bits. */
const PACKED_BYTES_MAX = 8
