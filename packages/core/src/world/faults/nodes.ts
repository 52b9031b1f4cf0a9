//! Faults of nodes: processes that die between any two effects, lose their power, stand still, are stopped and started.

import type { Random } from '../../random.ts'
import type { Death } from '../link.ts'
import type { Process } from '../process.ts'
import { type FaultSource, type Hands, NOBODY, type Strike } from './source.ts'
import { every, share } from './swarm.ts'

export interface NodesPlan {
  /** How long a turn of an event loop gathers inputs. */
  readonly turnMsMax: number
  readonly crashEveryMs: number
  readonly downMsMax: number
  /** Part of the crashes that hit between two effects of one input. */
  readonly midInputChance: number
  /** Part of the crashes after which nobody is told that connections are gone. */
  readonly unreachableChance: number
  /** The power fails for most or all nodes at once. */
  readonly blackoutEveryMs: number
  readonly pauseEveryMs: number
  readonly pauseMsMax: number
  /** A node asked to stop in an orderly way, and started again. */
  readonly stopEveryMs: number
}

export const NO_NODE_FAULTS: NodesPlan = {
  turnMsMax: 0, crashEveryMs: 0, downMsMax: 0, midInputChance: 0, unreachableChance: 0, blackoutEveryMs: 0, pauseEveryMs: 0, pauseMsMax: 0, stopEveryMs: 0,
}

export function drawNodes(random: Random): NodesPlan {
  return {
    turnMsMax: random.chance(0.5) ? random.fraction() * 3 : 0,
    crashEveryMs: every(random, 0.5, 1000, 12_000),
    downMsMax: random.pick([300, 2000, 5000, 12_000]),
    midInputChance: random.pick([0, 0.5, 1]),
    unreachableChance: share(random, 0.6),
    blackoutEveryMs: every(random, 0.35, 2000, 12_000),
    pauseEveryMs: every(random, 0.5, 2000, 15_000),
    pauseMsMax: random.between(100, 6000),
    stopEveryMs: every(random, 0.3, 4000, 20_000),
  }
}

/** A crash that is to hit between two effects waits for at most this many of them. */
const EFFECTS_MAX = 12
/** A power failure comes to some a moment later than to the others. */
const BLACKOUT_MS_MAX = 20
/** How many effects after a write a crash may come: the write itself, and what was sent behind it too early. */
export const AT_WRITE_MAX = 6

export class NodeFaults implements FaultSource {
  readonly strikes: readonly Strike[]
  readonly #hands: Hands
  readonly #plan: NodesPlan
  readonly #random: Random

  constructor(hands: Hands, plan: NodesPlan, random: Random) {
    this.#hands = hands
    this.#plan = plan
    this.#random = random
    this.strikes = [
      { name: 'crash', everyMs: plan.crashEveryMs, hit: (own) => this.#crash(own) },
      { name: 'blackout', everyMs: plan.blackoutEveryMs, hit: (own) => this.#blackout(own) },
      { name: 'pause', everyMs: plan.pauseEveryMs, hit: (own) => this.#pause(own) },
      { name: 'stop', everyMs: plan.stopEveryMs, hit: (own) => this.#stop(own) },
    ]
  }

  added(process: Process): void {
    process.turnMs = this.#random.fraction() * this.#plan.turnMsMax
  }

  #crash(random: Random): readonly Process[] {
    const node = this.#hands.victim(random)
    if (node === undefined || !node.running) return NOBODY
    const how: Death = random.chance(this.#plan.unreachableChance) ? 'unreachable' : random.pick(['killed', 'restarted'])
    node.restartAfterMs = random.fraction() * this.#plan.downMsMax
    if (!random.chance(this.#plan.midInputChance)) node.crash(how)
    else if (random.chance(0.5)) node.crashAfter(1 + random.below(EFFECTS_MAX), how)
    else node.crashAtWrite(random.below(AT_WRITE_MAX), how)
    return [node]
  }

  /** The power fails for most or all nodes, each at its next write or within moments: what only memory knew is gone everywhere. */
  #blackout(random: Random): readonly Process[] {
    const hit: Process[] = []
    for (const node of this.#hands.nodes) {
      if (!node.running || random.chance(0.2)) continue
      node.restartAfterMs = random.fraction() * this.#plan.downMsMax
      if (random.chance(0.5)) node.crashAtWrite(random.below(AT_WRITE_MAX), 'restarted')
      else this.#hands.after(random.fraction() * BLACKOUT_MS_MAX, () => node.crash('restarted'))
      hit.push(node)
    }
    return hit
  }

  #pause(random: Random): readonly Process[] {
    const { world, clients } = this.#hands
    const process = random.chance(0.3) && clients.length > 0 ? random.pick(clients) : this.#hands.victim(random)
    if (process === undefined || process.state !== 'up') return NOBODY
    world.pause(process, random.fraction() * this.#plan.pauseMsMax)
    return [process]
  }

  #stop(random: Random): readonly Process[] {
    const node = this.#hands.victim(random)
    if (node === undefined || node.state !== 'up') return NOBODY
    node.restartAfterMs = random.fraction() * this.#plan.downMsMax
    node.stop()
    return [node]
  }
}
