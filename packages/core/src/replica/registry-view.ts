//! The registry as this node knows it: its own shard 0 where it is a master of that, else a copy that is fed by one who is.
//!
//!   hosted (a master's books) ─┐
//!                              ├──▶ newest: whichever has applied more
//!   feed ──entries, images──▶ copy
//!
//! The copy is a cache. It decides nothing that a quorum must decide.

import type { Decision, ShardHint } from '../message/gossip.ts'
import { Registry, type RegistryEffects } from '../registry/registry.ts'
import { type LogIndex, type NodeId, REGISTRY_SHARD, type ShardId } from '../units.ts'

/** How this node holds the registry, if it is one of its masters. */
export interface HostedRegistry {
  readonly registry: Registry
  readonly leader: NodeId | undefined
  readonly leading: boolean
  readonly proposable: boolean
  /** The recovery epoch of this copy. */
  readonly recovery: number
}

export class RegistryView {
  #copy = new Registry()
  #hosted: HostedRegistry | undefined

  /** The newest state that is known here. */
  get newest(): Registry {
    const hosted = this.#hosted?.registry
    return hosted !== undefined && hosted.applied >= this.#copy.applied ? hosted : this.#copy
  }

  get hosted(): HostedRegistry | undefined {
    return this.#hosted
  }

  /** What the copy has applied: where a feed goes on. */
  get copied(): LogIndex {
    return this.#copy.applied
  }

  /** This node's copy of shard 0 has come, gone, or changed its role. */
  host(hosted: HostedRegistry | undefined): void {
    // What was applied as a master is not lost when the mastership ends.
    if (hosted === undefined && this.#hosted !== undefined && this.#hosted.registry.applied > this.#copy.applied) this.#copy = this.#hosted.registry
    this.#hosted = hosted
  }

  apply(first: number, entries: readonly Uint8Array[]): void {
    entries.forEach((entry, at) => this.#copy.apply((first + at) as LogIndex, entry, NO_EFFECTS))
  }

  restore(image: Uint8Array): void {
    this.#copy = Registry.restore(image)
  }

  /** Who held a shard when it was born, in the order of their numbers; undefined where that is not known here yet. */
  firstMasters(shard: ShardId, decision: Decision | undefined): readonly NodeId[] | undefined {
    if (shard !== REGISTRY_SHARD) {
      const masters = this.newest.shard(shard)?.masters
      return masters?.length ? masters : undefined
    }
    if (decision !== undefined) return decision.masters.map((master) => master.node)
    return this.newest.clusterId === undefined ? undefined : this.newest.founders.map((founder) => founder.node)
  }

  /** Who holds shard 0 now as far as is known: by gossip, else as it was founded. */
  masters(hint: ShardHint | undefined, decision: Decision | undefined): readonly NodeId[] {
    const known = hint?.masters ?? this.newest.founders.map((founder) => founder.node)
    return known.length > 0 ? known : (decision?.masters.map((master) => master.node) ?? [])
  }
}

/** A copy only wants the state; what comes of an entry is the masters' affair. */
export const NO_EFFECTS: RegistryEffects = { answer: () => {}, admitted: () => {}, forgotten: () => {}, born: () => {}, topic: () => {} }
