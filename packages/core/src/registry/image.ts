//! The registry's state as bytes: what a snapshot of shard 0 is, and what a node that follows is given first.
//! How to change it: raise FORMAT, keep reading the old one.

import { joined } from '../bytes.ts'
import { cluster, index, name, node, address, partition, shard } from '../message/fields.ts'
import { bytes, encode, type Field, list, MalformedMessage, optional, Reader, record, u32, u53, u8, type ValueOf } from '../message/layout.ts'
import { MASTERS_MAX, type NodeRecord, nodeRecord, PARTITIONS_MAX, SETTINGS_BYTES_MAX } from '../message/registry.ts'
import type { Address, ClusterId, LogIndex, NodeId, PartitionId, ShardId } from '../units.ts'

/** 2: which nodes are draining, and which are struck, behind all else. 3: what was wished of each node, behind that. 4: which shards were recovered, and which nodes are destroyed. 5: since when topics have their settings, in their order. */
const FORMAT = 5
const FORMAT_OLDEST = 1

const founder = record({ node, address })
/** Its partitions are numbered from `firstPartition` on, like no other topic's; `shards` are in their order; `settings` are `topicSettings`, since the entry at `configuredAt`. */
const topicRecord = record({ topic: name, firstPartition: partition, shards: list(shard, PARTITIONS_MAX), settings: bytes(SETTINGS_BYTES_MAX) })
export type TopicRecord = ValueOf<typeof topicRecord> & { readonly configuredAt: LogIndex }
/** `masters` are the first ones, none while the shard is unborn; `bornAt` is the index of the entry that bore it. */
const shardRecord = record({ shard, masters: list(node, MASTERS_MAX), bornAt: index, topics: u32 })
export type ShardRecord = ValueOf<typeof shardRecord>

/** Since then the shard is of this recovery epoch, and all its copies come from that of `node`. */
const recoveryRecord = record({ shard, recovery: u32, node })
export type RecoveryRecord = ValueOf<typeof recoveryRecord>

export interface RegistryState {
  readonly applied: LogIndex
  readonly clusterId: ClusterId | undefined
  readonly generation: number
  readonly founders: readonly { readonly node: NodeId; readonly address: Address }[]
  readonly nodes: Map<NodeId, NodeRecord>
  /** Of the nodes, those that are to be masters of nothing that another can take. */
  readonly draining: Set<NodeId>
  /** Of nodes, the last few wishes that were done about them, the oldest first: one that is said again does nothing. */
  readonly wishes: Map<NodeId, readonly number[]>
  /** Nodes that are never let in again, in the order in which they were struck. */
  readonly struck: Set<NodeId>
  /** Of these, those that are said to be lost with their disks: their copies have no say any more, not even while they are masters. */
  readonly destroyed: Set<NodeId>
  readonly topics: Map<string, TopicRecord>
  readonly shards: Map<ShardId, ShardRecord>
  /** Of the shards that were ever recovered. */
  readonly recoveries: Map<ShardId, RecoveryRecord>
  readonly nextShard: ShardId
  readonly nextPartition: PartitionId
}

const head = record({ format: u8, applied: index, clusterId: optional(cluster), generation: u32, founders: list(founder, MASTERS_MAX), nextShard: shard, nextPartition: partition, nodes: u53, topics: u53, shards: u53 })
const tail = record({ draining: u53, struck: u53 })
/** So many are kept of a node; who repeats one when as many others were done since has waited for days. */
export const WISHES_PER_NODE_MAX = 16
const wishCount = record({ wishes: u53 })
const wishesRecord = record({ node, wishes: list(u32, WISHES_PER_NODE_MAX) })

export function imageOf(state: RegistryState): Uint8Array {
  const parts = [
    encode(head, { ...state, format: FORMAT, nodes: state.nodes.size, topics: state.topics.size, shards: state.shards.size }),
    ...inOrder(state.nodes).map((value) => encode(nodeRecord, value)),
    ...inOrder(state.topics).map((value) => encode(topicRecord, value)),
    ...inOrder(state.shards).map((value) => encode(shardRecord, value)),
    encode(tail, { draining: state.draining.size, struck: state.struck.size }),
    ...[...[...state.draining].sort(), ...state.struck].map((id) => encode(node, id)),
    encode(wishCount, { wishes: state.wishes.size }),
    ...[...state.wishes].sort(([a], [b]) => (a < b ? -1 : 1)).map(([id, wishes]) => encode(wishesRecord, { node: id, wishes })),
    encode(u53, state.recoveries.size),
    ...inOrder(state.recoveries).map((value) => encode(recoveryRecord, value)),
    encode(u53, state.destroyed.size),
    ...[...state.destroyed].map((id) => encode(node, id)),
    ...inOrder(state.topics).map(({ configuredAt }) => encode(index, configuredAt)),
  ]
  return joined(parts)
}

/** Throws MalformedMessage. */
export function readImage(image: Uint8Array): RegistryState {
  const reader = new Reader(image)
  const format = image[0] ?? 0
  if (format < FORMAT_OLDEST || format > FORMAT) throw new MalformedMessage(`a registry of format ${format}, this version reads ${FORMAT_OLDEST} to ${FORMAT}`)
  const { applied, clusterId, generation, founders, nextShard, nextPartition, ...counts } = head.read(reader)
  const nodes = readMap(reader, counts.nodes, nodeRecord, (value) => value.node)
  const topicRecords = readMap(reader, counts.topics, topicRecord, (value) => value.topic)
  const shards = readMap(reader, counts.shards, shardRecord, (value) => value.shard)
  const behind = format < 2 ? { draining: 0, struck: 0 } : tail.read(reader)
  const draining = readSet(reader, behind.draining)
  const struck = readSet(reader, behind.struck)
  const wishes = new Map<NodeId, readonly number[]>()
  for (let left = format < 3 ? 0 : wishCount.read(reader).wishes; left > 0; left--) {
    const { node: id, wishes: done } = wishesRecord.read(reader)
    wishes.set(id, done)
  }
  const recoveries = readMap(reader, format < 4 ? 0 : u53.read(reader), recoveryRecord, (value) => value.shard)
  const destroyed = readSet(reader, format < 4 ? 0 : u53.read(reader))
  const topics = new Map<string, TopicRecord>()
  for (const [topic, value] of topicRecords) topics.set(topic, { ...value, settings: value.settings.slice(), configuredAt: format < 5 ? (0 as LogIndex) : index.read(reader) })
  if (reader.left > 0) throw new MalformedMessage(`${reader.left} bytes too many behind a registry`)
  return { applied, clusterId, generation, founders, nextShard, nextPartition, nodes, draining, wishes, struck, destroyed, topics, shards, recoveries }
}

function readSet(reader: Reader, count: number): Set<NodeId> {
  const set = new Set<NodeId>()
  for (let i = 0; i < count; i++) set.add(node.read(reader))
  return set
}

function readMap<Key, T>(reader: Reader, count: number, field: Field<T>, keyOf: (value: T) => Key): Map<Key, T> {
  const map = new Map<Key, T>()
  for (let i = 0; i < count; i++) {
    const value = field.read(reader)
    map.set(keyOf(value), value)
  }
  return map
}

function inOrder<Key extends string | number, T>(map: ReadonlyMap<Key, T>): readonly T[] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value)
}
