//! The files of a journal and how each begins.
//!
//!   journal-00000007        ┌ anchor ┬ head ┬ state ┬ state ┬ … carried … ┬ opened ┬ mark ┬ entry ┬ … ┬ anchor ┐
//!   journal-spare-00000003  └ 512 B ─┴───────────── the opening ──────────┴─────── groups ────────────┴─ 512 B ┘
//!
//! The anchors and the head say the same in three places, the last far from the others and written before them, so that no
//! single fault ever hides a whole segment, nor makes it look like one that was never opened. An
//! opening counts only when its `opened` record is there; until then the segment before it is the last. After a start
//! the opening also carries the records that nothing had yet proven to be on the disk.
//!
//! How to change the format: raise FORMAT_VERSION, keep magic, CRC and version of the anchor where they are, and read
//! the older versions on; a segment of a newer version is refused untouched.

import { crc32 } from '../crc32.ts'
import { readWhole, writeWhole, type Nonce } from './record.ts'

export const FORMAT_VERSION = 1
export const ANCHOR_BYTES = 512

export interface SegmentHead {
  readonly number: number
  /** The position of the segment's first byte. */
  readonly base: number
  readonly size: number
  readonly nonce: Nonce
  /** The segment that was written before this one, 0 for none, and the position at which its records end. */
  readonly previous: number
  readonly previousEnd: number
}

/** A segment that still stood when a head was written, and the offset at which its records end. */
export interface SegmentEnd {
  readonly number: number
  readonly end: number
}

export function segmentFile(number: number): string {
  return `journal-${String(number).padStart(8, '0')}`
}

export function spareFile(number: number): string {
  return `journal-spare-${String(number).padStart(8, '0')}`
}

/** Which file of a journal a name is, or undefined for somebody else's. */
export function parseFile(name: string): { readonly kind: 'segment' | 'spare'; readonly number: number } | undefined {
  const parts = /^journal-(spare-)?(\d{8,10})$/.exec(name)
  return parts ? { kind: parts[1] ? 'spare' : 'segment', number: Number(parts[2]) } : undefined
}

export function encodeAnchor(head: SegmentHead): Uint8Array {
  const bytes = new Uint8Array(ANCHOR_BYTES)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < MAGIC.length; i++) bytes[i] = MAGIC[i]!
  writeHead(view, ANCHOR_HEAD_AT, head)
  view.setUint32(ANCHOR_CRC_AT, crc32(bytes, ANCHOR_HEAD_AT), true)
  return bytes
}

/** The version and, where this program knows it, the head; undefined where there is no intact anchor. */
export function decodeAnchor(bytes: Uint8Array, view: DataView): { readonly version: number; readonly head: SegmentHead } | undefined {
  if (bytes.length < ANCHOR_BYTES) return undefined
  for (let i = 0; i < MAGIC.length; i++) if (bytes[i] !== MAGIC[i]) return undefined
  if (view.getUint32(ANCHOR_CRC_AT, true) !== crc32(bytes, ANCHOR_HEAD_AT, ANCHOR_BYTES)) return undefined
  return { version: view.getUint32(ANCHOR_HEAD_AT, true), head: readHead(view, ANCHOR_HEAD_AT) }
}

export function encodeHead(head: SegmentHead, ends: readonly SegmentEnd[]): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES + ends.length * END_BYTES)
  const view = new DataView(bytes.buffer)
  writeHead(view, 0, head)
  ends.forEach((each, i) => {
    view.setUint32(HEAD_BYTES + i * END_BYTES, each.number, true)
    view.setUint32(HEAD_BYTES + i * END_BYTES + 4, each.end, true)
  })
  return bytes
}

/** The head whose body begins at `at`; the caller has checked, or is about to check, that its record holds. */
export function decodeHead(view: DataView, at: number): { readonly version: number; readonly head: SegmentHead } {
  return { version: view.getUint32(at, true), head: readHead(view, at) }
}

export function decodeEnds(view: DataView, at: number, length: number): readonly SegmentEnd[] {
  const ends: SegmentEnd[] = []
  for (let i = HEAD_BYTES; i + END_BYTES <= length; i += END_BYTES) {
    ends.push({ number: view.getUint32(at + i, true), end: view.getUint32(at + i + 4, true) })
  }
  return ends
}

export const HEAD_BYTES = 48
const END_BYTES = 8
const ANCHOR_CRC_AT = 8
const ANCHOR_HEAD_AT = 16
const MAGIC = [0x48, 0x6f, 0x72, 0x75, 0x73, 0x4a, 0x6e, 0x6c] as const

function writeHead(view: DataView, at: number, head: SegmentHead): void {
  view.setUint32(at, FORMAT_VERSION, true)
  view.setUint32(at + 4, head.number, true)
  writeWhole(view, at + 8, head.base)
  writeWhole(view, at + 16, head.size)
  view.setUint32(at + 24, head.nonce.low, true)
  view.setUint32(at + 28, head.nonce.high, true)
  writeWhole(view, at + 32, head.previousEnd)
  view.setUint32(at + 40, head.previous, true)
}

function readHead(view: DataView, at: number): SegmentHead {
  return {
    number: view.getUint32(at + 4, true),
    base: readWhole(view, at + 8),
    size: readWhole(view, at + 16),
    nonce: { low: view.getUint32(at + 24, true), high: view.getUint32(at + 28, true) },
    previousEnd: readWhole(view, at + 32),
    previous: view.getUint32(at + 40, true),
  }
}
