//! The registry: what shard 0's log is applied to. It knows the cluster's id, the admitted nodes and which of them are
//! draining, the topics with the shards of their partitions, and every shard's birth. Jobs never live here.
//!
//!   topic of one partition   ──▶ one of the shared shards 1 to 8, that with the fewest topics, the lowest of equals
//!   topic of n partitions    ──▶ n new shards from 9 up, one each
//!
//! Placement is a fact of the log, never a modulo: a partition never moves to another shard. A shard's first masters are in
//! the entry that bears it, chosen by the leader; a shard that a topic was placed on without masters is *unborn* until
//! `shardBorn`. Everything here follows from the entries alone, so every master, and every node that follows, agrees.

import { assert } from '../assert.ts'
import { Hash } from '../hash.ts'
import { encode, tryDecode } from '../message/layout.ts'
import { type Place, topicSettings } from '../message/posts.ts'
import { Code } from '../message/command.ts'
import { admitted, type Birth, isRegistryTag, type NodeRecord, PARTITIONS_MAX, RegistryCode, type RegistryEntry, registryLogTable, topicAnswer } from '../message/registry.ts'
import type { Address, ClusterId, LogIndex, NodeId, PartitionId, ShardId } from '../units.ts'
import { imageOf, readImage, type RegistryState, type ShardRecord, type TopicRecord, WISHES_PER_NODE_MAX } from './image.ts'
import { PLACES_SPAN, recoveryBase, recoveryOfIndex } from '../recovery-epoch.ts'

export type { ShardRecord, TopicRecord } from './image.ts'

/** Single-partition topics share these. */
export const SHARED_SHARDS = 8
/** So that the state stays within what one node reads at its start. */
export const TOPICS_MAX = 65_536
export const NODES_MAX = 16_384
/** Of more that were ever struck, the first are forgotten: who comes back so late finds others in its place, and is a node like any new one. */
export const STRUCK_MAX = 65_536

export interface RegistryEffects {
  /** The outcome of what a node asked for; only the leader passes it on. */
  answer(origin: NodeId, request: number, code: number, body: Uint8Array): void
  /** Admitted, or admitted before and changed. */
  admitted(record: NodeRecord): void
  forgotten(node: NodeId): void
  /** Whoever is among the masters makes its replica now. */
  born(shard: ShardRecord): void
  /** New, or with new settings. */
  topic(topic: TopicRecord): void
}

const NOTHING = new Uint8Array(0)

export class Registry {
  #state: RegistryState = { applied: 0 as LogIndex, clusterId: undefined, generation: 1, founders: [], nodes: new Map(), draining: new Set(), wishes: new Map(), struck: new Set(), destroyed: new Set(), topics: new Map(), shards: new Map(), recoveries: new Map(), nextShard: (SHARED_SHARDS + 1) as ShardId, nextPartition: 1 as PartitionId }

  // ---- what others read --------------------------------------------------------------------------------------------

  /** The last entry that is in here. */
  get applied(): LogIndex {
    return this.#state.applied
  }

  get clusterId(): ClusterId | undefined {
    return this.#state.clusterId
  }

  get generation(): number {
    return this.#state.generation
  }

  /** The first masters of the registry itself. */
  get founders(): readonly { readonly node: NodeId; readonly address: Address }[] {
    return this.#state.founders
  }

  get nodes(): readonly NodeRecord[] {
    return sorted(this.#state.nodes)
  }

  node(node: NodeId): NodeRecord | undefined {
    return this.#state.nodes.get(node)
  }

  get draining(): readonly NodeRecord[] {
    return [...this.#state.draining].sort().map((node) => this.#state.nodes.get(node)!)
  }

  /** It is to be master of nothing that another can take. */
  isDraining(node: NodeId): boolean {
    return this.#state.draining.has(node)
  }

  /** It was forgotten, and is never let in again. */
  isStruck(node: NodeId): boolean {
    return this.#state.struck.has(node)
  }

  /** It was declared destroyed when a shard was recovered: whatever copies it has have no say any more. */
  isDestroyed(node: NodeId): boolean {
    return this.#state.destroyed.has(node)
  }

  get topics(): readonly TopicRecord[] {
    return sorted(this.#state.topics)
  }

  topic(name: string): TopicRecord | undefined {
    return this.#state.topics.get(name)
  }

  get shards(): readonly ShardRecord[] {
    return sorted(this.#state.shards)
  }

  shard(shard: ShardId): ShardRecord | undefined {
    return this.#state.shards.get(shard)
  }

  /** Only copies of this recovery epoch count; 0 of a shard that was never recovered. */
  recoveryOf(shard: ShardId): number {
    return this.#state.recoveries.get(shard)?.recovery ?? 0
  }

  /** Shards that topics are placed on but that have no masters yet. */
  get unborn(): readonly ShardId[] {
    return this.shards.filter((shard) => shard.masters.length === 0).map((shard) => shard.shard)
  }

  /** Those shards that a new topic of so many partitions would need to be born, were it created now. */
  birthsFor(partitions: number): readonly ShardId[] {
    if (partitions < 1 || partitions > PARTITIONS_MAX) return []
    return this.#place(partitions).filter((shard) => (this.#state.shards.get(shard)?.masters.length ?? 0) === 0)
  }

  // ---- the log -----------------------------------------------------------------------------------------------------

  /** Entries of the masters themselves (no-op, tick, configuration) only move `applied`. */
  apply(index: LogIndex, entry: Uint8Array, effects: RegistryEffects): void {
    this.#state = { ...this.#state, applied: index }
    if (isRegistryTag(entry[0]!)) this.#apply(index, registryLogTable.decode(entry), effects)
  }

  #apply(index: LogIndex, entry: RegistryEntry, effects: RegistryEffects): void {
    switch (entry.kind) {
      case 'founded':
        return this.#found(entry)
      case 'admit':
        return this.#admit(entry, effects)
      case 'forget':
        return this.#forget(entry, effects)
      case 'drain':
        return this.#drain(entry, effects)
      case 'createTopic':
        return this.#create(index, entry, effects)
      case 'configureTopic':
        return this.#configure(index, entry, effects)
      case 'shardBorn':
        return this.#bear(index, entry.birth, effects)
      case 'shardRecovered':
        return this.#recovered(entry, effects)
      default:
        entry satisfies never
    }
  }

  #found(entry: Extract<RegistryEntry, { kind: 'founded' }>): void {
    // The first word counts: a leader that did not see it yet may say it again.
    if (this.#state.clusterId !== undefined) return
    this.#state = { ...this.#state, clusterId: entry.clusterId, generation: entry.generation, founders: entry.masters }
  }

  #admit(entry: Extract<RegistryEntry, { kind: 'admit' }>, effects: RegistryEffects): void {
    const { origin, request, record } = entry
    const { clusterId, generation, nodes, struck, destroyed } = this.#state
    if (clusterId === undefined) return effects.answer(origin, request, RegistryCode.notFounded, NOTHING)
    if (destroyed.has(record.node)) return effects.answer(origin, request, RegistryCode.destroyed, NOTHING)
    if (struck.has(record.node)) return effects.answer(origin, request, RegistryCode.struck, NOTHING)
    for (const other of nodes.values()) {
      if (other.value === record.value && other.node !== record.node) return effects.answer(origin, request, RegistryCode.tie, NOTHING)
    }
    if (!nodes.has(record.node) && nodes.size >= NODES_MAX) return effects.answer(origin, request, RegistryCode.full, NOTHING)
    nodes.set(record.node, record)
    effects.admitted(record)
    effects.answer(origin, request, Code.ok, encode(admitted, { clusterId, generation }))
  }

  #forget(entry: Extract<RegistryEntry, { kind: 'forget' }>, effects: RegistryEffects): void {
    const { nodes, struck } = this.#state
    if (nodes.has(entry.node)) {
      this.#strike(entry.node)
      effects.forgotten(entry.node)
    }
    effects.answer(entry.origin, entry.request, struck.has(entry.node) ? Code.ok : Code.notFound, NOTHING)
  }

  #strike(node: NodeId): void {
    const { nodes, draining, wishes, struck } = this.#state
    nodes.delete(node)
    draining.delete(node)
    wishes.delete(node)
    addBounded(struck, node)
  }

  #destroy(node: NodeId): void {
    this.#strike(node)
    addBounded(this.#state.destroyed, node)
  }

  /** The first copy that says so is it: of two copies of one shard that are recovered, the other one is told. */
  #recovered({ origin, request, shard, recovery, node, destroyed }: Extract<RegistryEntry, { kind: 'shardRecovered' }>, effects: RegistryEffects): void {
    const { shards, recoveries, nodes } = this.#state
    if (!shards.has(shard)) return effects.answer(origin, request, Code.notFound, NOTHING)
    const known = recoveries.get(shard)
    const isRepeat = known !== undefined && known.recovery === recovery && known.node === node
    if (!isRepeat && recovery !== this.recoveryOf(shard) + 1) return effects.answer(origin, request, RegistryCode.outdated, NOTHING)
    recoveries.set(shard, { shard, recovery, node })
    for (const lost of destroyed) {
      const wasKnown = nodes.has(lost)
      this.#destroy(lost)
      if (wasKnown) effects.forgotten(lost)
    }
    effects.answer(origin, request, Code.ok, NOTHING)
  }

  #drain(entry: Extract<RegistryEntry, { kind: 'drain' }>, effects: RegistryEffects): void {
    const { nodes, draining, wishes } = this.#state
    if (!nodes.has(entry.node)) return effects.answer(entry.origin, entry.request, Code.notFound, NOTHING)
    const done = wishes.get(entry.node) ?? []
    if (!done.includes(entry.wish)) {
      wishes.set(entry.node, [...done, entry.wish].slice(-WISHES_PER_NODE_MAX))
      if (entry.draining) draining.add(entry.node)
      else draining.delete(entry.node)
    }
    effects.answer(entry.origin, entry.request, Code.ok, NOTHING)
  }

  #create(index: LogIndex, entry: Extract<RegistryEntry, { kind: 'createTopic' }>, effects: RegistryEffects): void {
    const { origin, request } = entry
    const known = this.#state.topics.get(entry.topic)
    if (known) {
      if (known.shards.length === entry.partitions && entry.settings.length > 0) return this.#configure(index, entry, effects)
      const code = known.shards.length === entry.partitions ? Code.ok : RegistryCode.differs
      return effects.answer(origin, request, code, encode(topicAnswer, { shards: known.shards }))
    }
    if (entry.topic === '' || entry.partitions < 1 || entry.partitions > PARTITIONS_MAX) return effects.answer(origin, request, RegistryCode.malformed, NOTHING)
    const objection = this.#objectionTo(entry.topic, entry.settings)
    if (objection !== undefined) return effects.answer(origin, request, objection, NOTHING)
    if (this.#state.topics.size >= TOPICS_MAX) return effects.answer(origin, request, RegistryCode.full, NOTHING)
    const shards = this.#place(entry.partitions)
    const { nextPartition, nextShard } = this.#state
    const end = (recoveryOfIndex(index) + 1) * PLACES_SPAN
    if (nextPartition + shards.length > end || nextShard + shards.length > end) return effects.answer(origin, request, RegistryCode.full, NOTHING)
    const topic = { topic: entry.topic, firstPartition: nextPartition, shards, settings: entry.settings.slice(), configuredAt: index }
    this.#state = { ...this.#state, nextPartition: (nextPartition + shards.length) as PartitionId }
    this.#state.topics.set(entry.topic, topic)
    for (const shard of shards) {
      const record = this.#state.shards.get(shard)
      this.#state.shards.set(shard, record ? { ...record, topics: record.topics + 1 } : { shard, masters: [], bornAt: 0 as LogIndex, topics: 1 })
      if (shard >= this.#state.nextShard) this.#state = { ...this.#state, nextShard: (shard + 1) as ShardId }
      const birth = entry.births.find((candidate) => candidate.shard === shard)
      if (birth) this.#bear(index, birth, effects)
    }
    effects.topic(topic)
    effects.answer(origin, request, Code.ok, encode(topicAnswer, { shards }))
  }

  #configure(index: LogIndex, entry: Extract<RegistryEntry, { kind: 'createTopic' | 'configureTopic' }>, effects: RegistryEffects): void {
    const known = this.#state.topics.get(entry.topic)
    if (known === undefined) return effects.answer(entry.origin, entry.request, Code.notFound, NOTHING)
    const objection = this.#objectionTo(entry.topic, entry.settings)
    if (objection !== undefined) return effects.answer(entry.origin, entry.request, objection, NOTHING)
    const topic = { ...known, settings: entry.settings.slice(), configuredAt: index }
    this.#state.topics.set(entry.topic, topic)
    effects.topic(topic)
    effects.answer(entry.origin, entry.request, Code.ok, encode(topicAnswer, { shards: topic.shards }))
  }

  /**
   * A dead-letter topic exists, and has none itself: so a job is moved once, and what dies there stays there. Topics are never deleted, so what held
   * when the settings were made holds for ever.
   */
  #objectionTo(name: string, bytes: Uint8Array): number | undefined {
    const settings = tryDecode(topicSettings, bytes)
    if (settings === undefined) return RegistryCode.malformed
    const { deadLetter } = settings
    if (deadLetter === undefined) return undefined
    const target = this.#state.topics.get(deadLetter)
    if (deadLetter === name) return RegistryCode.deadLetterChain
    if (target === undefined) return RegistryCode.noDeadLetter
    const isOneItself = [...this.#state.topics.values()].some((other) => deadLetterOf(other) === name)
    return isOneItself || deadLetterOf(target) !== undefined ? RegistryCode.deadLetterChain : undefined
  }

  /** Where jobs of the topic go when they are dead; none where they stay. */
  deadLettersOf(topic: TopicRecord): readonly Place[] {
    const name = deadLetterOf(topic)
    const target = name === undefined ? undefined : this.#state.topics.get(name)
    return target?.shards.map((shard, at) => ({ partition: (target.firstPartition + at) as PartitionId, shard })) ?? []
  }

  /** A shard is born once; afterwards only its own log changes who its masters are. */
  #bear(index: LogIndex, birth: Birth, effects: RegistryEffects): void {
    const record = this.#state.shards.get(birth.shard)
    if (record === undefined || record.masters.length > 0 || birth.masters.length === 0) return
    const born = { ...record, masters: birth.masters, bornAt: index }
    this.#state.shards.set(birth.shard, born)
    effects.born(born)
  }

  #place(partitions: number): readonly ShardId[] {
    const { shards, nextShard } = this.#state
    if (partitions !== 1) return Array.from({ length: partitions }, (_, i) => (nextShard + i) as ShardId)
    let best = 1
    for (let shard = 2; shard <= SHARED_SHARDS; shard++) {
      if ((shards.get(shard as ShardId)?.topics ?? 0) < (shards.get(best as ShardId)?.topics ?? 0)) best = shard
    }
    return [best as ShardId]
  }

  // ---- recovery ----------------------------------------------------------------------------------------------------

  /** The registry itself is recovered from this copy: no number that a lost master may have given out is given out again, and the nodes `destroyed` are struck. */
  recover(recovery: number, destroyed: readonly NodeId[]): void {
    const base = recoveryBase(recovery)
    assert(base.index > this.applied, 'an epoch begins behind everything of the one before')
    this.#state = { ...this.#state, applied: base.index, generation: recovery + 1, nextShard: base.shard, nextPartition: base.partition }
    for (const node of destroyed) this.#destroy(node)
  }

  // ---- copies ------------------------------------------------------------------------------------------------------

  /** The whole state, the same bytes on every node that has applied as much. */
  snapshot(): Uint8Array {
    return imageOf(this.#state)
  }

  /** Throws MalformedMessage. */
  static restore(image: Uint8Array): Registry {
    const registry = new Registry()
    registry.#state = readImage(image)
    return registry
  }

  clone(): Registry {
    return Registry.restore(this.snapshot())
  }

  digest(): string {
    return new Hash().bytes(this.snapshot()).digest()
  }
}

/** The name of the topic that dead jobs of this one are added to. */
function deadLetterOf(topic: TopicRecord): string | undefined {
  return tryDecode(topicSettings, topic.settings)?.deadLetter
}

function addBounded(set: Set<NodeId>, node: NodeId): void {
  set.add(node)
  if (set.size > STRUCK_MAX) set.delete(set.values().next().value!)
}

/** In the order of keys, which no restored snapshot changes. */
function sorted<Key extends string | number, T>(map: ReadonlyMap<Key, T>): readonly T[] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value)
}
