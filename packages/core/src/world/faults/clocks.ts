//! Faults of clocks: monotonic ones that run fast or slow, wall clocks that are off and jump.

import type { Random } from '../../random.ts'
import type { Process } from '../process.ts'
import type { FaultSource, Hands, Strike } from './source.ts'
import { every } from './swarm.ts'

export interface ClocksPlan {
  /** Clocks run fast or slow by up to this part. */
  readonly driftMax: number
  readonly wallOffsetMsMax: number
  readonly wallJumpEveryMs: number
  readonly wallJumpMsMax: number
}

export const NO_CLOCK_FAULTS: ClocksPlan = { driftMax: 0, wallOffsetMsMax: 0, wallJumpEveryMs: 0, wallJumpMsMax: 0 }

export function drawClocks(random: Random): ClocksPlan {
  return {
    driftMax: random.chance(0.5) ? random.fraction() * 0.05 : 0,
    wallOffsetMsMax: every(random, 0.5, 1, 3000),
    wallJumpEveryMs: every(random, 0.25, 5000, 30_000),
    wallJumpMsMax: random.pick([200, 2000, 120_000, 3_600_000]),
  }
}

export class ClockFaults implements FaultSource {
  readonly strikes: readonly Strike[]
  readonly #hands: Hands
  readonly #plan: ClocksPlan
  readonly #random: Random

  constructor(hands: Hands, plan: ClocksPlan, random: Random) {
    this.#hands = hands
    this.#plan = plan
    this.#random = random
    this.strikes = [{ name: 'wallJump', everyMs: plan.wallJumpEveryMs, hit: (own) => this.#jump(own) }]
  }

  begin(): void {
    const { world } = this.#hands
    for (const process of world.processes) {
      if (this.#plan.driftMax > 0) world.struck('drift', process)
      if (this.#plan.wallOffsetMsMax > 0) world.struck('wallOffset', process)
    }
  }

  added(process: Process): void {
    const { driftMax, wallOffsetMsMax } = this.#plan
    // A clock has its rate from the first start on: a rate that changes while a process runs would be a jump.
    process.clock.setRate(1 + (this.#random.fraction() * 2 - 1) * driftMax)
    process.clock.jumpWall(Math.floor((this.#random.fraction() * 2 - 1) * wallOffsetMsMax))
  }

  #jump(random: Random): readonly Process[] {
    const process = random.pick(this.#hands.world.processes)
    process.clock.jumpWall(random.between(-this.#plan.wallJumpMsMax, this.#plan.wallJumpMsMax))
    return [process]
  }
}
