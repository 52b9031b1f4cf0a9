//! What only a leader has: what it knows of the others, what was proposed in this turn, the reads that wait for a round.

import type { Hash } from '../hash.ts'
import type { Instant, LogIndex } from '../units.ts'
import type { LogRecord, Peer } from './boundary.ts'
import { heardAgeMax, type Progress } from './progress.ts'
import { age, wait } from './relative.ts'
import type { LeaderRest } from './rest.ts'
import type { MasterSettings } from './settings.ts'

/** Rounds whose beginning is remembered: an answer to an older one proves nothing that is still of use. */
const ROUNDS_KEPT = 256

/** Hands the lead over: wait until `to` was sent everything, then tell it to stand. */
export interface Transfer {
  readonly to: Peer
  /** From here on nothing is proposed any more, so that `to` comes to the end of the log. */
  readonly closedFrom: Instant
  readonly until: Instant
  /** It was told to stand; what is proposed after that would cost it the election. */
  asked: boolean
  /** It was told once more when all was durable there: the first time may have come before the entries. */
  confirmed: boolean
}

export class Leadership {
  peers: Progress[] = []
  /** The first entry of this term: only once it is committed are reads, changes and earlier terms' entries safe. */
  firstOfTerm = 0 as LogIndex
  /** Proposed in this turn, not yet given to the journal or to anyone. */
  gathered: LogRecord[] = []
  gatheredBytes = 0
  /** The batch that is being given out just now: the journal does not have it yet. */
  fresh: readonly LogRecord[] = []
  freshBytes = 0
  /** The last entry that was given to the journal. */
  shipped = 0 as LogIndex
  round = 0
  #roundBegan = new Float64Array(ROUNDS_KEPT)
  /** Reads: ids, and for those that have one, the index and the round that must be answered. */
  readonly reads = { ids: [] as number[], indexes: [] as number[], rounds: [] as number[] }
  heartbeatAt: Instant
  /** After a gap in the own loop the quorum gets until then to be heard. */
  graceUntil: Instant
  transfer: Transfer | undefined
  /** Since when there has been nothing to do, the log ending there. */
  calm: { readonly index: LogIndex; readonly since: Instant } | undefined
  rest: LeaderRest | undefined
  /** Batches that are not committed: last index and bytes of each. */
  readonly uncommitted = { lasts: [] as number[], bytes: [] as number[], total: 0 }

  constructor(now: Instant) {
    this.heartbeatAt = now
    this.graceUntil = now
  }

  beginRound(now: Instant): number {
    this.round++
    this.#roundBegan[this.round % ROUNDS_KEPT] = now
    return this.round
  }

  /** When a round began; undefined for one too long ago. */
  roundBegan(round: number): Instant | undefined {
    if (round < 1 || round > this.round || round <= this.round - ROUNDS_KEPT) return undefined
    return this.#roundBegan[round % ROUNDS_KEPT] as Instant
  }

  peer(of: Peer): Progress | undefined {
    for (const peer of this.peers) if (peer.replica === of.replica && peer.node === of.node) return peer
    return undefined
  }

  clone(): Leadership {
    const copy = new Leadership(this.heartbeatAt)
    copy.peers = this.peers.map((peer) => peer.clone())
    copy.firstOfTerm = this.firstOfTerm
    copy.gathered = this.gathered.slice()
    copy.gatheredBytes = this.gatheredBytes
    copy.fresh = this.fresh
    copy.freshBytes = this.freshBytes
    copy.shipped = this.shipped
    copy.round = this.round
    copy.#roundBegan = this.#roundBegan.slice()
    copy.reads.ids.push(...this.reads.ids)
    copy.reads.indexes.push(...this.reads.indexes)
    copy.reads.rounds.push(...this.reads.rounds)
    copy.graceUntil = this.graceUntil
    copy.transfer = this.transfer && { ...this.transfer }
    copy.calm = this.calm
    copy.rest = this.rest && { ...this.rest }
    copy.uncommitted.lasts.push(...this.uncommitted.lasts)
    copy.uncommitted.bytes.push(...this.uncommitted.bytes)
    copy.uncommitted.total = this.uncommitted.total
    return copy
  }

  mix(hash: Hash, now: Instant, settings: MasterSettings): void {
    for (const peer of this.peers) peer.mix(hash, now, settings)
    hash.number(this.firstOfTerm).number(this.shipped).number(this.gathered.length).number(this.round)
    for (const { index, term, bytes } of this.gathered) hash.number(index).number(term).bytes(bytes)
    for (let round = Math.max(1, this.round - ROUNDS_KEPT + 1); round <= this.round; round++) hash.number(age(this.roundBegan(round)!, now, heardAgeMax(settings)))
    hash.number(wait(this.heartbeatAt, now)).number(wait(this.graceUntil, now))
    const { ids, indexes, rounds } = this.reads
    for (let i = 0; i < ids.length; i++) hash.number(ids[i]!).number(indexes[i] ?? -1).number(rounds[i] ?? -1)
    if (this.transfer) hash.word(this.transfer.to.replica).number(wait(this.transfer.until, now)).number(wait(this.transfer.closedFrom, now)).word((this.transfer.asked ? 1 : 0) | (this.transfer.confirmed ? 2 : 0))
    if (this.calm) hash.number(this.calm.index).number(age(this.calm.since, now, settings.restAfterMs))
    if (this.rest) hash.number(age(this.rest.askedAt, now, settings.electionMs)).number(this.rest.awakeFrom ?? -1)
    const { lasts, bytes } = this.uncommitted
    for (let i = 0; i < lasts.length; i++) hash.number(lasts[i]!).number(bytes[i]!)
  }
}
