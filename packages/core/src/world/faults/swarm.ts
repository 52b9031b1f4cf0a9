//! How a plan is drawn: swarm testing. Each seed switches a random part of the faults on, since a run with all of them at
//! once never gets far enough to meet the rarer bugs.

import type { Random } from '../../random.ts'

/** A mean time between `low` and `high` ms in a part of the seeds, never (0) in the others. */
export function every(random: Random, seeds: number, low: number, high: number): number {
  return random.chance(seeds) ? random.between(low, high) : 0
}

/** A probability up to `most` in half of the seeds, 0 in the others. */
export function share(random: Random, most: number): number {
  return random.chance(0.5) ? random.fraction() * most : 0
}
