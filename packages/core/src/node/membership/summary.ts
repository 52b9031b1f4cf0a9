//! What a node knows by gossip, in short: members and hints in buckets, of each bucket a sum of hashes. Two nodes that compare
//! them send each other only the buckets that differ, which are few: nearly all news has come to both by gossip before.
//!
//!   sync{summary} ──▶ syncAnswer{what I know of the buckets that differ} ──▶ syncAnswer{and what I know of them}

import { hashOf } from '../../hash.ts'
import { type Buckets, type Member, type ShardHint, SYNC_BUCKETS } from '../../message/gossip.ts'
import type { NodeId, ShardId } from '../../units.ts'
import { isLive } from './roster.ts'

/** Of whom nobody believes that he lives, one node remembers longer than another: that is no difference. */
export function summaryOf(members: readonly Member[], hints: readonly ShardHint[]): Buckets {
  const summary = { members: new Array<number>(SYNC_BUCKETS).fill(0), hints: new Array<number>(SYNC_BUCKETS).fill(0) }
  for (const { node, incarnation, state } of members) if (isLive(state)) add(summary.members, bucketOfNode(node), hashOf(node, incarnation, state))
  for (const { shard, term, epoch, leader } of hints) add(summary.hints, bucketOfShard(shard), hashOf(shard, term, epoch, leader ?? ''))
  return summary
}

/** The numbers of the buckets in which the two differ. */
export function differing(a: Buckets, b: Buckets): Buckets {
  const among = (mine: readonly number[], theirs: readonly number[]): number[] => Array.from({ length: SYNC_BUCKETS }, (_, i) => i).filter((i) => mine[i] !== theirs[i])
  return { members: among(a.members, b.members), hints: among(a.hints, b.hints) }
}

/** A node's id is drawn, so any of its digits spreads. */
export function bucketOfNode(node: NodeId): number {
  return Number.parseInt(node.slice(0, 4), 16) % SYNC_BUCKETS
}

export function bucketOfShard(shard: ShardId): number {
  return shard % SYNC_BUCKETS
}

function add(sums: number[], bucket: number, hash: number): void {
  sums[bucket] = (sums[bucket]! + hash) % 0x1_0000_0000
}
