//! What a job carries, as bytes: CBOR, which knows numbers, texts, dates, maps and byte strings. The cluster never reads them.

import { Encoder } from 'cbor-x'
import { PayloadTooLarge } from './errors.ts'

// No records and no shared structures, so that every payload can be read on its own; bytes are copied out of what was received.
const codec = new Encoder({ useRecords: false, mapsAsObjects: true, copyBuffers: true, tagUint8Array: false })
const STACK_LENGTH_MAX = 4000
const MESSAGE_LENGTH_MAX = 4000

/** Throws PayloadTooLarge above `bytesMax`. */
export function encodePayload(value: unknown, bytesMax: number): Uint8Array {
  const bytes = codec.encode(value)
  if (bytes.length > bytesMax) throw new PayloadTooLarge('PayloadTooLarge', `a payload of ${bytes.length} bytes: at most ${bytesMax} are allowed`)
  return bytes
}

export function decodePayload(bytes: Uint8Array): unknown {
  return bytes.length === 0 ? undefined : (codec.decode(bytes) as unknown)
}

/** What is kept of a thrown value. */
export interface StoredError {
  readonly name: string
  readonly message: string
  readonly stack?: string
}

export function encodeError(thrown: unknown): Uint8Array {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown))
  const stored: StoredError = {
    name: error.name, message: error.message.slice(0, MESSAGE_LENGTH_MAX),
    ...(error.stack === undefined ? {} : { stack: error.stack.slice(0, STACK_LENGTH_MAX) }),
  }
  return codec.encode(stored)
}

/** The bytes may come from a worker in another language: what has no message gets one. */
export function decodeError(bytes: Uint8Array): StoredError {
  let value: unknown
  try {
    value = decodePayload(bytes)
  } catch {
    // The cluster's own words about a lost lease, or an error that was too long and was cut.
    value = new TextDecoder().decode(bytes)
  }
  if (typeof value !== 'object' || value === null) return { name: 'Error', message: String(value) }
  const { name, message, stack } = value as Record<string, unknown>
  return { name: typeof name === 'string' ? name : 'Error', message: typeof message === 'string' ? message : JSON.stringify(value), ...(typeof stack === 'string' ? { stack } : {}) }
}
