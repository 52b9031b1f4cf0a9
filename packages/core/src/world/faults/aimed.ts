//! Faults that aim: where something rare has just begun, it is struck at once, since by chance alone few faults would fall
//! into so short a time.

import type { Random } from '../../random.ts'
import type { NodeProcess } from '../node.ts'
import type { Process } from '../process.ts'
import { AT_WRITE_MAX } from './nodes.ts'
import { type FaultSource, type Hands, NOBODY, type Occasion, type Strike } from './source.ts'
import { share } from './swarm.ts'

export interface AimedPlan {
  /** Part of the elections and changes of masters into which something strikes at once. */
  readonly provokeChance: number
  readonly provokedDownMsMax: number
  readonly provokedPartitionMsMax: number
  readonly provokedOneWayChance: number
}

export const NO_AIMED_FAULTS: AimedPlan = { provokeChance: 0, provokedDownMsMax: 0, provokedPartitionMsMax: 0, provokedOneWayChance: 0 }

export function drawAimed(random: Random): AimedPlan {
  return {
    provokeChance: share(random, 0.4),
    provokedDownMsMax: random.pick([300, 2000, 5000, 12_000]),
    provokedPartitionMsMax: random.between(200, 6000),
    provokedOneWayChance: share(random, 1),
  }
}

export class AimedFaults implements FaultSource {
  readonly strikes: readonly Strike[] = []
  readonly #hands: Hands
  readonly #plan: AimedPlan
  readonly #random: Random

  constructor(hands: Hands, plan: AimedPlan, random: Random) {
    this.#hands = hands
    this.#plan = plan
    this.#random = random
  }

  provoke(node: NodeProcess, occasion: Occasion): readonly Process[] {
    const random = this.#random
    if (occasion === 'doubt' || !random.chance(this.#plan.provokeChance)) return NOBODY
    if (random.chance(0.4)) {
      node.restartAfterMs = random.fraction() * this.#plan.provokedDownMsMax
      node.crashAtWrite(random.below(2 * AT_WRITE_MAX), 'restarted')
      return [node]
    }
    const { network } = this.#hands.world
    const ms = random.fraction() * this.#plan.provokedPartitionMsMax
    const lost = this.#hands.nodes.filter((other) => other !== node && random.chance(0.5))
    for (const other of lost) {
      network.block(node, other, ms)
      if (!random.chance(this.#plan.provokedOneWayChance)) network.block(other, node, ms)
    }
    return [node]
  }
}
