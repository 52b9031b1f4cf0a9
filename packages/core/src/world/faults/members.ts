//! Faults of who is who: nodes that join together, move, draw equal values, run another version, run twice, another cluster,
//! and an operator who drains nodes and forgets them.

import { GOSSIP_FORMAT } from '../../message/gossip.ts'
import type { Random } from '../../random.ts'
import type { Process } from '../process.ts'
import { noise } from './garbage.ts'
import { newerDatagram } from './newer.ts'
import { type FaultSource, type Hands, NOBODY, type Strike } from './source.ts'
import { every, share } from './swarm.ts'

export interface MembersPlan {
  /** Several nodes join in the same instant. */
  readonly joinEveryMs: number
  /** A node that comes back under another address, or two that come back with each other's. */
  readonly moveEveryMs: number
  /** Bits of the values that nodes draw: few, and ties are frequent. 0 draws as in earnest. */
  readonly valueTieBits: number
  /** Part of the nodes that run the next version, and how often they say something that only they know. */
  readonly newerChance: number
  readonly newerEveryMs: number
  /** When another cluster is in reach; 0 is never. */
  readonly strangersEveryMs: number
  /** A copied data directory is run beside the original. Nothing else happens then: together with other failures it is outside the promise. */
  readonly twinEveryMs: number
  /** A node is drained, for so long at the most; then it is an ordinary one again, or in part of the cases leaves the cluster. */
  readonly drainEveryMs: number
  readonly drainMsMax: number
  readonly leaveChance: number
  /** Part of those that leave which are not waited for. */
  readonly forceChance: number
  /** Identities that were lost with their disks are struck from the registry. */
  readonly forgetEveryMs: number
}

export const NO_MEMBER_FAULTS: MembersPlan = { joinEveryMs: 0, moveEveryMs: 0, valueTieBits: 0, newerChance: 0, newerEveryMs: 0, strangersEveryMs: 0, twinEveryMs: 0, drainEveryMs: 0, drainMsMax: 0, leaveChance: 0, forceChance: 0, forgetEveryMs: 0 }

export function drawMembers(random: Random): MembersPlan {
  return {
    joinEveryMs: every(random, 0.3, 4000, 20_000),
    moveEveryMs: every(random, 0.25, 4000, 15_000),
    valueTieBits: random.chance(0.4) ? 4 : 0,
    newerChance: random.chance(0.3) ? random.fraction() : 0,
    newerEveryMs: random.between(500, 4000),
    strangersEveryMs: every(random, 0.15, 2000, 10_000),
    twinEveryMs: random.chance(0.06) ? random.between(2000, 12_000) : 0,
    drainEveryMs: every(random, 0.4, 2000, 10_000),
    drainMsMax: random.between(500, 12_000),
    leaveChance: random.fraction(),
    forgetEveryMs: every(random, 0.3, 2000, 10_000),
    forceChance: share(random, 1),
  }
}

const JOINING_MAX = 3
const MOVE_MS_MAX = 2000

export class MemberFaults implements FaultSource {
  readonly strikes: readonly Strike[]
  readonly #hands: Hands
  readonly #plan: MembersPlan
  readonly #random: Random

  constructor(hands: Hands, plan: MembersPlan, random: Random) {
    this.#hands = hands
    this.#plan = plan
    this.#random = random
    this.strikes = [
      { name: 'join', everyMs: plan.joinEveryMs, hit: (own) => hands.guard.join(1 + own.below(JOINING_MAX)) },
      { name: 'move', everyMs: plan.moveEveryMs, hit: (own) => this.#move(own) },
      { name: 'newer', everyMs: plan.newerChance > 0 ? plan.newerEveryMs : 0, hit: (own) => this.#sayNews(own) },
      { name: 'strangers', everyMs: plan.strangersEveryMs, hit: (own) => this.#meet(own) },
      { name: 'twin', everyMs: plan.twinEveryMs, hit: (own) => this.#twin(own) },
      { name: 'drain', everyMs: plan.drainEveryMs, hit: (own) => this.#drain(own) },
      { name: 'forget', everyMs: plan.forgetEveryMs, hit: () => hands.guard.forgetLost() },
    ]
  }

  added(process: Process): void {
    const node = this.#hands.nodes.find((one) => one === process)
    if (node !== undefined) node.newer = this.#random.chance(this.#plan.newerChance)
  }

  #move(random: Random): readonly Process[] {
    const { guard, nodes, world } = this.#hands
    const node = this.#hands.victim(random)
    const home = node && guard.otherHome(node, random)
    if (node === undefined || home === undefined) return NOBODY
    const other = nodes.find((one) => one.home === home)
    const moving = other === undefined ? [node] : [node, other]
    for (const one of moving) {
      one.restartAfterMs = random.fraction() * MOVE_MS_MAX
      if (one.running) one.crash('killed')
      else world.restart(one, one.restartAfterMs)
    }
    if (other === undefined) world.move(node, home)
    else world.swap(node, other)
    return moving
  }

  #sayNews(random: Random): readonly Process[] {
    const { nodes, world } = this.#hands
    const newer = nodes.filter((node) => node.newer && node.running && node.lastDatagram?.[0] === GOSSIP_FORMAT)
    if (newer.length === 0 || nodes.length < 2) return NOBODY
    const from = random.pick(newer)
    const target = random.pick(nodes.filter((node) => node !== from))
    world.network.forge(from.home, target, newerDatagram(from.lastDatagram!, random))
    return [target]
  }

  /** The other cluster's nodes know ours by address from now on; and now and then one dials, as gossip alone would never let it. */
  #meet(random: Random): readonly Process[] {
    const strangers = this.#hands.guard.meet()
    const target = random.pick(this.#hands.nodes)
    if (strangers.length === 0 || target.nodeId === undefined) return NOBODY
    const stranger = random.pick(strangers)
    if (stranger.nodeId === undefined) return NOBODY
    stranger.address(target.nodeId, target.home)
    stranger.send(target.nodeId, noise(random, 20))
    return [target]
  }

  #twin(random: Random): readonly Process[] {
    const node = this.#hands.victim(random)
    const twin = node && this.#hands.guard.twin(node)
    return node === undefined || twin === undefined ? NOBODY : [node]
  }

  #drain(random: Random): readonly Process[] {
    const { guard, world } = this.#hands
    const node = this.#hands.victim(random)
    const ms = random.fraction() * this.#plan.drainMsMax
    const leaves = random.chance(this.#plan.leaveChance)
    const forced = random.chance(this.#plan.forceChance)
    const drained = node && guard.drain(node)
    if (node === undefined || drained === undefined) return NOBODY
    this.#hands.after(ms, () => {
      if (guard.endDrain(drained, leaves, forced)) world.struck('leave', node)
    })
    return [node]
  }
}
