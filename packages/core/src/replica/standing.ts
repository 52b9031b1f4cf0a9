//! What the registry thinks of this node, as far as that decides whether its copies of shards may vote and acknowledge.
//!
//!   start ──▶ unknown ──let in once more──▶ confirmed     a node that was declared destroyed while it was away never is, and one that is told
//!                ▲                            │           of a newer generation is unknown to that one
//!                └────newer generation────────┘

import type { IdentityState } from '../node/identity-file.ts'
import { recoveryOf } from '../recovery-epoch.ts'
import type { Registry } from '../registry/registry.ts'
import { REGISTRY_SHARD, type ShardId, type Term } from '../units.ts'

export class Standing {
  readonly #identity: () => IdentityState
  readonly #registry: () => Registry
  #confirmed = false
  #destroyed = false

  constructor(identity: () => IdentityState, registry: () => Registry) {
    this.#identity = identity
    this.#registry = registry
  }

  /** The registry has admitted this node in this run, or has struck it and wants its copies replaced in order. */
  confirm(): void {
    this.#confirmed = true
  }

  /** The registry was recovered, and has still to be asked. */
  lapse(): void {
    this.#confirmed = false
  }

  destroy(): void {
    this.#destroyed = true
  }

  /** An operator has declared this node destroyed: nobody counts on its copies. */
  get isDestroyed(): boolean {
    return this.#destroyed || this.#registry().isDestroyed(this.#identity().nodeId)
  }

  /** Whether a copy of the shard counts in that term. Never one of an earlier recovery epoch than the shard's, nor one whose recovery is still to be confirmed. */
  isEntitled(shard: ShardId, term: Term): boolean {
    if (this.isDestroyed) return false
    const { generation, recovery } = this.#identity()
    if (shard === REGISTRY_SHARD) return recoveryOf(term) >= generation - 1
    return this.#confirmed && recoveryOf(term) >= this.#registry().recoveryOf(shard) && recovery?.shards.some((decided) => decided.shard === shard) !== true
  }
}
