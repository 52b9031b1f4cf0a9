//! Faults of nodes: processes that die between any two effects, lose their power, stand still, are stopped and started.

import type { Random } from '../../random.ts'
import type { Death } from '../link.ts'
import type { NodeProcess } from '../node.ts'
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
  /** Every node is killed in the same instant, and started again. */
  readonly restartAllEveryMs: number
  /** Two of the three masters of a shard are gone for a time, and come back. */
  readonly mastersGoneEveryMs: number
  readonly mastersGoneMsMax: number
  /** A node that dies again and again as soon as it is up. */
  readonly flapEveryMs: number
  readonly pauseEveryMs: number
  readonly pauseMsMax: number
  /** Pauses longer than any lease. */
  readonly longPauseEveryMs: number
  /** A node asked to stop in an orderly way, and started again. */
  readonly stopEveryMs: number
}

export const NO_NODE_FAULTS: NodesPlan = {
  turnMsMax: 0, crashEveryMs: 0, downMsMax: 0, midInputChance: 0, unreachableChance: 0, blackoutEveryMs: 0, restartAllEveryMs: 0, mastersGoneEveryMs: 0, mastersGoneMsMax: 0,
  flapEveryMs: 0, pauseEveryMs: 0, pauseMsMax: 0, longPauseEveryMs: 0, stopEveryMs: 0,
}

export function drawNodes(random: Random): NodesPlan {
  return {
    turnMsMax: random.chance(0.5) ? random.fraction() * 3 : 0,
    crashEveryMs: every(random, 0.5, 1000, 12_000),
    downMsMax: random.pick([300, 2000, 5000, 12_000]),
    midInputChance: random.pick([0, 0.5, 1]),
    unreachableChance: share(random, 0.6),
    blackoutEveryMs: every(random, 0.35, 2000, 12_000),
    restartAllEveryMs: every(random, 0.15, 5000, 20_000),
    mastersGoneEveryMs: every(random, 0.2, 5000, 20_000),
    mastersGoneMsMax: random.between(500, 8000),
    flapEveryMs: every(random, 0.2, 3000, 15_000),
    pauseEveryMs: every(random, 0.5, 2000, 15_000),
    pauseMsMax: random.between(100, 6000),
    longPauseEveryMs: every(random, 0.2, 5000, 20_000),
    stopEveryMs: every(random, 0.3, 4000, 20_000),
  }
}

/** A crash that is to hit between two effects waits for at most this many of them. */
const EFFECTS_MAX = 12
/** A power failure comes to some a moment later than to the others. */
const BLACKOUT_MS_MAX = 20
/** The simulator's leases are three seconds at the most. */
const LONG_PAUSE_MS_MIN = 3100
const LONG_PAUSE_MS_MAX = 9000
const RESTART_ALL_MS_MAX = 2000
const FLAPS_MAX = 8
/** How long a flapping node lives, and how long it lies. */
const FLAP_UP_MS_MAX = 400
const FLAP_DOWN_MS_MAX = 150
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
      { name: 'restartAll', everyMs: plan.restartAllEveryMs, hit: (own) => this.#restartAll(own) },
      { name: 'mastersGone', everyMs: plan.mastersGoneEveryMs, hit: (own) => this.#mastersGone(own) },
      { name: 'flap', everyMs: plan.flapEveryMs, hit: (own) => this.#flap(own) },
      { name: 'pause', everyMs: plan.pauseEveryMs, hit: (own) => this.#pause(own, own.fraction() * plan.pauseMsMax) },
      { name: 'longPause', everyMs: plan.longPauseEveryMs, hit: (own) => this.#pause(own, own.between(LONG_PAUSE_MS_MIN, LONG_PAUSE_MS_MAX)) },
      { name: 'stop', everyMs: plan.stopEveryMs, hit: (own) => this.#stop(own) },
    ]
  }

  begin(): void {
    if (this.#plan.turnMsMax > 0) for (const node of this.#hands.nodes) this.#hands.world.struck('slowLoop', node)
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

  /** Restarting every node at once recovers from disk: nobody founds again. */
  #restartAll(random: Random): readonly Process[] {
    const hit = this.#hands.nodes.filter((node) => node.running)
    const how = random.pick<Death>(['killed', 'restarted'])
    for (const node of hit) {
      node.restartAfterMs = random.fraction() * Math.min(this.#plan.downMsMax, RESTART_ALL_MS_MAX)
      node.crash(how)
    }
    return hit
  }

  #mastersGone(random: Random): readonly Process[] {
    const masters = this.#hands.guard.masters(random)
    if (masters.length < 3) return NOBODY
    const spared = random.pick(masters)
    const hit = masters.filter((node) => node !== spared && node.running)
    const ms = random.fraction() * this.#plan.mastersGoneMsMax
    for (const node of hit) {
      node.restartAfterMs = ms + random.fraction() * this.#plan.downMsMax
      node.crash(random.pick<Death>(['killed', 'restarted', 'unreachable']))
    }
    return hit
  }

  #flap(random: Random): readonly Process[] {
    const node = this.#hands.victim(random)
    if (node === undefined || !node.running) return NOBODY
    this.#fall(node, random, 2 + random.below(FLAPS_MAX - 1))
    return [node]
  }

  #fall(node: NodeProcess, random: Random, times: number): void {
    node.restartAfterMs = random.fraction() * FLAP_DOWN_MS_MAX
    node.crash(random.pick<Death>(['killed', 'restarted']))
    if (times > 1) this.#hands.after(node.restartAfterMs + random.fraction() * FLAP_UP_MS_MAX, () => this.#fall(node, random, times - 1))
  }

  #pause(random: Random, ms: number): readonly Process[] {
    const { world, clients } = this.#hands
    const process = random.chance(0.3) && clients.length > 0 ? random.pick(clients) : this.#hands.victim(random)
    if (process === undefined || process.state !== 'up') return NOBODY
    world.pause(process, ms)
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
