//! Faults of the network: how good it is while the faults last, partitions, and connections that break.

import type { Random } from '../../random.ts'
import { type NetworkSettings, QUIET_NETWORK } from '../conditions.ts'
import type { Link } from '../link.ts'
import type { Process } from '../process.ts'
import { noise, spoilt } from './garbage.ts'
import { type FaultSource, type Hands, NOBODY, type Strike } from './source.ts'
import { every, share } from './swarm.ts'

export interface NetworkPlan {
  readonly settings: NetworkSettings
  readonly partitionEveryMs: number
  readonly partitionMsMax: number
  /** Part of the partitions that hold in one direction only. */
  readonly oneWayChance: number
  /** Two halves that see each other only through one node. */
  readonly bridgeEveryMs: number
  readonly cutEveryMs: number
  /** A link whose bytes stop for a while, then all come. */
  readonly clogEveryMs: number
  readonly clogMsMax: number
  /** A connection of which one end is gone while the other believes in it. */
  readonly halfOpenEveryMs: number
  /** Datagrams that nobody sent, or that are damaged. */
  readonly garbageDatagramEveryMs: number
  /** A node that sends another what is no message. */
  readonly garbageFrameEveryMs: number
}

export const NO_NETWORK_FAULTS: NetworkPlan = {
  settings: QUIET_NETWORK, partitionEveryMs: 0, partitionMsMax: 0, oneWayChance: 0, bridgeEveryMs: 0, cutEveryMs: 0, clogEveryMs: 0, clogMsMax: 0, halfOpenEveryMs: 0, garbageDatagramEveryMs: 0, garbageFrameEveryMs: 0,
}

/** The tags of messages between the masters of a shard (message/consensus.ts): Raft bears what an adversary does to them. */
const CONSENSUS_TAG_MIN = 0x20
const CONSENSUS_TAG_MAX = 0x3f

export function drawNetwork(random: Random): NetworkPlan {
  const slow = random.chance(0.25)
  return {
    settings: {
      delayMsMin: slow ? 2 : 0.05,
      delayMsMax: slow ? 5 + random.fraction() * 40 : 0.2 + random.fraction() * 2,
      lossChance: share(random, 0.3),
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
    bridgeEveryMs: every(random, 0.2, 4000, 20_000),
    cutEveryMs: every(random, 0.5, 500, 10_000),
    clogEveryMs: every(random, 0.3, 500, 8000),
    clogMsMax: random.between(100, 5000),
    halfOpenEveryMs: every(random, 0.25, 1000, 12_000),
    garbageDatagramEveryMs: every(random, 0.3, 100, 2000),
    garbageFrameEveryMs: every(random, 0.25, 500, 5000),
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
      { name: 'bridge', everyMs: plan.bridgeEveryMs, hit: (random) => this.#bridge(random) },
      { name: 'cut', everyMs: plan.cutEveryMs, hit: (random) => this.#cut(random) },
      { name: 'clog', everyMs: plan.clogEveryMs, hit: (random) => this.#clog(random) },
      { name: 'halfOpen', everyMs: plan.halfOpenEveryMs, hit: (random) => this.#halfOpen(random) },
      { name: 'garbageDatagram', everyMs: plan.garbageDatagramEveryMs, hit: (random) => this.#garbageDatagram(random) },
      { name: 'garbageFrame', everyMs: plan.garbageFrameEveryMs, hit: (random) => this.#garbageFrame(random) },
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

  /** One node in the middle reaches everybody; the others are in two halves that do not see each other. */
  #bridge(random: Random): readonly Process[] {
    const { world } = this.#hands
    const middle = this.#hands.victim(random)
    if (middle === undefined) return NOBODY
    const ms = random.fraction() * this.#plan.partitionMsMax
    const left = world.processes.filter((process) => process !== middle && random.chance(0.5))
    const right = world.processes.filter((process) => process !== middle && !left.includes(process))
    if (left.length === 0 || right.length === 0) return NOBODY
    for (const a of left) {
      for (const b of right) {
        world.network.part(a, b, ms)
      }
    }
    return [middle, ...left]
  }

  #cut(random: Random): readonly Process[] {
    const link = this.#standing(random)
    if (link === undefined) return NOBODY
    this.#hands.world.network.cut(link)
    return [link.dialler.process]
  }

  #clog(random: Random): readonly Process[] {
    const link = this.#standing(random)
    if (link?.acceptor === undefined) return NOBODY
    this.#hands.world.network.clog(link, random.fraction() * this.#plan.clogMsMax)
    return [link.acceptor.process]
  }

  #halfOpen(random: Random): readonly Process[] {
    const link = this.#standing(random)
    if (link?.acceptor === undefined) return NOBODY
    const [told, believes] = random.chance(0.5) ? [link.dialler, link.acceptor] : [link.acceptor, link.dialler]
    this.#hands.world.network.halfOpen(link, told)
    return [believes.process]
  }

  #standing(random: Random): Link | undefined {
    const links = this.#hands.world.network.standing()
    return links.length === 0 ? undefined : random.pick(links)
  }

  /** From anywhere to a node: random bytes, or the last datagram of another one, cut short, lengthened, or with a foreign head. */
  #garbageDatagram(random: Random): readonly Process[] {
    const { nodes, world } = this.#hands
    const target = nodes.length < 2 ? undefined : random.pick(nodes)
    if (target === undefined) return NOBODY
    const from = random.pick(nodes.filter((node) => node !== target))
    world.network.forge(from.home, target, spoilt(from.lastDatagram, random))
    return [target]
  }

  /** A node whose frames make no sense: whoever hears that ends the link and nothing else. */
  #garbageFrame(random: Random): readonly Process[] {
    const { network } = this.#hands.world
    const links = network.standing().filter((link) => link.between === 'nodes' && link.dialler.state === 'up')
    if (links.length === 0) return NOBODY
    const link = random.pick(links)
    network.send(link.dialler, noise(random, 1 + random.below(200)))
    return [link.acceptor!.process]
  }
}
