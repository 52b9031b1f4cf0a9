//! Faults of the network: how good it is while the faults last, partitions, and connections that break.

import type { Random } from '../../random.ts'
import { type NetworkSettings, QUIET_NETWORK } from '../conditions.ts'
import type { Process } from '../process.ts'
import { type FaultSource, type Hands, NOBODY, type Strike } from './source.ts'
import { every, share } from './swarm.ts'

export interface NetworkPlan {
  readonly settings: NetworkSettings
  readonly partitionEveryMs: number
  readonly partitionMsMax: number
  /** Part of the partitions that hold in one direction only. */
  readonly oneWayChance: number
  readonly cutEveryMs: number
}

export const NO_NETWORK_FAULTS: NetworkPlan = { settings: QUIET_NETWORK, partitionEveryMs: 0, partitionMsMax: 0, oneWayChance: 0, cutEveryMs: 0 }

/** The tags of messages between the masters of a shard (message/consensus.ts): Raft bears what an adversary does to them. */
const CONSENSUS_TAG_MIN = 0x20
const CONSENSUS_TAG_MAX = 0x3f

export function drawNetwork(random: Random): NetworkPlan {
  const slow = random.chance(0.25)
  return {
    settings: {
      delayMsMin: slow ? 2 : 0.05,
      delayMsMax: slow ? 5 + random.fraction() * 40 : 0.2 + random.fraction() * 2,
      lossChance: share(random, 0.2),
      duplicateChance: share(random, 0.1),
      spikeChance: share(random, 0.02),
      spikeMsMax: random.between(50, 1000),
      adversaryChance: random.chance(0.25) ? random.fraction() * 0.05 : 0,
      adversaryTagMin: CONSENSUS_TAG_MIN,
      adversaryTagMax: CONSENSUS_TAG_MAX,
    },
    partitionEveryMs: every(random, 0.5, 2000, 15_000),
    partitionMsMax: random.between(200, 6000),
    oneWayChance: share(random, 1),
    cutEveryMs: every(random, 0.5, 500, 10_000),
  }
}

export class NetworkFaults implements FaultSource {
  readonly strikes: readonly Strike[]
  readonly #hands: Hands
  readonly #plan: NetworkPlan

  constructor(hands: Hands, plan: NetworkPlan) {
    this.#hands = hands
    this.#plan = plan
    this.strikes = [
      { name: 'partition', everyMs: plan.partitionEveryMs, hit: (random) => this.#partition(random) },
      { name: 'cut', everyMs: plan.cutEveryMs, hit: (random) => this.#cut(random) },
    ]
  }

  begin(): void {
    this.#hands.world.network.conditions.settings = this.#plan.settings
  }

  heal(): void {
    const { network } = this.#hands.world
    network.conditions.settings = QUIET_NETWORK
    network.heal()
  }

  /** A random part of the nodes and clients does not reach the rest, or is not reached by it. */
  #partition(random: Random): readonly Process[] {
    const { world } = this.#hands
    const ms = random.fraction() * this.#plan.partitionMsMax
    const victim = random.chance(0.4) ? this.#hands.victim(random) : undefined
    const inside = world.processes.filter((process) => (victim === undefined ? random.chance(0.4) : process === victim))
    const outside = world.processes.filter((process) => !inside.includes(process))
    if (inside.length === 0 || outside.length === 0) return NOBODY
    const oneWay = random.chance(this.#plan.oneWayChance)
    for (const a of inside) {
      for (const b of outside) {
        world.network.block(a, b, ms)
        if (!oneWay) world.network.block(b, a, ms)
      }
    }
    return inside
  }

  #cut(random: Random): readonly Process[] {
    const { network } = this.#hands.world
    const links = network.standing()
    if (links.length === 0) return NOBODY
    const link = random.pick(links)
    network.cut(link)
    return [link.dialler.process]
  }
}
