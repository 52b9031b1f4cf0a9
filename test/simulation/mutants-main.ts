//! `pnpm mutants [--seeds N] [--only NAME] [--json]`: plants one bug after the other and lets the simulator look for it.
//! Exits with 1 when one survives, or when a mutant no longer fits the sources.

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { MUTANTS } from './mutants/all.ts'
import type { Mutant } from './mutants/mutant.ts'
import { misfit, plant, remove } from './mutants/tree.ts'
import { PARTS } from './parts.ts'
import { runSeed } from './run.ts'

/** Seeds after which a mutant counts as having survived. */
const SEEDS_DEFAULT = 400
/** Mutants at a time: the machines that run this have two cores. */
const PROCESSES = 2

interface Outcome {
  readonly name: string
  readonly caught: boolean
  /** Seeds that were run until it was caught. */
  readonly seeds: number
  readonly invariant: string | undefined
}

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
  const outcomes = await hunt(wanted, seeds, say)
  const survived = outcomes.filter((outcome) => !outcome.caught).length
  const medianSeeds = median(outcomes.filter((outcome) => outcome.caught).map((outcome) => outcome.seeds))
  say(`${outcomes.length} mutants, ${survived} survived; half of those caught needed ${medianSeeds} seeds or fewer`)
  if (values.json) console.log(JSON.stringify({ mutants: outcomes, survived, medianSeeds }))
  process.exitCode = survived > 0 ? 1 : 0
}

async function hunt(mutants: readonly Mutant[], seeds: number, say: (text: string) => void): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = []
  const left = [...mutants]
  const hunter = async (): Promise<void> => {
    for (let mutant = left.shift(); mutant !== undefined; mutant = left.shift()) {
      const outcome = await huntOne(mutant, seeds)
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

/** A seed that fails without the mutant too says nothing about it: the hunt goes on behind that seed. */
async function huntOne(mutant: Mutant, seeds: number): Promise<Outcome> {
  const folder = plant(mutant)
  try {
    for (let from = 1; from <= seeds; ) {
      const failed = await firstFailure(folder, from, seeds - from + 1)
      if (failed === undefined) break
      if (runSeed(failed.seed, PARTS).violation === undefined) return { name: mutant.name, caught: true, seeds: failed.seed, invariant: failed.invariant }
      from = failed.seed + 1
    }
    return { name: mutant.name, caught: false, seeds, invariant: undefined }
  } finally {
    remove(folder)
  }
}

function firstFailure(folder: string, from: number, seeds: number): Promise<{ seed: number; invariant: string } | undefined> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(folder, 'simulation/main.js'), '--from', String(from), '--seeds', String(seeds), '--until-failure', '--json'], { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part))
    child.on('error', reject)
    child.on('close', () => {
      const last = text.trimEnd().split('\n').at(-1) ?? ''
      try {
        resolve((JSON.parse(last) as { failed: { seed: number; invariant: string }[] }).failed[0])
      } catch {
        reject(new Error(`the simulator did not end with a line of JSON: ${last}`))
      }
    })
  })
}

await main()
