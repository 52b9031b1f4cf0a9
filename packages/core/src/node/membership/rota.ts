//! Whom to probe next: everyone once a round, in an order drawn anew for each round (SWIM 4.3), so that a crash is noticed
//! within a bounded number of intervals. A newcomer gets a random place in the round under way.

import type { Random } from '../../random.ts'
import type { NodeId } from '../../units.ts'
import { shuffle } from '../discovery.ts'

export class Rota {
  readonly #random: Random
  #nodes: NodeId[] = []
  #at = 0

  constructor(random: Random) {
    this.#random = random
  }

  add(node: NodeId): void {
    if (this.#nodes.includes(node)) return
    this.#nodes.splice(this.#random.between(this.#at, this.#nodes.length), 0, node)
  }

  remove(node: NodeId): void {
    const at = this.#nodes.indexOf(node)
    if (at < 0) return
    this.#nodes.splice(at, 1)
    if (at < this.#at) this.#at--
  }

  /** This one next: somebody has a reason to doubt it. */
  hurry(node: NodeId): void {
    const at = this.#nodes.indexOf(node)
    if (at < 0) return
    this.remove(node)
    this.#nodes.splice(this.#at, 0, node)
  }

  next(): NodeId | undefined {
    if (this.#at >= this.#nodes.length) {
      shuffle(this.#nodes, this.#random)
      this.#at = 0
    }
    return this.#nodes[this.#at++]
  }

  clone(random: Random): Rota {
    const copy = new Rota(random)
    copy.#nodes = [...this.#nodes]
    copy.#at = this.#at
    return copy
  }
}
