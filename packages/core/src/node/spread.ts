//! Leaders spread over nodes: where a node leads at least two shards more than another master of one of them, it hands that
//! one over. Every node decides about its own shards only, from what gossip says of the others.

import type { ShardHint } from '../message/gossip.ts'
import type { NodeId, ShardId } from '../units.ts'

export interface LedShard {
  readonly shard: ShardId
  /** Masters that are alive and caught up, this node included. */
  readonly ready: readonly NodeId[]
}

/** How many shards each node leads, as far as gossip tells. */
export function leadsOf(hints: readonly ShardHint[]): Map<NodeId, number> {
  const counts = new Map<NodeId, number>()
  for (const { leader } of hints) if (leader !== undefined) counts.set(leader, (counts.get(leader) ?? 0) + 1)
  return counts
}

/** The shard to hand over, and to whom; undefined where counts differ by at most one as far as masters allow. */
export function leadToHandOver(self: NodeId, led: readonly LedShard[], hints: readonly ShardHint[]): { readonly shard: ShardId; readonly to: NodeId } | undefined {
  const counts = leadsOf(hints)
  let best: { readonly shard: ShardId; readonly to: NodeId; readonly count: number } | undefined
  for (const { shard, ready } of led) {
    for (const node of ready) {
      const count = counts.get(node) ?? 0
      if (node !== self && count + 2 <= led.length && (best === undefined || count < best.count)) best = { shard, to: node, count }
    }
  }
  return best && { shard: best.shard, to: best.to }
}
