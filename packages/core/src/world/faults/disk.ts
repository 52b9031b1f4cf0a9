//! Faults of disks: slow ones, and one that is lost as a whole.

import type { Random } from '../../random.ts'
import { type DiskSettings, NodeProcess, QUIET_DISK } from '../node.ts'
import type { Process } from '../process.ts'
import { type FaultSource, type Hands, NOBODY, type Strike } from './source.ts'
import { every, share } from './swarm.ts'

export interface DiskPlan {
  readonly settings: DiskSettings
  readonly wipeEveryMs: number
  /** How long a node whose disk was lost stays away. */
  readonly wipedMsMax: number
}

export const NO_DISK_FAULTS: DiskPlan = { settings: QUIET_DISK, wipeEveryMs: 0, wipedMsMax: 0 }

export function drawDisk(random: Random): DiskPlan {
  const slow = random.chance(0.25)
  return {
    settings: { delayMsMin: 0.05, delayMsMax: slow ? 5 + random.fraction() * 40 : 0.2 + random.fraction() * 3, slowChance: share(random, 0.01), slowMsMax: random.between(20, 1500) },
    wipeEveryMs: every(random, 0.3, 8000, 25_000),
    wipedMsMax: random.pick([300, 2000, 5000, 12_000]),
  }
}

export class DiskFaults implements FaultSource {
  readonly strikes: readonly Strike[]
  readonly #hands: Hands
  readonly #plan: DiskPlan

  constructor(hands: Hands, plan: DiskPlan) {
    this.#hands = hands
    this.#plan = plan
    this.strikes = [{ name: 'wipe', everyMs: plan.wipeEveryMs, hit: (random) => this.#wipe(random) }]
  }

  begin(): void {
    for (const node of this.#hands.nodes) node.diskSettings = this.#plan.settings
  }

  added(process: Process): void {
    if (this.#hands.active && process instanceof NodeProcess) process.diskSettings = this.#plan.settings
  }

  heal(): void {
    for (const node of this.#hands.nodes) node.diskSettings = QUIET_DISK
  }

  #wipe(random: Random): readonly Process[] {
    const { guard, world } = this.#hands
    const node = this.#hands.victim(random)
    if (node === undefined || !guard.mayWipe(node)) return NOBODY
    guard.wiped(node)
    node.restartAfterMs = undefined
    node.crash('unreachable')
    node.replaceDisk(guard.emptyDisk())
    world.restart(node, random.fraction() * this.#plan.wipedMsMax)
    return [node]
  }
}
