//! Who should hold a shard: the three highest of a rank that every node computes alike.
//!
//!   registry (shard 0)   rank = the drawn value itself: "three higher values mean slave, else master", literally
//!   shard k              rank = hash(value, k): rendezvous hashing, so that shards spread evenly over all nodes and a
//!                        node that comes or goes moves only what it gains or held
//!
//! Zones: three masters in three zones where zones allow. A node that names no zone is a zone of its own.

import { hashOf } from '../hash.ts'
import { MASTERS_MAX } from '../message/registry.ts'
import { type NodeId, REGISTRY_SHARD, type ShardId } from '../units.ts'

/** A node that may hold shards: admitted, eligible, and alive as far as is known. */
export interface Candidate {
  readonly node: NodeId
  readonly value: number
  readonly zone: string
}

export function rank(shard: ShardId, value: number): number {
  return shard === REGISTRY_SHARD ? value : hashOf(value, shard)
}

/** The candidates in the order in which they should hold the shard. */
export function ranked(shard: ShardId, candidates: readonly Candidate[]): readonly Candidate[] {
  const keyed = candidates.map((candidate) => ({ candidate, key: rank(shard, candidate.value) }))
  keyed.sort((a, b) => b.key - a.key || (a.candidate.node < b.candidate.node ? 1 : -1))
  return keyed.map(({ candidate }) => candidate)
}

/** Those who should hold the shard, at most `count`, the highest first. */
export function desiredMasters(shard: ShardId, candidates: readonly Candidate[], count = MASTERS_MAX): readonly NodeId[] {
  return fill([], ranked(shard, candidates), count).map((candidate) => candidate.node)
}

/** The one who should join those who stay; undefined where there is nobody. */
export function nextMaster(shard: ShardId, staying: readonly Candidate[], candidates: readonly Candidate[]): NodeId | undefined {
  const others = candidates.filter((candidate) => !staying.some((other) => other.node === candidate.node))
  return fill(staying, ranked(shard, others), staying.length + 1)[staying.length]?.node
}

/** First the highest of every zone that is not there yet, then whoever is highest. */
function fill(staying: readonly Candidate[], inOrder: readonly Candidate[], count: number): readonly Candidate[] {
  const chosen = [...staying]
  const zones = new Set(chosen.map(zoneOf))
  for (const candidate of inOrder) {
    if (chosen.length >= count || zones.has(zoneOf(candidate))) continue
    chosen.push(candidate)
    zones.add(zoneOf(candidate))
  }
  for (const candidate of inOrder) {
    if (chosen.length >= count) break
    if (!chosen.includes(candidate)) chosen.push(candidate)
  }
  return chosen
}

function zoneOf(candidate: Candidate): string {
  return candidate.zone === '' ? `node ${candidate.node}` : `zone ${candidate.zone}`
}
