//! What a copy claims by a message: a vote, an entry on its disk, that it leads. The disk must bear it out, so whoever receives a claim is
//! told first how far this node's journal is durable.

import type { ConsensusMessage } from '../message/consensus.ts'
import type { RepairMessage } from '../message/repair.ts'
import type { LogIndex } from '../units.ts'
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
