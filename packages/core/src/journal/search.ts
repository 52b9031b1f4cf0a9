//! Finding the next record after a hole: every record begins at a multiple of four, and its check binds the segment's
//! nonce and its own position, so nothing that lies in a body or was left over in a recycled file can pass for one.

import { RECORD_ALIGNMENT, RECORD_HEADER_BYTES, headerHolds, mayBeHeader, type Nonce } from './record.ts'
import type { Window } from './window.ts'

/** `at` is where the record begins, where to go on once more bytes are there, or the limit. */
export interface SearchResult {
  readonly kind: 'found' | 'more' | 'none'
  readonly at: number
}

/** The first record header at `from` or behind it, below `limit`. */
export function nextHeader(window: Window, from: number, limit: number, nonce: Nonce, base: number): SearchResult {
  const { bytes, view, start } = window
  const held = Math.min(start + bytes.length, limit) - RECORD_HEADER_BYTES
  let at = from
  while (at <= held) {
    const local = at - start
    if (mayBeHeader(bytes, local)) {
      if (headerHolds(bytes, view, local, nonce, base + at)) return { kind: 'found', at }
      at += RECORD_ALIGNMENT
    } else at += zerosAt(bytes, local) || RECORD_ALIGNMENT
  }
  return at + RECORD_HEADER_BYTES > limit ? { kind: 'none', at: limit } : { kind: 'more', at }
}

const WORDS_SKIPPED = 8
const BYTES_SKIPPED = 4 * WORDS_SKIPPED

/**
 * How far a row of zeros goes on from `at`, in whole steps, or 0: the unwritten rest of a segment is nothing else. No record begins
 * in them but where fewer are left than a header holds before its kind, which is not zero.
 */
function zerosAt(bytes: Uint8Array, at: number): number {
  const from = bytes.byteOffset + at
  if (at % BYTES_SKIPPED !== 0 || bytes[at] !== 0 || from % 4 !== 0 || at + BYTES_SKIPPED > bytes.length) return 0
  const words = new Uint32Array(bytes.buffer, from, (bytes.length - at) >> 2)
  let word = 0
  for (; word + WORDS_SKIPPED <= words.length; word += WORDS_SKIPPED) {
    const bits = words[word]! | words[word + 1]! | words[word + 2]! | words[word + 3]! | words[word + 4]! | words[word + 5]! | words[word + 6]! | words[word + 7]!
    if (bits !== 0) break
  }
  return Math.max(0, 4 * word - BYTES_SKIPPED)
}
