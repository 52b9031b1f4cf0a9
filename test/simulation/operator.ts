//! The user who runs the cluster: drains nodes, ends that, and forgets nodes that are lost or are to leave, by asking whichever
//! node answers. One wish at a time, each again until it is done; of two about one node the later counts.

import type { Now } from '@horus/core/actor'
import type { Outcome } from '@horus/core/client/api'
import { NodeWish } from '@horus/core/message/client'
import type { Instant, NodeId } from '@horus/core/units'
import { never } from '@horus/core/units'
import type { Scene } from './scene.ts'
import type { Asking, User } from './sim-client.ts'

const STEP_MS = 100
/** Then nothing was done, and nothing will be. */
const DEFINITE: readonly string[] = ['NotFound', 'Refused']

interface Wanted {
  readonly wish: NodeWish
  readonly force: boolean
}

export class Operator implements User {
  wakeAt: Instant = never
  readonly #scene: Scene
  readonly #wanted = new Map<NodeId, Wanted>()
  /** Nodes about which something was wished whose outcome nobody knows: it may come late. */
  readonly #unsure = new Set<NodeId>()
  #asked: { readonly request: number; readonly node: NodeId; readonly wanted: Wanted } | undefined

  constructor(scene: Scene) {
    this.#scene = scene
  }

  want(node: NodeId, wish: NodeWish, force = false): void {
    this.#wanted.set(node, { wish, force })
  }

  begin(now: Now): void {
    this.wakeAt = (now.monotonic + STEP_MS) as Instant
  }

  wake(now: Now, asking: Asking): void {
    this.wakeAt = (now.monotonic + STEP_MS) as Instant
    // What is to be quiet is not moved any more.
    if (this.#scene.calm) for (const [node, { wish }] of this.#wanted) if (wish !== NodeWish.forget) this.#wanted.delete(node)
    const [first] = this.#wanted
    if (this.#asked !== undefined || first === undefined) return
    const [node, wanted] = first
    this.#asked = { request: asking.request(), node, wanted }
    this.#scene.history.draining.delete(node)
    asking.ask({ kind: 'wish', request: this.#asked.request, node, ...wanted, timeoutMs: this.#scene.workload.timeoutMs })
  }

  done(_now: Now, request: number, outcome: Outcome): void {
    if (this.#asked?.request !== request) return
    const { node, wanted } = this.#asked
    this.#asked = undefined
    this.#judge(node, wanted.wish, outcome)
    if (this.#wanted.get(node) !== wanted) return
    this.#wanted.delete(node)
    const isSettled = outcome.kind !== 'failed' || outcome.code === 'NotFound'
    // Behind the others: one that is refused for long holds nobody up.
    if (!isSettled) this.#wanted.set(node, wanted)
  }

  /** What the operator may believe of the node from now on, unless something that he gave up may still be done. */
  #judge(node: NodeId, wish: NodeWish, outcome: Outcome): void {
    if (outcome.kind === 'failed' && !DEFINITE.includes(outcome.code)) this.#unsure.add(node)
    if (outcome.kind !== 'failed' && wish !== NodeWish.forget && !this.#unsure.has(node)) this.#scene.history.draining.set(node, wish === NodeWish.drain)
  }

  leased(): void {}

  leaseLost(): void {}

  died(): void {}
}
