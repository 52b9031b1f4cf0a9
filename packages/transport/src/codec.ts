//! Rare control values (the greeting, and whatever is too rare to deserve a byte layout of its own) as CBOR.

import { Encoder } from 'cbor-x'
import { TransportError } from './errors.ts'
import { scan } from './scan.ts'

// No records and no shared structures: one message must never change how the next is read. Byte strings are copied, so
// that a small value does not keep a whole socket chunk alive.
const codec = new Encoder({ useRecords: false, mapsAsObjects: true, copyBuffers: true, tagUint8Array: false, variableMapSize: true })

export function encodeControl(value: unknown): Uint8Array {
  return codec.encode(value)
}

/** The value is of any shape: whoever asks validates it. Throws a TransportError with code `malformed`. */
export function decodeControl(bytes: Uint8Array): unknown {
  scan(bytes)
  try {
    return codec.decode(bytes) as unknown
  } catch (error) {
    throw new TransportError('malformed', `refused CBOR: ${(error as Error).message}`)
  }
}
