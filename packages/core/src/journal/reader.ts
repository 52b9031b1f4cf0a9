//! Brings entries back from the disk into the cache. A fetch reads one run of records, with what lies between them, and
//! ends with exactly one `loaded` or `unreadable`; whoever wants more asks again. Few reads are under way at once, the
//! other fetches wait in order.
//!
//!   wanted 7 8 9:   | 7 | of others | 8 9 |     one read; where that fails, of 7 alone

import { assert } from '../assert.ts'
import type { DeviceAnswer, DeviceOutbox } from '../device.ts'
import type { Hash } from '../hash.ts'
import type { LogIndex, ShardId, Term } from '../units.ts'
import type { Cache, JournalEntry } from './cache.ts'
import type { Hosted } from './hosted.ts'
import { RECORD_HEADER_BYTES, type RecordHeader, RecordKind, bodyHolds, headerHolds, readHeader, recordBytes } from './record.ts'
import { segmentFile } from './segment.ts'
import type { Segment, Segments } from './segments.ts'

export const READS_UNDER_WAY_MAX = 8
/** A single larger entry is read whole. */
export const READ_BYTES_MAX = 1024 * 1024
/** What lies between two entries, of other shards and up to the end of a sector, is read along: a read costs more than so many bytes of it. */
const GAP_BYTES_MAX = 64 * 1024
/** Callers are bounded by what they have under way; more than this is a caller that has lost count. */
export const FETCHES_WAITING_MAX = 65_536

export interface ReaderOutbox extends DeviceOutbox {
  /** The fetch that began at `from` has ended. */
  loaded(shard: ShardId, from: LogIndex): void
  unreadable(shard: ShardId, index: LogIndex, from: LogIndex): void
}

interface Fetch {
  readonly shard: Hosted
  readonly from: number
  readonly to: number
  readonly bytesMax: number
}

interface Read {
  readonly shard: Hosted
  /** Where the fetch began. */
  readonly from: number
  readonly first: number
  readonly segment: number
  readonly at: number
  /** Behind `at`, of `first` and of those that follow it. */
  readonly offsets: readonly number[]
}

export class Reader {
  readonly #segments: Segments
  readonly #cache: Cache
  readonly #request: () => number
  #waiting: Fetch[] = []
  #reads = new Map<number, Read>()

  constructor(segments: Segments, cache: Cache, request: () => number) {
    this.#segments = segments
    this.#cache = cache
    this.#request = request
  }

  fetch(shard: Hosted, from: number, to: number, bytesMax: number, outbox: ReaderOutbox): void {
    assert(this.#waiting.length < FETCHES_WAITING_MAX, 'fetches that wait are bounded by their callers')
    this.#waiting.push({ shard, from, to, bytesMax })
    this.#start(outbox)
  }

  /** Whether the answer was this reader's. */
  answer(answer: DeviceAnswer, outbox: ReaderOutbox): boolean {
    const read = this.#reads.get(answer.request)
    if (!read) return false
    this.#reads.delete(answer.request)
    // What cannot be read may be something else.
    if (answer.kind !== 'bytes' && read.offsets.length > 1) this.#waiting.unshift({ shard: read.shard, from: read.from, to: read.first, bytesMax: 1 })
    else if (!read.shard.dropped) {
      const bad = this.#take(read, answer)
      if (bad === undefined) outbox.loaded(read.shard.id, read.from as LogIndex)
      else outbox.unreadable(read.shard.id, bad as LogIndex, read.from as LogIndex)
    }
    this.#start(outbox)
    return true
  }

  clone(segments: Segments, cache: Cache, twin: (shard: Hosted) => Hosted, request: () => number): Reader {
    const copy = new Reader(segments, cache, request)
    copy.#waiting = this.#waiting.map((fetch) => ({ ...fetch, shard: twin(fetch.shard) }))
    for (const [key, read] of this.#reads) copy.#reads.set(key, { ...read, shard: twin(read.shard) })
    return copy
  }

  mix(hash: Hash): void {
    hash.number(this.#waiting.length).number(this.#reads.size)
    for (const [request, read] of this.#reads) hash.number(request).number(read.shard.id).number(read.first).number(read.offsets.length)
  }

  #start(outbox: ReaderOutbox): void {
    let taken = 0
    while (taken < this.#waiting.length && this.#reads.size < READS_UNDER_WAY_MAX) this.#begin(this.#waiting[taken++]!, outbox)
    if (taken > 0) this.#waiting.splice(0, taken)
  }

  #begin({ shard, from, to, bytesMax }: Fetch, outbox: ReaderOutbox): void {
    if (shard.dropped) return
    const first = firstMissing(shard, from, to)
    const place = first === undefined ? undefined : shard.find(first)
    if (first === undefined) {
      if (shard.entries.has(from)) outbox.loaded(shard.id, from as LogIndex)
      else outbox.unreadable(shard.id, from as LogIndex, from as LogIndex)
      return
    }
    if (!place) {
      outbox.unreadable(shard.id, first as LogIndex, from as LogIndex)
      return
    }
    // What is read together must stay in memory together, until whoever asked has taken it.
    const most = Math.min(bytesMax, READ_BYTES_MAX, this.#cache.bytesMax / 2)
    const offsets = [0]
    let end = recordBytes(place.length)
    for (let index = first + 1; index <= to; index++) {
      const next = shard.find(index)
      if (!next || shard.entries.has(index) || next.segment !== place.segment) break
      const offset = next.offset - place.offset
      if (offset < end || offset > end + GAP_BYTES_MAX || offset + recordBytes(next.length) > most) break
      offsets.push(offset)
      end = offset + recordBytes(next.length)
    }
    const request = this.#request()
    this.#reads.set(request, { shard, from, first, segment: place.segment, at: place.offset, offsets })
    outbox.device({ kind: 'read', request, file: segmentFile(place.segment), at: place.offset, length: end })
  }

  /** Caches what was read; the index of the first entry that is not intact, or undefined. */
  #take(read: Read, answer: DeviceAnswer): number | undefined {
    const segment = this.#segments.get(read.segment)
    if (answer.kind !== 'bytes' || !segment) return read.first
    const { bytes } = answer
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    const found: JournalEntry[] = []
    let bad: number | undefined
    let foundBytes = 0
    for (let i = 0; i < read.offsets.length && bad === undefined; i++) {
      const index = (read.first + i) as LogIndex
      const at = read.offsets[i]!
      const header = this.#headerOf(read, segment, view, bytes, at, index)
      if (header === undefined) bad = index
      const place = read.shard.find(index)
      // What was superseded, trimmed or moved while it was read is not cached.
      if (header === undefined || place?.segment !== read.segment || place.offset !== read.at + at || read.shard.entries.has(index)) continue
      found.push({ index, term: header.term as Term, bytes: bytes.subarray(at + RECORD_HEADER_BYTES, at + RECORD_HEADER_BYTES + header.length) })
      foundBytes += recordBytes(header.length)
    }
    // A view keeps all that was read in memory, and the cache counts what is in it alone.
    const isDense = foundBytes > bytes.length / 2
    for (const entry of found) this.#cache.put(read.shard.entries, isDense ? entry : { ...entry, bytes: entry.bytes.slice() }, false)
    return bad
  }

  /** The header of the intact record of that entry, or undefined. */
  #headerOf(read: Read, segment: Segment, view: DataView, bytes: Uint8Array, at: number, index: LogIndex): RecordHeader | undefined {
    if (at + RECORD_HEADER_BYTES > bytes.length || !headerHolds(bytes, view, at, segment.nonce, segment.base + read.at + at)) return undefined
    const header = readHeader(view, at)
    const isEntry = header.kind === RecordKind.entry || header.kind === RecordKind.payload
    if (!isEntry || header.shard !== read.shard.id || header.index !== index) return undefined
    return at + recordBytes(header.length) <= bytes.length && bodyHolds(bytes, view, at) ? header : undefined
  }
}

/** The first index from `from` to `to` that is on the disk but not in memory; `from` itself where it is nowhere. */
function firstMissing(shard: Hosted, from: number, to: number): number | undefined {
  for (let index = from; index <= to; index++) {
    if (shard.entries.has(index)) continue
    return index === from || shard.find(index) ? index : undefined
  }
  return undefined
}
