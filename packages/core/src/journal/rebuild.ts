//! From records back to shards. Records come in the order in which they were written; what is lost in a hole is noticed
//! by the shard's next sequence number, and by what is missing in the end.
//!
//! A shard is proven intact across a hole when its next record follows the last one before it, or when everything that
//! still counts was written behind the hole: hard state, snapshot and the log after it. A copy once found suspect stays
//! so, by a flag in every opening, until its master gives it another number.

import type { ShardId, Term, LogIndex } from '../units.ts'
import { FIRST_SEQUENCE, Hosted, NO_TICKET, sequenceAfter } from './hosted.ts'
import { RecordKind, type RecordHeader } from './record.ts'
import { decodeBounds, decodeComplete, decodeHardState, type HardState } from './state.ts'
import type { SegmentUse } from './tail.ts'
import type { Gathered } from './writer.ts'

export interface RecoveredSnapshot {
  readonly index: LogIndex
  readonly term: Term
  readonly configuration: Uint8Array
  /** The books, cut as they were written: for whoever restores them, who takes them out. */
  readonly pieces: Uint8Array[]
}

/** From `index` on, up to the next run, entries are of `term`. */
export interface TermRun {
  readonly index: LogIndex
  readonly term: Term
}

export interface RecoveredShard {
  readonly shard: ShardId
  readonly hardState: HardState | undefined
  readonly snapshot: RecoveredSnapshot | undefined
  /** The log behind the snapshot; `last` is `first - 1` when it is empty. */
  readonly first: LogIndex
  readonly last: LogIndex
  readonly terms: readonly TermRun[]
  /** Not proven to be what it acknowledged: it counts as wiped. */
  readonly suspect: boolean
}

/** Where a record stands. */
export interface Place {
  readonly segment: number
  readonly offset: number
  readonly position: number
}

interface Assembly {
  readonly index: number
  readonly term: number
  readonly at: number
  readonly configuration: Uint8Array
  readonly chunks: Uint8Array[]
  readonly segments: number[]
  received: number
}

interface Carried {
  readonly record: Gathered
  readonly place: Place
  readonly snapshot: Assembly | undefined
}

class Rebuilt {
  readonly hosted: Hosted
  runs: { index: number; term: number }[] = []
  /** The log's last index as the records tell it, whether or not all its entries were found. */
  last = 0
  sequenceKnown = false
  /** A hole lies behind its newest record. */
  doubtful = false
  /** Records in front of the one now being read were swallowed. */
  gap = false
  /** The position of the newest hole that is not proven harmless, -1 for none. */
  doubtAt = -1
  stateAt = -1
  /** The newest snapshot's index as the newest opening tells it, -1 for none. */
  snapshotTold = -1
  complete: Assembly | undefined
  partial: Assembly | undefined
  /** Entries whose bodies are damaged. */
  rotten: { readonly index: number; readonly place: Place }[] = []

  constructor(id: ShardId) {
    this.hosted = new Hosted(id)
  }

  termAt(index: number): number | undefined {
    return this.runs.findLast((run) => run.index <= index)?.term
  }
}

export class Rebuild {
  /** A hole may have held shards of which nothing else is known. */
  get doubt(): boolean {
    return this.#holeSinceOpening
  }
  #shards = new Map<number, Rebuilt>()
  #carried: Carried[] = []
  /** The sequence of each shard that has records since the last mark, as it was there: the next opening goes on from it. */
  #sequenceAtMark = new Map<number, number>()
  #lastHole = -1
  #holeSinceOpening = false
  /** The shards that the opening now being read has listed; undefined where it has a hole. */
  #listed: Set<number> | undefined

  /** `continuous` where the segment before this one was read just before. */
  beginSegment(continuous: boolean): void {
    this.mark()
    this.#listed = undefined
    if (continuous) return
    this.#holeSinceOpening = false
    for (const shard of this.#shards.values()) {
      if (shard.doubtful) shard.doubtAt = Math.max(shard.doubtAt, this.#lastHole)
      shard.doubtful = false
      shard.sequenceKnown = false
    }
  }

  /** Something unreadable, of any shard, begins at this position. */
  hole(position: number): void {
    this.#lastHole = position
    this.#holeSinceOpening = true
    this.#listed = undefined
    for (const shard of this.#shards.values()) shard.doubtful = true
  }

  /** Everything below is on the disk: what came before need not be carried. */
  mark(): void {
    this.#carried = []
    this.#sequenceAtMark.clear()
  }

  /** An intact record. `body` is only lent. */
  apply(header: RecordHeader, body: Uint8Array, place: Place, mayCarry: boolean): void {
    switch (header.kind) {
      case RecordKind.head:
        this.#listed = new Set()
        return
      case RecordKind.opened:
        this.#closeOpening()
        return
      case RecordKind.mark:
        this.mark()
        return
    }
    const shard = this.#shardOf(header, place)
    let snapshot: Assembly | undefined
    switch (header.kind) {
      case RecordKind.state:
        this.#bounds(shard, body, place)
        return
      case RecordKind.trim:
        trim(shard, header.index)
        return
      case RecordKind.hardState:
        hardState(shard, body, place)
        return
      case RecordKind.drop:
        this.#shards.delete(header.shard)
        this.#carried = this.#carried.filter(({ record }) => record.shard !== shard.hosted)
        return
      case RecordKind.entry:
        entry(shard, header, place)
        break
      case RecordKind.payload:
        shard.hosted.survivors.put(header.index, place.segment, place.offset, header.length, UNCOUNTED)
        break
      case RecordKind.snapshot:
        snapshot = beginSnapshot(shard, header, body, place)
        break
      case RecordKind.chunk:
        snapshot = chunk(shard, header, body, place)
        break
      case RecordKind.complete:
        snapshot = endSnapshot(shard, header, body, place)
        break
      case RecordKind.reset:
        reset(shard, header)
        break
    }
    if (mayCarry) this.#carry(shard, header, body, place, snapshot)
  }

  /** A record whose header holds and whose body does not. */
  applyRotten(header: RecordHeader, place: Place): void {
    if (header.kind === RecordKind.head || header.kind === RecordKind.opened || header.kind === RecordKind.mark) {
      this.hole(place.position)
      return
    }
    if (header.kind === RecordKind.state) this.#listed?.add(header.shard)
    const shard = this.#shardOf(header, place)
    if (header.kind === RecordKind.entry) {
      entry(shard, header, place)
      shard.rotten.push({ index: header.index, place })
    } else if (header.kind === RecordKind.payload) {
      shard.hosted.survivors.put(header.index, place.segment, place.offset, header.length, UNCOUNTED)
    } else if (isOfSnapshot(header.kind)) {
      const index = header.kind === RecordKind.snapshot ? header.index : (shard.partial?.index ?? 0)
      shard.snapshotTold = Math.max(shard.snapshotTold, index)
      shard.partial = undefined
    } else shard.doubtAt = place.position
  }

  /** The shards, what the next opening is to carry, and what to tell the replica. Claims the segments that are needed. */
  finish(use: SegmentUse, baseOf: (segment: number) => number): { readonly shards: Map<number, Hosted>; readonly carried: Gathered[]; readonly recovered: readonly RecoveredShard[] } {
    const shards = new Map<number, Hosted>()
    const recovered: RecoveredShard[] = []
    for (const id of [...this.#shards.keys()].sort((a, b) => a - b)) {
      const shard = this.#shards.get(id)!
      if (shard.doubtful) shard.doubtAt = Math.max(shard.doubtAt, this.#lastHole)
      shard.hosted.sequence = this.#sequenceAtMark.get(id) ?? shard.hosted.sequence
      recovered.push(settle(shard, baseOf))
      shard.hosted.tail.claim(use)
      shard.hosted.survivors.claim(use)
      for (const segment of shard.hosted.snapshot?.segments ?? []) use.need(segment, 0)
      shards.set(id, shard.hosted)
    }
    const carried = this.#carried.filter((each) => this.#stillCounts(each)).map(({ record }) => record)
    return { shards, carried, recovered }
  }

  #stillCounts({ record, place, snapshot }: Carried): boolean {
    const shard = this.#shards.get(record.shard.id)
    if (shard?.hosted !== record.shard) return false
    if (snapshot) return snapshot === shard.complete
    if (record.kind === RecordKind.reset) return true
    const found = record.shard.find(record.index)
    return found?.segment === place.segment && found.offset === place.offset
  }

  #shardOf(header: RecordHeader, place: Place): Rebuilt {
    let shard = this.#shards.get(header.shard)
    if (!this.#sequenceAtMark.has(header.shard)) this.#sequenceAtMark.set(header.shard, shard?.hosted.sequence ?? 0)
    if (!shard || header.sequence === FIRST_SEQUENCE) {
      shard = new Rebuilt(header.shard as ShardId)
      this.#shards.set(header.shard, shard)
      if (this.#holeSinceOpening && header.sequence !== FIRST_SEQUENCE) shard.doubtAt = this.#lastHole
    }
    shard.gap = shard.sequenceKnown && header.sequence !== sequenceAfter(shard.hosted.sequence)
    if (shard.gap) {
      shard.doubtAt = shard.doubtful ? Math.max(shard.doubtAt, this.#lastHole) : place.position - 1
    }
    shard.hosted.sequence = header.sequence
    shard.sequenceKnown = true
    shard.doubtful = false
    return shard
  }

  #bounds(shard: Rebuilt, body: Uint8Array, place: Place): void {
    this.#listed?.add(shard.hosted.id)
    const bounds = decodeBounds(body)
    if (!bounds) {
      shard.doubtAt = place.position
      return
    }
    const { tail, survivors } = shard.hosted
    shard.hosted.hardState = bounds.hardState
    shard.stateAt = place.position
    shard.snapshotTold = bounds.snapshotIndex ?? -1
    // Another one than told was superseded in a segment that is gone, or belongs to a copy that was dropped there.
    if (shard.complete?.index !== bounds.snapshotIndex) shard.complete = undefined
    shard.last = bounds.last
    tail.truncate(bounds.last + 1, UNCOUNTED)
    // Payloads that came with a snapshot may lie above a log whose reset is yet to come.
    survivors.truncate(Math.max(bounds.last, bounds.snapshotIndex ?? 0) + 1, UNCOUNTED)
    trim(shard, bounds.trimmed)
    shard.hosted.suspect = bounds.suspect
    // From here on the flag stands for the doubt that raised it.
    if (bounds.suspect) shard.doubtAt = -1
  }

  /** An intact opening lists every shard: one that it does not list is dropped. */
  #closeOpening(): void {
    if (this.#listed) {
      for (const id of [...this.#shards.keys()]) if (!this.#listed.has(id)) this.#shards.delete(id)
      this.#holeSinceOpening = false
    }
    this.#listed = undefined
  }

  #carry(shard: Rebuilt, header: RecordHeader, body: Uint8Array, place: Place, snapshot: Assembly | undefined): void {
    if (isOfSnapshot(header.kind) && !snapshot) return
    const record: Gathered = {
      kind: header.kind as RecordKind,
      shard: shard.hosted,
      index: header.index,
      term: header.term,
      body: body.slice(),
      ticket: NO_TICKET,
      cached: undefined,
      final: header.kind === RecordKind.complete,
      stale: false,
      replaces: 0,
    }
    this.#carried.push({ record, place, snapshot })
  }
}

/** The counts are taken once, when all is known. */
const UNCOUNTED: SegmentUse = { need() {}, free() {} }

const isOfSnapshot = (kind: number): boolean => kind === RecordKind.snapshot || kind === RecordKind.chunk || kind === RecordKind.complete

function hardState(shard: Rebuilt, body: Uint8Array, place: Place): void {
  const state = decodeHardState(body)
  if (!state) {
    shard.doubtAt = place.position
    return
  }
  const before = shard.hosted.hardState
  // Where a hole lies in between, the copy of this number may have begun before it.
  if (before && before.self !== state.self && !shard.gap) shard.doubtAt = -1
  shard.hosted.setHardState(state)
  shard.stateAt = place.position
}

function entry(shard: Rebuilt, header: RecordHeader, place: Place): void {
  const { index, term } = header
  const { tail, survivors } = shard.hosted
  if (index <= Math.max(shard.last, tail.last)) {
    survivors.truncate(index, UNCOUNTED)
    if (index < tail.first) tail.restart(index - 1, UNCOUNTED)
    else tail.truncate(index, UNCOUNTED)
  }
  if (index !== tail.last + 1) {
    // The entries between were trimmed, or lost; which of the two shows in the end.
    moveToSurvivors(shard, tail.last)
    tail.restart(index - 1, UNCOUNTED)
  }
  tail.push()
  tail.place(index, place.segment, place.offset, header.length)
  while (shard.runs.length > 0 && shard.runs.at(-1)!.index >= index) shard.runs.pop()
  if (shard.runs.at(-1)?.term !== term) shard.runs.push({ index, term })
  shard.last = index
}

/** Takes the log up to `through` out of the tail; a payload record of the same index is the better one. */
function moveToSurvivors(shard: Rebuilt, through: number): void {
  const { tail, survivors } = shard.hosted
  while (tail.size > 0 && tail.first <= through) {
    const found = tail.find(tail.first)!
    if (!survivors.has(tail.first)) survivors.put(tail.first, found.segment, found.offset, found.length, UNCOUNTED)
    tail.shift(UNCOUNTED)
  }
}

function trim(shard: Rebuilt, through: number): void {
  const { tail } = shard.hosted
  moveToSurvivors(shard, through)
  if (tail.size === 0 && tail.last < through) tail.restart(through, UNCOUNTED)
}

function reset(shard: Rebuilt, header: RecordHeader): void {
  const { index, term } = header
  shard.hosted.tail.restart(index, UNCOUNTED)
  while (shard.runs.length > 0 && shard.runs.at(-1)!.index >= index) shard.runs.pop()
  shard.runs.push({ index, term })
  shard.last = index
}

function beginSnapshot(shard: Rebuilt, header: RecordHeader, body: Uint8Array, place: Place): Assembly {
  const { index, term } = header
  return (shard.partial = { index, term, at: place.position, configuration: body.slice(), chunks: [], segments: [place.segment], received: 0 })
}

function chunk(shard: Rebuilt, header: RecordHeader, body: Uint8Array, place: Place): Assembly | undefined {
  const partial = partialAt(shard, header.index, place)
  if (partial === undefined) return undefined
  partial.chunks.push(body.slice())
  partial.received += body.length
  return partial
}

/** Pieces are of one size: a snapshot that was given up may go on with the later pieces of the next one, where the beginning of that is lost. */
function endSnapshot(shard: Rebuilt, header: RecordHeader, body: Uint8Array, place: Place): Assembly | undefined {
  const partial = partialAt(shard, header.index, place)
  shard.partial = undefined
  if (partial === undefined || decodeComplete(body) !== partial.index) return undefined
  return (shard.complete = partial)
}

/** The snapshot begun last, where everything before this place of it has come; else it is given up. */
function partialAt(shard: Rebuilt, received: number, place: Place): Assembly | undefined {
  const { partial } = shard
  if (partial?.received !== received) return (shard.partial = undefined)
  if (!partial.segments.includes(place.segment)) partial.segments.push(place.segment)
  return partial
}

/** Brings a shard's log and snapshot together and decides whether the copy can be trusted. */
function settle(shard: Rebuilt, baseOf: (segment: number) => number): RecoveredShard {
  const { hosted, complete } = shard
  const { tail, survivors } = hosted
  const behind = complete?.index ?? 0
  if (complete && tail.has(behind) && shard.termAt(behind) !== complete.term) {
    // The snapshot was installed over a log that is not its own, and the reset behind it did not reach the disk.
    tail.truncate(behind + 1, UNCOUNTED)
    survivors.truncate(behind + 1, UNCOUNTED)
    shard.last = behind
  }
  moveToSurvivors(shard, behind)
  if (tail.size === 0) tail.restart(behind, UNCOUNTED)
  const wanted = Math.max(shard.last, behind)
  let broken = shard.snapshotTold > (complete?.index ?? -1)
  if (tail.first !== behind + 1) joinFromSurvivors(shard, behind)
  if (tail.last !== wanted) broken = true
  const whole = !broken && proven(shard, behind, baseOf) && !shard.rotten.some(({ index, place }) => isAt(hosted, index, place) && !hosted.survivors.has(index))
  hosted.suspect ||= !whole
  hosted.lastWritten = tail.last
  hosted.trimmedWritten = behind
  hosted.snapshot = complete && { index: complete.index, term: complete.term, segments: complete.segments }
  return {
    shard: hosted.id,
    hardState: hosted.hardState,
    snapshot: complete && {
      index: complete.index as LogIndex,
      term: complete.term as Term,
      configuration: complete.configuration,
      pieces: complete.chunks,
    },
    first: tail.first as LogIndex,
    last: tail.last as LogIndex,
    terms: runsOf(shard),
    suspect: hosted.suspect,
  }
}

/** Makes the log begin right behind the snapshot, with what the survivors hold; what does not join on is cut. */
function joinFromSurvivors(shard: Rebuilt, behind: number): void {
  const { tail, survivors } = shard.hosted
  const kept = tail.clone()
  tail.restart(behind, UNCOUNTED)
  for (let index = behind + 1; ; index++) {
    const found = survivors.find(index) ?? kept.find(index)
    if (!found) break
    tail.push()
    tail.place(index, found.segment, found.offset, found.length)
    survivors.remove(index, UNCOUNTED)
  }
  survivors.truncate(behind + 1, UNCOUNTED)
}

function proven(shard: Rebuilt, behind: number, baseOf: (segment: number) => number): boolean {
  if (shard.doubtAt < 0) return true
  const { tail } = shard.hosted
  if (shard.stateAt < shard.doubtAt) return false
  if (!shard.complete || shard.complete.at < shard.doubtAt) return false
  const first = tail.find(behind + 1)
  return !first || baseOf(first.segment) + first.offset > shard.doubtAt
}

/** A damaged entry counts while the log still needs it, and nothing was written in its place; a payload can be fetched from a peer. */
function isAt(hosted: Hosted, index: number, place: Place): boolean {
  const found = hosted.tail.find(index)
  return found?.segment === place.segment && found.offset === place.offset
}

function runsOf(shard: Rebuilt): readonly TermRun[] {
  const { first, last } = shard.hosted.tail
  const runs: TermRun[] = []
  if (last < first) return runs
  for (const run of shard.runs) {
    if (run.index > last) break
    if (run.index <= first) runs.length = 0
    runs.push({ index: Math.max(run.index, first) as LogIndex, term: run.term as Term })
  }
  return runs
}
