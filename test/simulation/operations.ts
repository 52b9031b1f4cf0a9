//! What an operator may do to the cluster of a run: never drain so many that fewer nodes stay than the cluster was founded with, but for one of
//! exactly three, which never leaves, and forget only what is lost or was drained. Nor do all leave whose addresses clients begin with.

import { NodeWish } from '@horus/core/message/client'
import type { NodeId } from '@horus/core/units'
import type { NodeProcess } from '@horus/core/world/node'
import { Operator } from './operator.ts'
import type { Scene } from './scene.ts'
import type { Setup } from './setup.ts'

/** One of them may have moved. */
const SEEDS_MIN = 2

export class Operations {
  readonly operator: Operator
  readonly #expect: number
  /** Drained, and not given back. */
  readonly #leaving = new Set<NodeId>()
  readonly #mayLeave = new Set<NodeId>()
  readonly #forgotten = new Set<NodeId>()
  readonly #names = new Map<NodeId, NodeProcess>()

  constructor(scene: Scene, setup: Setup) {
    this.operator = new Operator(scene)
    this.#expect = setup.expect
  }

  /** `members` are the nodes of the cluster as they are now, `seeds` those of them whose addresses everybody knows. */
  drain(node: NodeId | undefined, members: readonly NodeId[], seeds: readonly NodeId[]): NodeId | undefined {
    if (node === undefined || !members.includes(node) || this.#leaving.has(node)) return undefined
    const staying = members.filter((member) => member !== node && !this.#leaving.has(member)).length
    // Where three founded it and three are left, one is drained as people would who have no more: it only gives up its leads.
    if (staying < Math.min(this.#expect, Math.max(1, members.length - 1))) return undefined
    this.#leaving.add(node)
    const seedsLeft = seeds.filter((seed) => seed !== node && !this.#leaving.has(seed)).length
    if (staying >= this.#expect && (!seeds.includes(node) || seedsLeft >= SEEDS_MIN)) this.#mayLeave.add(node)
    this.operator.want(node, NodeWish.drain)
    return node
  }

  endDrain(node: NodeId, wanted: boolean, forced: boolean): boolean {
    const leaves = wanted && this.#mayLeave.has(node)
    if (!leaves) this.#leaving.delete(node)
    this.operator.want(node, leaves ? NodeWish.forget : NodeWish.undrain, leaves && forced)
    return leaves
  }

  identified(node: NodeProcess, id: NodeId): void {
    this.#names.set(id, node)
  }

  /** Whose identities they were, but for those that were forgotten before. */
  forget(lost: ReadonlySet<NodeId>): readonly NodeProcess[] {
    const found = [...lost].filter((id) => !this.#forgotten.has(id))
    for (const id of found) {
      this.#forgotten.add(id)
      this.operator.want(id, NodeWish.forget)
    }
    return found.map((id) => this.#names.get(id)!)
  }
}
