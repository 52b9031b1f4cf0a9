//! The hunt for one planted bug: seeds of the simulator over the core that has it, until one fails that is whole without it.

import { join } from 'node:path'
import { runApart } from '../batch.ts'
import { PARTS } from '../parts.ts'
import { runSeed } from '../run.ts'
import type { Mutant } from './mutant.ts'
import { plant, remove } from './tree.ts'

export interface Outcome {
  readonly name: string
  readonly caught: boolean
  /** Seeds that were run. */
  readonly seeds: number
  readonly invariant: string | undefined
}

/** So many seeds are looked through for each of those that draw what a mutant needs. */
const DRAWN_OF = 20

/** A seed that fails without the mutant too says nothing about it: the hunt goes on behind that seed. */
export async function hunt(mutant: Mutant, seeds: number): Promise<Outcome> {
  const folder = plant(mutant)
  const main = join(folder, 'simulation/main.js')
  try {
    let done = 0
    const last = mutant.needs === undefined ? seeds : DRAWN_OF * seeds
    for (let from = 1; from <= last; ) {
      const { seeds: run, failed: [failed] } = await runApart(main, ['--from', String(from), '--seeds', String(last - from + 1), '--until-failure', ...(mutant.needs === undefined ? [] : ['--with', mutant.needs])])
      done += run
      if (failed === undefined) break
      if (runSeed(failed.seed, PARTS).violation === undefined) return { name: mutant.name, caught: true, seeds: done, invariant: failed.invariant }
      from = failed.seed + 1
    }
    return { name: mutant.name, caught: false, seeds: done, invariant: undefined }
  } finally {
    remove(folder)
  }
}
