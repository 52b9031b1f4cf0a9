//! What this node knows of the cluster, for those who ask where something is: clients, the caretaker, `status`.

import type { Now } from '../actor.ts'
import type { Directory } from '../front/front.ts'
import type { MemberState, ShardHint } from '../message/gossip.ts'
import { type ClientMessage, statusBody } from '../message/client.ts'
import { Code } from '../message/command.ts'
import { encode } from '../message/layout.ts'
import { partitionSettings } from '../message/posts.ts'
import type { RegistryWish } from '../message/registry.ts'
import type { Candidate } from '../node/placement.ts'
import type { Address, Epoch, LogIndex, NodeId, PartitionId, ShardId, Term } from '../units.ts'
import type { Surroundings } from './caretaker.ts'
import type { Cluster } from './cluster.ts'
import type { Hosted } from './hosted.ts'

interface Placed {
  readonly partition: PartitionId
  readonly topic: string
  /** `partitionSettings`. */
  readonly settings: Uint8Array
  readonly version: number
}

export class NodeDirectory implements Directory, Surroundings {
  readonly #name: string
  readonly #cluster: Cluster
  readonly #hosted: ReadonlyMap<ShardId, Hosted>
  /** Which partitions are on which shard, as of one index of the registry. */
  #placed = new Map<ShardId, Placed[]>()
  #placedAt = -1

  constructor(name: string, cluster: Cluster, hosted: ReadonlyMap<ShardId, Hosted>) {
    this.#name = name
    this.#cluster = cluster
    this.#hosted = hosted
  }

  // ---- for clients -----------------------------------------------------------------------------------------------

  partitionsOf(topic: string): readonly { readonly partition: PartitionId; readonly shard: ShardId }[] | undefined {
    const known = this.#cluster.registry.topic(topic)
    return known?.shards.map((shard, at) => ({ partition: (known.firstPartition + at) as PartitionId, shard }))
  }

  leaderOf(shard: ShardId): NodeId | undefined {
    const own = this.#hosted.get(shard)?.master
    const hint = this.#cluster.hint(shard)
    // A master that has lost the leader of the hinted term knows better than the gossip. And a command that is passed on to a
    // dead node may have been done or not, as far as its client can tell: to whom nobody leads, that is told at once.
    // Whoever was told to lead next lets clients wait until it does.
    if (own !== undefined && (hint === undefined || own.term >= hint.term) && !this.isLeftOver(shard)) return (own.heir ?? own.leader)?.node
    return hint?.leader === undefined || this.state(hint.leader) === 'dead' ? undefined : hint.leader
  }

  /**
   * This node's copy hears no leader, or one of an earlier term, and the leader counts it among no masters. Such a copy may wait for long:
   * the change that made it was lost with its leader, so nobody removes it, and the number that it has may yet be given to it again.
   */
  isLeftOver(shard: ShardId): boolean {
    const own = this.#hosted.get(shard)?.master
    const hint = this.#cluster.hint(shard)
    if (own === undefined || hint === undefined || hint.masters.includes(this.self)) return false
    return own.leader === undefined ? hint.term >= own.term : hint.term > own.term
  }

  addressOf(node: NodeId): Address | undefined {
    return this.#cluster.addressOf(node)
  }

  createTopic(now: Now, topic: string, partitions: number): void {
    this.#cluster.createTopic(now, topic, partitions)
  }

  wish(now: Now, wish: RegistryWish): number {
    return this.#cluster.wish(now, wish)
  }

  currentAt(now: Now): number {
    return this.#cluster.registryCurrentAt(now)
  }

  refresh(now: Now): void {
    this.#cluster.refreshRegistry(now)
  }

  // ---- for leaders -----------------------------------------------------------------------------------------------

  get self(): NodeId {
    return this.#cluster.self
  }

  get candidates(): readonly Candidate[] {
    return this.#cluster.candidates
  }

  get reserve(): readonly Candidate[] {
    return this.#cluster.reserve
  }

  get hints(): readonly ShardHint[] {
    return this.#cluster.hints
  }

  state(node: NodeId): MemberState | undefined {
    return this.#cluster.member(node)?.state
  }

  zone(node: NodeId): string {
    return this.#cluster.registry.node(node)?.zone ?? ''
  }

  placedOn(shard: ShardId): readonly Placed[] {
    const { registry } = this.#cluster
    if (registry.applied !== this.#placedAt) {
      this.#placedAt = registry.applied
      this.#placed = new Map()
      for (const record of registry.topics) {
        const { topic, shards, firstPartition, configuredAt: version } = record
        const settings = encode(partitionSettings, { version, deadLetters: registry.deadLettersOf(record) })
        shards.forEach((on, at) => {
          const placed = { partition: (firstPartition + at) as PartitionId, topic, settings, version }
          const others = this.#placed.get(on)
          if (others === undefined) this.#placed.set(on, [placed])
          else others.push(placed)
        })
      }
    }
    return this.#placed.get(shard) ?? []
  }

  isLeaving(node: NodeId): boolean {
    return this.#cluster.isLeaving(node)
  }

  // ---- for operators ---------------------------------------------------------------------------------------------

  status(): ClientMessage & { kind: 'queryAnswer' } {
    const { registry } = this.#cluster
    const members = this.#cluster.members
    const admitted = registry.nodes
    const strangers = members.filter((member) => registry.node(member.node) === undefined && !(registry.isStruck(member.node) && member.state !== 'alive'))
    const nodes = [
      ...admitted.map((record) => ({ id: record.node, address: this.addressOf(record.node) ?? record.address, state: this.state(record.node) ?? 'unknown', value: record.value, zone: record.zone, version: record.version, eligible: record.eligible, draining: registry.isDraining(record.node), admitted: true })),
      ...strangers.map((member) => ({ id: member.node, address: member.address, state: member.state, value: member.value, zone: member.zone, version: member.version, eligible: member.eligible, draining: false, admitted: false })),
    ]
    const shards = [0 as ShardId, ...registry.shards.map((record) => record.shard)].map((shard) => this.#shardStatus(shard))
    const topics = registry.topics.map(({ topic }) => ({ topic, partitions: this.partitionsOf(topic) ?? [] }))
    const body = encode(statusBody, {
      cluster: this.#name, clusterId: this.#cluster.state.clusterId ?? '', quorum: shards.every((shard) => shard.leader !== undefined) && admitted.length > 0,
      self: this.self, nodes, shards, topics,
    })
    return { kind: 'queryAnswer', request: 0, code: Code.ok, body }
  }

  #shardStatus(shard: ShardId): { shard: ShardId; leader: NodeId | undefined; masters: NodeId[]; term: Term; epoch: Epoch; commitIndex: LogIndex } {
    const hint = this.#cluster.hint(shard)
    const own = this.#hosted.get(shard)?.master
    if (own !== undefined && (hint === undefined || own.term >= hint.term)) {
      return { shard, leader: own.leader?.node, masters: [...own.holders.nodes], term: own.term, epoch: own.holders.epoch, commitIndex: own.commitIndex }
    }
    return { shard, leader: hint?.leader, masters: [...this.#cluster.mastersOf(shard)], term: hint?.term ?? (0 as Term), epoch: hint?.epoch ?? (0 as Epoch), commitIndex: 0 as LogIndex }
  }
}
