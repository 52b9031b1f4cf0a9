//! What a copy claims by a message: a vote, an entry on its disk, that it leads. The disk must bear it out, so whoever receives a claim is
//! told first how far this node's journal is durable.

import type { Now } from '../actor.ts'
import type { Append, AppendAnswer, ConsensusMessage, SnapshotChunk } from '../message/consensus.ts'
import type { RepairMessage } from '../message/repair.ts'
import type { LogIndex, Term } from '../units.ts'
import type { ReplicaObservation } from './boundary.ts'

const CLAIMS: ReadonlySet<string> = new Set(['append', 'appendAnswer', 'vote', 'voteAnswer'])

export function isClaim(message: ConsensusMessage | RepairMessage): boolean {
  return CLAIMS.has(message.kind)
}

/** As a checker sees it; undefined for what claims neither a vote nor an entry. */
export function claimOf(message: ConsensusMessage | RepairMessage): ReplicaObservation | undefined {
  const { shard, from: replica } = message
  if (message.kind === 'vote') return { kind: 'claimed', shard, replica, term: message.term, vote: replica, match: 0 as LogIndex }
  if (message.kind === 'voteAnswer' && message.granted) return { kind: 'claimed', shard, replica, term: message.term, vote: message.to, match: 0 as LogIndex }
  if (message.kind === 'appendAnswer' && message.accepted && message.match > 0) return { kind: 'claimed', shard, replica, term: message.term, vote: undefined, match: message.match }
  return undefined
}

/**
 * A leader waits for a copy that this node has no more. Were it met by silence, it would wait for ever, since the node lives: told that
 * the copy is lost, it gives the node another one.
 */
export function goneAnswer({ shard, term, from, to: gone, round }: Append | SnapshotChunk, now: Now, freeBytes: number): AppendAnswer {
  return {
    kind: 'appendAnswer', shard, term, from: gone, to: from, round, accepted: false, suspect: true,
    match: 0 as LogIndex, reached: 0 as LogIndex, hintIndex: 0 as LogIndex, hintTerm: 0 as Term, wall: now.wall, freeBytes,
  }
}
