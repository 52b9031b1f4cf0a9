//! Finding the next record after a hole: every record begins at a multiple of four, and its check binds the segment's
//! nonce and its own position, so nothing that lies in a body or was left over in a recycled file can pass for one.

import { RECORD_ALIGNMENT, RECORD_HEADER_BYTES, headerHolds, type Nonce } from './record.ts'
import type { Window } from './window.ts'

/** `at` is where the record begins, where to go on once more bytes are there, or the limit. */
export interface SearchResult {
  readonly kind: 'found' | 'more' | 'none'
  readonly at: number
}

/** The first record header at `from` or behind it, below `limit`. */
export function nextHeader(window: Window, from: number, limit: number, nonce: Nonce, base: number): SearchResult {
  const { bytes, view } = window
  const held = Math.min(window.start + bytes.length, limit) - RECORD_HEADER_BYTES
  let at = from
  for (; at <= held; at += RECORD_ALIGNMENT) {
    if (headerHolds(bytes, view, window.local(at), nonce, base + at)) return { kind: 'found', at }
  }
  return at + RECORD_HEADER_BYTES > limit ? { kind: 'none', at: limit } : { kind: 'more', at }
}
