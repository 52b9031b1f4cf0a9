//! `pnpm mutants [--seeds N] [--only NAME] [--json]`: plants one bug after the other and lets the simulator look for it.
//! Exits with 1 when one survives, or when a mutant no longer fits the sources.

import { parseArgs } from 'node:util'
import { MUTANTS } from './mutants/all.ts'
import { hunt, type Outcome } from './mutants/hunt.ts'
import type { Mutant } from './mutants/mutant.ts'
import { misfit } from './mutants/tree.ts'

/** Seeds after which a mutant counts as having survived. */
const SEEDS_DEFAULT = 1000
/** Mutants at a time: the machines that run this have two cores. */
const PROCESSES = 2

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { seeds: { type: 'string' }, only: { type: 'string' }, json: { type: 'boolean', default: false } } })
  const seeds = Number(values.seeds ?? SEEDS_DEFAULT)
  const wanted = MUTANTS.filter((mutant) => values.only === undefined || values.only.split(',').includes(mutant.name))
  const misfits = wanted.map((mutant) => ({ name: mutant.name, why: misfit(mutant) })).filter((one) => one.why !== undefined)
  if (misfits.length > 0 || wanted.length === 0) {
    for (const { name, why } of misfits) console.error(`${name}: ${why}`)
    if (wanted.length === 0) console.error('no such mutant')
    process.exitCode = 1
    return
  }
  const say = values.json ? (): void => {} : (text: string): void => console.log(text)
  const outcomes = await huntAll(wanted, seeds, say)
  const survived = outcomes.filter((outcome) => !outcome.caught).length
  const medianSeeds = median(outcomes.filter((outcome) => outcome.caught).map((outcome) => outcome.seeds))
  say(`${outcomes.length} mutants, ${survived} survived; half of those caught needed ${medianSeeds} seeds or fewer`)
  if (values.json) console.log(JSON.stringify({ mutants: outcomes, survived, medianSeeds }))
  process.exitCode = survived > 0 ? 1 : 0
}

async function huntAll(mutants: readonly Mutant[], seeds: number, say: (text: string) => void): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = []
  const left = [...mutants]
  const hunter = async (): Promise<void> => {
    for (let mutant = left.shift(); mutant !== undefined; mutant = left.shift()) {
      const outcome = await hunt(mutant, seeds)
      outcomes.push(outcome)
      say(`${outcome.name}: ${outcome.caught ? `caught as ${outcome.invariant} after ${outcome.seeds} seeds` : `survived ${outcome.seeds} seeds`}`)
    }
  }
  await Promise.all(Array.from({ length: PROCESSES }, hunter))
  return mutants.map((mutant) => outcomes.find((outcome) => outcome.name === mutant.name)!)
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[(values.length - 1) >> 1] ?? 0
}

await main()
