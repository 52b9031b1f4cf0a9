//! What is gathered goes to the disk in groups, one durable write at a time.
//!
//!   gather ─▶ queue ──turn, or the write before is answered──▶ group ──written──▶ durable(shard, ticket)
//!                        │ does not fit
//!                        └▶ obtain a file (rename a spare, else create) ─▶ write its opening ─▶ group
//!
//! While one write is under way the next group gathers by itself, so the slower the disk, the larger the groups. Every
//! group begins with a mark that says how much was flushed before it; after the last one a trailer says it too, so that
//! rot in that group can be told from a torn end.

import { assert, present } from '../assert.ts'
import type { DeviceAnswer, DeviceOutbox } from '../device.ts'
import type { Hash } from '../hash.ts'
import type { Random } from '../random.ts'
import type { Instant, ShardId } from '../units.ts'
import type { Cached } from './cache.ts'
import { NO_TICKET, releaseSnapshot, type Hosted } from './hosted.ts'
import { Framer, RECORD_HEADER_BYTES, RecordKind, recordBytes } from './record.ts'
import { ANCHOR_BYTES, encodeAnchor, encodeHead, segmentFile, spareFile, type SegmentHead } from './segment.ts'
import { type Segment, type Segments, SPARES_MAX } from './segments.ts'
import { encodeBounds } from './state.ts'

/** A group is one write; a larger one would keep what gathers behind it waiting, and its checks would hold the loop. */
export const GROUP_BYTES_MAX = 2 * 1024 * 1024
/** And no more records than this, so that framing one never holds the loop for long. */
export const GROUP_RECORDS_MAX = 16_384
/** The trailer must follow within 50 ms of the last group. */
export const TRAILER_AFTER_MS = 25

/** A record on its way to the disk. */
export interface Gathered {
  /** TICKET_ONLY where there is nothing to write. */
  readonly kind: RecordKind | typeof TICKET_ONLY
  readonly shard: Hosted
  readonly index: number
  readonly term: number
  readonly body: Uint8Array
  /** Reported when this record, the last of its input, is durable; NO_TICKET for the others. */
  readonly ticket: number
  /** The cached entry that may be given up afterwards. */
  cached: Cached | undefined
  /** Whether a snapshot is complete with this record. */
  readonly final: boolean
  /** Something gathered later has superseded it: it is still written, so that a ticket means what it says, but not found. */
  stale: boolean
  /** For a payload that is moved: the segment that it must still be found in; else 0. */
  readonly replaces: number
}

export const TICKET_ONLY = 0

export interface WriterOutbox extends DeviceOutbox {
  durable(shard: ShardId, ticket: number): void
}

type Step =
  | { readonly kind: 'idle' }
  /** The disk has no room for the next file: it is tried again. */
  | { readonly kind: 'full'; readonly segment: Segment; readonly head: SegmentHead }
  | { readonly kind: 'group' | 'trailer'; readonly request: number }
  | { readonly kind: 'obtain' | 'anchor' | 'open'; readonly request: number; readonly segment: Segment; readonly head: SegmentHead }

export class Writer {
  trailerAt = Infinity as Instant
  /** When a file for which the disk had no room is asked for again. */
  retryAt = Infinity as Instant
  /** Everything below is on the disk. */
  position = 0
  /** Why nothing more can be made durable. */
  failure: string | undefined
  readonly #segments: Segments
  readonly #segmentBytes: number
  readonly #random: Random
  readonly #request: () => number
  readonly #shards: ReadonlyMap<number, Hosted>
  #queue: Gathered[] = []
  #head = 0
  /** The records of the write that is under way. */
  #group: Gathered[] = []
  /** What the next opening carries over, after a start. */
  #carried: Gathered[] = []
  #step: Step = { kind: 'idle' }
  /** The opening under way is the first after a start. */
  #beginning = false
  #spare: { readonly request: number; readonly number: number } | undefined
  /** A full disk is asked for a spare file only once per segment. */
  #spareTried = false
  #nextNumber = 1
  #nextBase = 0

  constructor(segments: Segments, shards: ReadonlyMap<number, Hosted>, segmentBytes: number, random: Random, request: () => number) {
    this.#segments = segments
    this.#shards = shards
    this.#segmentBytes = segmentBytes
    this.#random = random
    this.#request = request
  }

  get idle(): boolean {
    return this.#step.kind === 'idle' && this.#head === this.#queue.length
  }

  /** Room that needs no new file. */
  get room(): number {
    const active = this.#segments.get(this.#segments.active)
    return (active ? endOf(active) - active.end : 0) + this.#segments.spares.length * this.#segmentBytes
  }

  /** Nothing becomes durable until the disk has room for another file. */
  get isStuck(): boolean {
    return this.#step.kind === 'full'
  }

  gather(record: Gathered): void {
    this.#queue.push(record)
    this.#segments.gathered++
  }

  /** Marks gathered records of a shard as superseded: log entries from `from` on, or with `all` whatever there is. */
  supersede(shard: Hosted, from: number, all: boolean): void {
    for (let i = this.#head; i < this.#queue.length; i++) {
      const record = this.#queue[i]!
      if (record.shard !== shard || !(all || (record.kind === RecordKind.entry && record.index >= from))) continue
      record.stale = true
      record.cached = undefined
    }
  }

  /** Opens the first segment after a start; what it carries is durable when `answer` says 'opened'. */
  begin(nextNumber: number, nextBase: number, carried: Gathered[], outbox: WriterOutbox): void {
    this.#nextNumber = nextNumber
    this.#nextBase = nextBase
    this.#carried = carried
    this.#beginning = true
    this.#roll(outbox)
  }

  /** Sends off what is gathered unless a write is under way. */
  advance(outbox: WriterOutbox): void {
    while (this.#step.kind === 'idle' && this.#head < this.#queue.length) {
      const active = present(this.#segments.get(this.#segments.active), 'a running journal has an active segment')
      const bytes = this.#choose(active)
      if (bytes > 0) this.#writeGroup(active, outbox)
      else if (this.#group.length > 0) this.#finishGroup(outbox)
      else this.#roll(outbox)
    }
  }

  /** Writes the trailer when it is due and nothing has come in between. */
  wake(now: Instant, outbox: WriterOutbox): void {
    if (this.#step.kind === 'full' && now >= this.retryAt) this.#obtain(this.#step.segment, this.#step.head, outbox)
    this.advance(outbox)
    if (now < this.trailerAt || this.#step.kind !== 'idle') return
    this.trailerAt = Infinity as Instant
    const active = present(this.#segments.get(this.#segments.active), 'a running journal has an active segment')
    const framer = new Framer(active.nonce, active.base, active.end, Framer.smallBytes(0))
    this.#mark(framer, active)
    this.#write('trailer', active, framer, outbox)
  }

  /** Whether the answer was this writer's; 'begun' when what `begin` carried is durable, 'opened' when another segment is. */
  answer(now: Instant, answer: DeviceAnswer, outbox: WriterOutbox): 'taken' | 'opened' | 'begun' | 'foreign' {
    const spare = this.#spare
    if (spare && answer.request === spare.request) {
      this.#spare = undefined
      if (answer.kind === 'created') this.#segments.spares.push(spare.number)
      return 'taken'
    }
    const step = this.#step
    if (step.kind === 'idle' || step.kind === 'full' || answer.request !== step.request) return 'foreign'
    if (answer.kind === 'error' && answer.error === 'full' && step.kind === 'obtain') {
      // Nothing was lost by it: whoever waits goes on waiting, as if this disk were slow.
      this.#step = { kind: 'full', segment: step.segment, head: step.head }
      this.retryAt = (now + FULL_RETRY_MS) as Instant
      return 'taken'
    }
    if (answer.kind === 'error') {
      this.failure = `the journal could not ${DOING[step.kind]}: ${answer.error}${answer.detail ? ` (${answer.detail})` : ''}`
      return 'taken'
    }
    this.#step = { kind: 'idle' }
    if (step.kind === 'obtain') {
      this.#writeAnchor(step.segment, step.head, outbox)
      return 'taken'
    }
    if (step.kind === 'anchor') {
      this.#writeOpening(step.segment, step.head, outbox)
      return 'taken'
    }
    if (step.kind === 'open') this.#opened(step.segment)
    const active = present(this.#segments.get(this.#segments.active), 'what was written is in the active segment')
    this.position = active.base + active.end
    this.#finishGroup(outbox)
    if (step.kind !== 'trailer') this.trailerAt = (now + TRAILER_AFTER_MS) as Instant
    if (this.#beginning) {
      this.#beginning = false
      return 'begun'
    }
    this.advance(outbox)
    return step.kind === 'open' ? 'opened' : 'taken'
  }

  clone(segments: Segments, shards: ReadonlyMap<number, Hosted>, twin: (shard: Hosted) => Hosted, cachedTwin: (cached: Cached) => Cached | undefined, random: Random, request: () => number): Writer {
    const copy = new Writer(segments, shards, this.#segmentBytes, random, request)
    const renew = (record: Gathered): Gathered => ({ ...record, shard: twin(record.shard), cached: record.cached && cachedTwin(record.cached) })
    copy.trailerAt = this.trailerAt
    copy.position = this.position
    copy.retryAt = this.retryAt
    copy.#queue = this.#queue.slice(this.#head).map(renew)
    copy.#group = this.#group.map(renew)
    copy.#carried = this.#carried.map(renew)
    copy.#step = 'segment' in this.#step ? { ...this.#step, segment: { ...this.#step.segment } } : this.#step
    copy.failure = this.failure
    copy.#beginning = this.#beginning
    copy.#spare = this.#spare
    copy.#spareTried = this.#spareTried
    copy.#nextNumber = this.#nextNumber
    copy.#nextBase = this.#nextBase
    return copy
  }

  mix(hash: Hash): void {
    hash.text(this.#step.kind).number(this.trailerAt).number(this.#nextNumber).number(this.#nextBase)
    for (let i = this.#head; i < this.#queue.length; i++) mixRecord(this.#queue[i]!, hash)
    for (const record of this.#group) mixRecord(record, hash)
  }

  /** Moves what fits from the queue to the group and returns its bytes on disk; 0 where the group takes none. */
  #choose(active: Segment): number {
    const room = endOf(active) - active.end - TRAILER_BYTES
    const most = Math.min(GROUP_BYTES_MAX, this.#segmentBytes >> 2)
    let bytes = 0
    while (this.#head < this.#queue.length && this.#group.length < GROUP_RECORDS_MAX) {
      const record = this.#queue[this.#head]!
      if (record.kind !== TICKET_ONLY) {
        const size = recordBytes(record.body.length) + (bytes === 0 ? TRAILER_BYTES : 0)
        if (bytes + size > room || (bytes > 0 && bytes + size > most)) break
        bytes += size
      }
      this.#group.push(record)
      this.#head++
    }
    if (this.#head === this.#queue.length) {
      this.#queue = []
      this.#head = 0
    } else if (this.#head > 1024 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    }
    return bytes
  }

  #writeGroup(active: Segment, outbox: WriterOutbox): void {
    let small = Framer.smallBytes(0)
    for (const record of this.#group) if (record.kind !== TICKET_ONLY) small += Framer.smallBytes(record.body.length)
    const framer = new Framer(active.nonce, active.base, active.end, small)
    this.#mark(framer, active)
    for (const record of this.#group) this.#frame(record, framer, active)
    this.#write('group', active, framer, outbox)
    this.trailerAt = Infinity as Instant
    if (active.end * 2 > active.size && this.#segments.spares.length === 0) this.#prepareSpare(outbox)
  }

  #write(kind: 'group' | 'trailer', active: Segment, framer: Framer, outbox: WriterOutbox): void {
    const request = this.#request()
    this.#step = { kind, request }
    outbox.device({ kind: 'write', request, file: segmentFile(active.number), at: active.end, pieces: framer.finish(), durable: true })
    active.end = framer.offset
  }

  /** Only one write is ever under way, so everything below a group's own position is flushed. */
  #mark(framer: Framer, active: Segment): void {
    framer.add(RecordKind.mark, 0, 0, active.base + framer.offset, 0, NOTHING)
  }

  #frame(record: Gathered, framer: Framer, segment: Segment): void {
    const { kind, shard } = record
    if (record.ticket !== NO_TICKET) shard.ticketUnderWay = record.ticket
    if (kind === TICKET_ONLY) return
    const offset = framer.add(kind, shard.id, shard.nextSequence(), record.index, record.term, record.body)
    if (kind === RecordKind.entry || kind === RecordKind.reset) shard.lastWritten = record.index
    if (kind === RecordKind.trim || kind === RecordKind.reset) shard.trimmedWritten = record.index
    if (!record.stale) this.#place(record, kind, segment.number, offset)
  }

  #place(record: Gathered, kind: RecordKind, segment: number, offset: number): void {
    const { shard, index } = record
    const length = record.body.length
    const use = this.#segments
    switch (kind) {
      case RecordKind.entry:
        use.need(segment, length)
        if (shard.tail.has(index)) {
          const before = shard.tail.segmentOf(index)
          shard.tail.place(index, segment, offset, length)
          if (before !== 0) use.free(before, length)
        } else shard.survivors.put(index, segment, offset, length, use)
        return
      case RecordKind.payload:
        if (record.replaces !== 0 && shard.survivors.find(index)?.segment !== record.replaces) return
        use.need(segment, length)
        shard.survivors.put(index, segment, offset, length, use)
        return
      case RecordKind.snapshot:
        releaseSnapshot(shard.unfinished, use)
        shard.unfinished = { index, term: record.term, segments: [] }
        this.#holdSnapshot(record, segment)
        return
      case RecordKind.chunk:
      case RecordKind.complete:
        this.#holdSnapshot(record, segment)
    }
  }

  #holdSnapshot(record: Gathered, segment: number): void {
    const shard = record.shard
    // After a start the last chunks of a complete snapshot may be carried without its first.
    const snapshot = present(shard.unfinished ?? shard.snapshot, 'a chunk belongs to a snapshot')
    if (!snapshot.segments.includes(segment)) {
      snapshot.segments.push(segment)
      this.#segments.need(segment, 0)
    }
    if (!record.final || !shard.unfinished) return
    releaseSnapshot(shard.finishing, this.#segments)
    shard.finishing = shard.unfinished
    shard.unfinished = undefined
  }

  #finishGroup(outbox: WriterOutbox): void {
    const group = this.#group
    this.#group = []
    this.#segments.flushed += group.length
    for (const record of group) {
      const shard = record.shard
      if (record.cached) record.cached.pinned = false
      if (record.final && shard.finishing) {
        releaseSnapshot(shard.snapshot, this.#segments)
        shard.snapshot = shard.finishing
        shard.finishing = undefined
      }
    }
    for (const { shard, ticket, kind } of group) {
      // A group of nothing but tickets is never framed, so they are still to be taken.
      if (kind === TICKET_ONLY && ticket > shard.ticketUnderWay) shard.ticketUnderWay = ticket
    }
    for (const { shard } of group) {
      if (shard.ticketUnderWay === NO_TICKET) continue
      if (!shard.dropped) outbox.durable(shard.id, shard.ticketUnderWay)
      shard.ticketUnderWay = NO_TICKET
    }
  }

  #roll(outbox: WriterOutbox): void {
    const segments = this.#segments
    const before = segments.get(segments.active)
    const number = this.#nextNumber++
    const head: SegmentHead = {
      number,
      base: this.#nextBase,
      size: this.#segmentBytes,
      nonce: { low: this.#random.u32(), high: this.#random.u32() },
      previous: before?.number ?? 0,
      previousEnd: before ? before.base + before.end : 0,
    }
    this.#nextBase += this.#segmentBytes
    this.trailerAt = Infinity as Instant
    const segment: Segment = { number, base: head.base, size: head.size, nonce: head.nonce, end: 0, needed: 0, neededBytes: 0, rewritten: false }
    this.#obtain(segment, head, outbox)
  }

  #obtain(segment: Segment, head: SegmentHead, outbox: WriterOutbox): void {
    const { number } = segment
    const request = this.#request()
    this.retryAt = Infinity as Instant
    this.#step = { kind: 'obtain', request, segment, head }
    const spare = this.#segments.spares.shift()
    if (spare !== undefined) outbox.device({ kind: 'rename', request, file: spareFile(spare), to: segmentFile(number) })
    else outbox.device({ kind: 'create', request, file: segmentFile(number), size: this.#segmentBytes })
  }

  /** At the end, ahead of the opening: whoever finds no anchor in a file knows that nothing was ever written to it. */
  #writeAnchor(segment: Segment, head: SegmentHead, outbox: WriterOutbox): void {
    const request = this.#request()
    this.#step = { kind: 'anchor', request, segment, head }
    outbox.device({ kind: 'write', request, file: segmentFile(segment.number), at: endOf(segment), pieces: [encodeAnchor(head)], durable: true })
  }

  #writeOpening(segment: Segment, head: SegmentHead, outbox: WriterOutbox): void {
    const headBody = encodeHead(head, this.#segments.ends())
    const hosted = [...this.#shards.values()].sort((a, b) => a.id - b.id)
    const bodies = hosted.map((shard) => encodeBounds(shard.bounds))
    let small = Framer.smallBytes(headBody.length) + Framer.smallBytes(0)
    for (const body of bodies) small += Framer.smallBytes(body.length)
    for (const record of this.#carried) small += Framer.smallBytes(record.body.length)
    const framer = new Framer(head.nonce, head.base, 0, small)
    framer.raw(encodeAnchor(head))
    framer.add(RecordKind.head, 0, 0, 0, 0, headBody)
    hosted.forEach((shard, i) => framer.add(RecordKind.state, shard.id, shard.nextSequence(), 0, 0, bodies[i]!))
    this.#segments.add(segment)
    for (const record of this.#carried) this.#frame(record, framer, segment)
    framer.add(RecordKind.opened, 0, 0, head.previousEnd, 0, NOTHING)
    assert(framer.offset <= endOf(segment) - TRAILER_BYTES, 'the opening of a segment fits it; the segment size is too small')
    this.#group = this.#carried
    this.#segments.gathered += this.#carried.length
    this.#carried = []
    const request = this.#request()
    this.#step = { kind: 'open', request, segment, head }
    outbox.device({ kind: 'write', request, file: segmentFile(segment.number), at: 0, pieces: framer.finish(), durable: true })
    segment.end = framer.offset
  }

  #opened(segment: Segment): void {
    const before = this.#segments.active
    this.#segments.active = segment.number
    this.#segments.reconsider(before)
    this.#spareTried = false
    const next = this.#queue[this.#head]
    assert(!next || next.kind === TICKET_ONLY || recordBytes(next.body.length) + 2 * TRAILER_BYTES <= endOf(segment) - segment.end, 'a record fits a segment; the segment size is too small')
  }

  /** Keeps what room there is as files of its own. */
  keepSpares(outbox: WriterOutbox): void {
    this.#spareTried = false
    if (this.#spare === undefined && this.#segments.spares.length < SPARES_MAX) this.#prepareSpare(outbox)
  }

  /** Makes the next file ahead of time, so that changing over costs a rename and one write. */
  #prepareSpare(outbox: WriterOutbox): void {
    if (this.#spareTried || this.#spare !== undefined) return
    this.#spareTried = true
    const spare = { request: this.#request(), number: this.#nextNumber++ }
    this.#spare = spare
    outbox.device({ kind: 'create', request: spare.request, file: spareFile(spare.number), size: this.#segmentBytes })
  }
}

/** Whether somebody has made room is asked this often. */
const FULL_RETRY_MS = 250
/** A mark; room for one is always left at the end of a segment. */
const TRAILER_BYTES = RECORD_HEADER_BYTES
const NOTHING = new Uint8Array(0)

/** Records end where the second anchor begins. */
function endOf(segment: Segment): number {
  return segment.size - ANCHOR_BYTES
}

const DOING = { group: 'write a group', trailer: 'write a trailer', obtain: 'make a segment', anchor: 'name a segment', open: 'open a segment' } as const

function mixRecord(record: Gathered, hash: Hash): void {
  hash.word(record.kind).number(record.shard.id).number(record.index).number(record.term).number(record.ticket).word(record.body.length)
}
