//! A few live payloads can hold a whole segment. When a new segment is begun, the sparsest of the closed ones is looked at;
//! what is still alive in it is read, piece by piece, and gathered again, and then the segment goes like any other. The old
//! place counts until the new one is flushed, so a crash in between costs nothing.

import type { DeviceAnswer, DeviceOutbox } from '../device.ts'
import type { Hash } from '../hash.ts'
import { NO_TICKET, type Hosted } from './hosted.ts'
import { RECORD_HEADER_BYTES, RecordKind, bodyHolds, headerHolds, readHeader, recordBytes } from './record.ts'
import { segmentFile } from './segment.ts'
import type { Segment, Segments } from './segments.ts'
import type { Writer } from './writer.ts'

/** Fewer closed segments than this are not worth the reading. */
export const REWRITE_FROM_SEGMENTS = 4
/** Sparse: less than this part of a segment is still needed. So each new segment brings at most a quarter of one along. */
export const SPARSE_PART = 1 / 4
/** One piece, so that moving never holds the loop nor the groups of others for long. */
export const MOVE_BYTES_MAX = 512 * 1024
/** Payloads looked at in one step, to see which of them are in the segment. */
const LOOK_MAX = 4096

interface Move {
  readonly shard: Hosted
  readonly index: number
  readonly offset: number
}

export class Rewriter {
  readonly #segments: Segments
  readonly #writer: Writer
  readonly #request: () => number
  #victim = 0
  /** Whose payloads are still to be looked at, the first of them from `#from` on. */
  #shards: Hosted[] = []
  #from = 0
  /** Found in the victim, by offset. */
  #moves: Move[] = []
  #read: { readonly request: number; readonly at: number; readonly moves: readonly Move[] } | undefined
  /** What was gathered with the piece before this is flushed first. */
  #after = 0

  constructor(segments: Segments, writer: Writer, request: () => number) {
    this.#segments = segments
    this.#writer = writer
    this.#request = request
  }

  /** Chooses a segment to empty, unless one is being emptied. */
  consider(shards: Iterable<Hosted>): void {
    if (this.#victim !== 0) return
    const sparsest = this.#sparsest()
    if (!sparsest) return
    sparsest.rewritten = true
    this.#victim = sparsest.number
    this.#shards = [...shards]
    this.#from = 0
  }

  /** Has payloads to look at, and nothing that it waits for. */
  get isLooking(): boolean {
    return this.#victim !== 0 && !this.#read && this.#segments.flushed >= this.#after
  }

  /** Looks for what is to be moved, or reads the next piece of it, once the one before is on the disk. */
  advance(outbox: DeviceOutbox): void {
    if (!this.isLooking) return
    this.#moves = this.#moves.filter((move) => this.#lives(move))
    if (this.#moves.length === 0) this.#look()
    const first = this.#moves[0]
    if (!first) {
      if (this.#shards.length === 0) this.#victim = 0
      return
    }
    let count = 0
    let end = first.offset
    for (const { shard, index, offset } of this.#moves) {
      const next = offset + recordBytes(shard.survivors.find(index)!.length)
      if (count > 0 && next - first.offset > MOVE_BYTES_MAX) break
      end = next
      count++
    }
    this.#read = { request: this.#request(), at: first.offset, moves: this.#moves.splice(0, count) }
    outbox.device({ kind: 'read', request: this.#read.request, file: segmentFile(this.#victim), at: first.offset, length: end - first.offset })
  }

  /** Whether the answer was this rewriter's. */
  answer(answer: DeviceAnswer): boolean {
    const read = this.#read
    if (!read || answer.request !== read.request) return false
    this.#read = undefined
    const segment = this.#segments.get(this.#victim)
    // What cannot be read stays where it is; whoever wants it will be told.
    if (answer.kind === 'bytes' && segment) for (const move of read.moves) this.#move(move, segment, answer.bytes, move.offset - read.at)
    this.#after = this.#segments.gathered
    return true
  }

  clone(segments: Segments, writer: Writer, twin: (shard: Hosted) => Hosted, request: () => number): Rewriter {
    const copy = new Rewriter(segments, writer, request)
    const renew = (move: Move): Move => ({ ...move, shard: twin(move.shard) })
    copy.#victim = this.#victim
    copy.#shards = this.#shards.map(twin)
    copy.#from = this.#from
    copy.#moves = this.#moves.map(renew)
    copy.#read = this.#read && { ...this.#read, moves: this.#read.moves.map(renew) }
    copy.#after = this.#after
    return copy
  }

  mix(hash: Hash): void {
    hash.number(this.#victim).number(this.#shards.length).number(this.#from).number(this.#moves.length).number(this.#read?.request ?? 0).number(this.#after)
  }

  #look(): void {
    const shard = this.#shards[0]
    if (shard === undefined) return
    const { indexes, next } = shard.dropped ? NOTHING_LEFT : shard.survivors.within(this.#victim, this.#from, LOOK_MAX)
    for (const index of indexes) this.#moves.push({ shard, index, offset: shard.survivors.find(index)!.offset })
    this.#moves.sort((a, b) => a.offset - b.offset)
    this.#from = next === Infinity ? 0 : next
    if (next === Infinity) this.#shards.shift()
  }

  #sparsest(): Segment | undefined {
    const closed = this.#segments.ordered().filter(({ number }) => number !== this.#segments.active)
    if (closed.length < REWRITE_FROM_SEGMENTS) return undefined
    const sparse = closed.filter(({ needed, neededBytes, size, rewritten }) => needed > 0 && !rewritten && neededBytes < size * SPARSE_PART)
    return sparse.reduce<Segment | undefined>((best, each) => (best && best.neededBytes <= each.neededBytes ? best : each), undefined)
  }

  #lives({ shard, index, offset }: Move): boolean {
    const place = shard.dropped ? undefined : shard.survivors.find(index)
    return place?.segment === this.#victim && place.offset === offset
  }

  #move(move: Move, segment: Segment, bytes: Uint8Array, at: number): void {
    const { shard, index } = move
    if (!this.#lives(move) || at + RECORD_HEADER_BYTES > bytes.length) return
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    if (!headerHolds(bytes, view, at, segment.nonce, segment.base + move.offset)) return
    const header = readHeader(view, at)
    if (header.index !== index || header.shard !== shard.id) return
    if (at + recordBytes(header.length) > bytes.length || !bodyHolds(bytes, view, at)) return
    const body = bytes.subarray(at + RECORD_HEADER_BYTES, at + RECORD_HEADER_BYTES + header.length)
    this.#writer.gather({
      kind: RecordKind.payload, shard, index, term: header.term, body, ticket: NO_TICKET, cached: undefined, final: false, stale: false, replaces: segment.number,
    })
  }
}

const NOTHING_LEFT = { indexes: [], next: Infinity } as const
