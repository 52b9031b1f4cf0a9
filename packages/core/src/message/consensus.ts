//! What the masters of one shard say to each other: Raft with PreVote, and the transfer of a snapshot.
//!
//! Every message names its shard, the sender's term, and both replica numbers: a copy that was lost and came back under a
//! new number never takes what was meant for the old one. Messages may be lost, doubled and reordered.

import { epoch, index, member, replica, shard, term, wallTime } from './fields.ts'
import { bool, bytes, f64, type Field, MalformedMessage, type MessageOf, optional, row, u53 } from './layout.ts'
import type { Term } from '../units.ts'

/** A follower stores at most this many entries out of one message; a sender stops there. */
export const ENTRIES_PER_APPEND_MAX = 16_384
/** Chunks of a snapshot are this long, but for the last; its hash is taken chunk by chunk. */
export const SNAPSHOT_CHUNK_BYTES = 256 * 1024

/** An entry on its way: its index follows from its place in the message. */
export interface SentEntry {
  readonly term: Term
  readonly bytes: Uint8Array
}

const header = { shard, term, from: replica, to: replica }

/** Up to the end of the message: term u53 | length u32 | bytes. Reading gives views. */
const entries: Field<readonly SentEntry[]> = {
  write(w, values) {
    if (values.length > ENTRIES_PER_APPEND_MAX) throw new RangeError(`${values.length} entries in one append`)
    for (const entry of values) {
      w.u53(entry.term)
      w.u32(entry.bytes.length)
      w.raw(entry.bytes)
    }
  },
  read(r) {
    const values: SentEntry[] = []
    while (r.left > 0) {
      if (values.length === ENTRIES_PER_APPEND_MAX) throw new MalformedMessage('too many entries in one append')
      const entryTerm = term.read(r)
      const length = r.u32()
      if (length < 17) throw new MalformedMessage('an entry that is shorter than its stamps')
      values.push({ term: entryTerm, bytes: r.raw(length) })
    }
    return values
  },
}

/** Would you vote for me in the term above mine? Changes nothing at whoever is asked (Raft thesis 9.6). */
export const preVote = row(0x20, 'preVote', { ...header, lastIndex: index, lastTerm: term })
/**
 * `asked` is the term that the vote would be for; `leader` is there where the answer is no because of it. `wall` in all answers is
 * the sender's wall clock.
 */
export const preVoteAnswer = row(0x21, 'preVoteAnswer', { ...header, asked: term, granted: bool, leader: optional(member), wall: wallTime })
/** `transfer`: the leader itself wants it, so nobody keeps to that leader. */
export const vote = row(0x22, 'vote', { ...header, lastIndex: index, lastTerm: term, transfer: bool })
export const voteAnswer = row(0x23, 'voteAnswer', { ...header, granted: bool, wall: wallTime })
/** Without entries it is heartbeat and probe. `round` rises within a term; its answer proves that the sender led when the round began. `wall` is the shard's wall clock. */
export const append = row(0x24, 'append', { ...header, round: u53, prevIndex: index, prevTerm: term, commit: index, wall: wallTime, entries })
/**
 * `match`: up to here the log agrees with the leader's and is durable. `reached`: up to here it agrees, durable or not; where
 * not `accepted`, the `prevIndex` that was refused, and then (`hintIndex`, `hintTerm`) is the newest entry that may agree.
 */
export const appendAnswer = row(0x25, 'appendAnswer', {
  ...header, round: u53, accepted: bool, match: index, reached: index, hintIndex: index, hintTerm: term, wall: wallTime, freeBytes: f64, suspect: bool,
})
/** A chunk of the snapshot of everything up to `index`. `leaseNow` and `wallNow` are at least those of its last entry. */
export const snapshot = row(0x26, 'snapshot', {
  ...header, round: u53, index, indexTerm: term, configuration: bytes(4096), leaseNow: f64, wallNow: f64, totalBytes: u53, hash: u53, offset: u53, chunk: bytes(SNAPSHOT_CHUNK_BYTES),
})
/** `offset`: the next byte that is wanted. */
export const snapshotAnswer = row(0x27, 'snapshotAnswer', { ...header, round: u53, index, offset: u53, wall: wallTime, freeBytes: f64 })
/** The leader hands over: stand for election at once, if your log agrees with mine through `lastIndex`, durable or not. */
export const timeoutNow = row(0x28, 'timeoutNow', { ...header, lastIndex: index })
/** The leader's committed configuration, of this epoch, is without you. */
export const removed = row(0x29, 'removed', { ...header, epoch })

export const consensusRows = [preVote, preVoteAnswer, vote, voteAnswer, append, appendAnswer, snapshot, snapshotAnswer, timeoutNow, removed] as const
export type ConsensusMessage = MessageOf<(typeof consensusRows)[number]>
export type PreVote = MessageOf<typeof preVote>
export type PreVoteAnswer = MessageOf<typeof preVoteAnswer>
export type Vote = MessageOf<typeof vote>
export type VoteAnswer = MessageOf<typeof voteAnswer>
export type Append = MessageOf<typeof append>
export type AppendAnswer = MessageOf<typeof appendAnswer>
export type SnapshotChunk = MessageOf<typeof snapshot>
export type SnapshotAnswer = MessageOf<typeof snapshotAnswer>
export type TimeoutNow = MessageOf<typeof timeoutNow>
export type Removed = MessageOf<typeof removed>
