//! What a leader knows of one other copy, and how much it may send it.
//!
//!   replicate ── refused ──▶ probe ── accepted ──▶ replicate      entries flow, up to a window, without waiting
//!        └── behind the first index ──▶ snapshot ──┘              probe: only empty appends, until a place is found
//!                                                                 at which both logs agree

import type { Hash } from '../hash.ts'
import type { Instant, LogIndex, NodeId, ReplicaNumber, WallTime } from '../units.ts'
import type { Peer } from './boundary.ts'
import { age } from './relative.ts'
import type { MasterSettings } from './settings.ts'
import type { SnapshotSending } from './snapshot.ts'

export type Stage = 'probe' | 'replicate' | 'snapshot'

export class Progress implements Peer {
  readonly replica: ReplicaNumber
  readonly node: NodeId
  learner: boolean
  stage: Stage = 'replicate'
  /** Durable there, and the same as here. Only ever rises within a term. */
  match = 0 as LogIndex
  /** The round of the answer that raised `match`. */
  matchRound = 0
  next: LogIndex
  /** The newest round that was answered, and when that round began. */
  round = 0
  heardAt: Instant
  /** When the last message came, of whatever kind. */
  activeAt: Instant
  /** Refusals of appends of an earlier round are about what was sent before the last step back. */
  resetRound = 0
  /** An entry that is wanted next is being read from the disk. */
  loading = false
  /** It says of itself, or was found, to be below what it acknowledged. Nothing of it counts. */
  suspect = false
  freeBytes = Infinity
  /** Its wall clock, and when that reading came. */
  wall = 0 as WallTime
  wallAt = -Infinity as Instant
  sending: SnapshotSending | undefined
  /** The last index and the bytes of each append that is not answered yet. */
  #lasts: number[] = []
  #bytes: number[] = []
  #bytesInFlight = 0

  constructor(peer: Peer, learner: boolean, next: LogIndex, now: Instant) {
    this.replica = peer.replica
    this.node = peer.node
    this.learner = learner
    this.next = next
    // A new leader gives everybody one election time-out to be heard.
    this.heardAt = now
    this.activeAt = -Infinity as Instant
  }

  isFull(settings: MasterSettings): boolean {
    return this.#lasts.length >= settings.inFlightMax || this.#bytesInFlight >= settings.inFlightBytesMax
  }

  sent(last: LogIndex, bytes: number): void {
    this.next = (last + 1) as LogIndex
    this.#lasts.push(last)
    this.#bytes.push(bytes)
    this.#bytesInFlight += bytes
  }

  /** Everything up to `match` is durable there. Whether that is news. */
  acknowledged(match: LogIndex, round: number): boolean {
    if (match <= this.match) return false
    this.match = match
    this.matchRound = round
    let count = 0
    while (count < this.#lasts.length && this.#lasts[count]! <= match) this.#bytesInFlight -= this.#bytes[count++]!
    this.#lasts.splice(0, count)
    this.#bytes.splice(0, count)
    return true
  }

  /** What was under way counts as lost: sending goes on at `next`. */
  restart(stage: Stage, next: LogIndex): void {
    this.stage = stage
    this.next = next
    this.loading = false
    this.#lasts = []
    this.#bytes = []
    this.#bytesInFlight = 0
    if (stage !== 'snapshot') this.sending = undefined
  }

  distrust(): void {
    this.suspect = true
    this.match = 0 as LogIndex
  }

  clone(): Progress {
    const copy = new Progress(this, this.learner, this.next, this.heardAt)
    copy.stage = this.stage
    copy.match = this.match
    copy.matchRound = this.matchRound
    copy.round = this.round
    copy.activeAt = this.activeAt
    copy.resetRound = this.resetRound
    copy.loading = this.loading
    copy.suspect = this.suspect
    copy.freeBytes = this.freeBytes
    copy.wall = this.wall
    copy.wallAt = this.wallAt
    copy.sending = this.sending?.clone()
    copy.#lasts = this.#lasts.slice()
    copy.#bytes = this.#bytes.slice()
    copy.#bytesInFlight = this.#bytesInFlight
    return copy
  }

  mix(hash: Hash, now: Instant, settings: MasterSettings): void {
    hash.word(this.replica).word((this.learner ? 1 : 0) | (this.loading ? 2 : 0) | (this.suspect ? 4 : 0)).text(this.stage)
    hash.number(this.match).number(this.matchRound).number(this.next).number(this.round).number(this.resetRound)
    hash.number(age(this.heardAt, now, heardAgeMax(settings))).number(age(this.activeAt, now, settings.electionMs))
    hash.number(this.freeBytes).number(this.wall).number(age(this.wallAt, now, READING_AGE * settings.electionMs))
    for (let i = 0; i < this.#lasts.length; i++) hash.number(this.#lasts[i]!).number(this.#bytes[i]!)
    this.sending?.mix(hash, now)
  }
}

/** A reading of a peer's clock older than this many election time-outs says too little. */
export const READING_AGE = 10

/** Nothing asks whether a peer was heard longer ago than this. */
export function heardAgeMax(settings: MasterSettings): number {
  return Math.max(settings.electionMs, settings.leaseStallMs)
}
