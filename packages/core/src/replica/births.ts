//! Shards that begin with a copy on this node. The registry names a shard's first masters in the entry that bears it; each of
//! them makes its copy, and notes in its identity through which index of the registry's log all births are done, so that a
//! restart neither forgets one nor repeats it.

import type { Registry } from '../registry/registry.ts'
import type { NodeId, ShardId } from '../units.ts'

export class Births {
  readonly #birth: (shard: ShardId, masters: readonly NodeId[]) => void
  /** Copies that are not durable yet. */
  readonly #underWay = new Set<ShardId>()
  #bornBefore = 0

  constructor(birth: (shard: ShardId, masters: readonly NodeId[]) => void) {
    this.#birth = birth
  }

  /** Makes the copy; `before` is the index of the registry's log up to which every birth is then done. */
  bear(shard: ShardId, masters: readonly NodeId[], before: number): void {
    if (this.#underWay.has(shard)) return
    this.#underWay.add(shard)
    this.#bornBefore = Math.max(this.#bornBefore, before)
    this.#birth(shard, masters)
  }

  /** Makes the copies that the registry gave to `self` and that are not made yet, neither now nor before `saved`. */
  bearNew(registry: Registry, self: NodeId, saved: number): void {
    const before = Math.max(saved, this.#bornBefore)
    for (const { shard, masters, bornAt } of registry.shards) {
      if (masters.length > 0 && bornAt >= before && masters.includes(self)) this.bear(shard, masters, registry.applied + 1)
    }
  }

  /** A copy is durable. Returns the index to be saved when it was the last one under way, and nothing less was saved before. */
  born(shard: ShardId, saved: number): number | undefined {
    this.#underWay.delete(shard)
    return this.#underWay.size === 0 && this.#bornBefore > saved ? this.#bornBefore : undefined
  }
}
