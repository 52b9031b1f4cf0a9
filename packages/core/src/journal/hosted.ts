//! A shard as the journal sees it: its hard state, the places of its entries, its newest snapshot.

import type { Hash } from '../hash.ts'
import type { ShardId } from '../units.ts'
import type { CachedEntries } from './cache.ts'
import { encodeHardState, type HardState, type ShardBounds } from './state.ts'
import { Survivors } from './survivors.ts'
import { Tail, type Location, type SegmentUse } from './tail.ts'

/** A snapshot whose records are partly or wholly written, and the segments that hold them (one claim each). */
export interface WrittenSnapshot {
  readonly index: number
  readonly term: number
  readonly segments: number[]
}

export class Hosted {
  readonly id: ShardId
  tail = new Tail()
  survivors = new Survivors()
  entries: CachedEntries = new Map()
  /** The newest that was handed in, durable or not: an opening may tell it early, never late. */
  hardState: HardState | undefined
  /** The last index of the log as its records on disk tell it; `tail.last` may be ahead, or behind after a conflict. */
  lastWritten = 0
  /** Up to where the log is trimmed, as the records on disk tell it. */
  trimmedWritten = 0
  /** Counts the records written for this shard. */
  sequence = 0
  suspect = false
  /** Durable. */
  snapshot: WrittenSnapshot | undefined
  /** Begun and not ended: so many of its bytes were handed in. */
  gathering: { readonly index: number; readonly term: number; bytes: number } | undefined
  /** Its first records are written. */
  unfinished: WrittenSnapshot | undefined
  /** Its last record is in the group that is under way. */
  finishing: WrittenSnapshot | undefined
  dropped = false
  /** The highest ticket in the group that is under way, NO_TICKET for none. */
  ticketUnderWay = NO_TICKET
  ticketGathered = NO_TICKET

  constructor(id: ShardId) {
    this.id = id
  }

  nextSequence(): number {
    this.sequence = sequenceAfter(this.sequence)
    return this.sequence
  }

  find(index: number): Location | undefined {
    return this.survivors.find(index) ?? this.tail.find(index)
  }

  get bounds(): ShardBounds {
    return { hardState: this.hardState, last: this.lastWritten, trimmed: this.trimmedWritten, snapshotIndex: this.snapshot?.index, suspect: this.suspect }
  }

  setHardState(state: HardState): void {
    // Under another number the copy starts anew: whatever the old one acknowledged counts no more.
    if (this.suspect && this.hardState?.self !== state.self) this.suspect = false
    this.hardState = state
  }

  releaseAll(use: SegmentUse): void {
    this.tail.restart(this.tail.last, use)
    this.survivors.truncate(0, use)
    for (const each of [this.snapshot, this.unfinished, this.finishing]) releaseSnapshot(each, use)
    this.snapshot = this.unfinished = this.finishing = undefined
  }

  /** All but the cached entries, which the cache copies. */
  clone(): Hosted {
    const copy = new Hosted(this.id)
    copy.tail = this.tail.clone()
    copy.survivors = this.survivors.clone()
    copy.hardState = this.hardState
    copy.lastWritten = this.lastWritten
    copy.trimmedWritten = this.trimmedWritten
    copy.sequence = this.sequence
    copy.suspect = this.suspect
    copy.snapshot = cloneSnapshot(this.snapshot)
    copy.gathering = this.gathering && { ...this.gathering }
    copy.unfinished = cloneSnapshot(this.unfinished)
    copy.finishing = cloneSnapshot(this.finishing)
    copy.dropped = this.dropped
    copy.ticketUnderWay = this.ticketUnderWay
    copy.ticketGathered = this.ticketGathered
    return copy
  }

  mix(hash: Hash): void {
    hash.number(this.id).number(this.lastWritten).number(this.trimmedWritten).number(this.sequence).word(this.suspect ? 1 : 0)
    hash.number(this.snapshot?.index ?? -1).number(this.gathering?.bytes ?? -1).number(this.ticketUnderWay).number(this.ticketGathered)
    if (this.hardState) hash.bytes(encodeHardState(this.hardState))
    this.tail.mix(hash)
    this.survivors.mix(hash)
  }
}

export const NO_TICKET = -1
/** Belongs to the first record of a shard only: whoever reads it knows that an earlier copy was dropped. */
export const FIRST_SEQUENCE = 1

/** Sequence numbers go round, past the one that is the first. */
export function sequenceAfter(sequence: number): number {
  return sequence === 0xffff_ffff ? FIRST_SEQUENCE + 1 : sequence + 1
}

export function releaseSnapshot(snapshot: WrittenSnapshot | undefined, use: SegmentUse): void {
  if (snapshot) for (const segment of snapshot.segments) use.free(segment, 0)
}

function cloneSnapshot(snapshot: WrittenSnapshot | undefined): WrittenSnapshot | undefined {
  return snapshot && { ...snapshot, segments: [...snapshot.segments] }
}
