//! Bugs planted in core that the explorer must find by itself: each in a copy of core, one scope after the other until a law breaks.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { MUTANTS } from '../simulation/mutants/all.ts'
import type { Mutant } from '../simulation/mutants/mutant.ts'
import { misfit, plant, remove } from '../simulation/mutants/tree.ts'
import { type Outcome, SCOPES } from './scopes.ts'

/** What the explorer is there for; other mutants are of parts that no scope has. */
const WITHIN = [
  'vote before fsync', 'vote twice in a term', 'append acknowledged before fsync', 'ack after one disk', 'old-term entry committed by counting', 'joint change by one majority',
  'log not compared before a vote',
]

export interface Caught {
  readonly name: string
  readonly caught: boolean
  readonly scope: string | undefined
  readonly law: string | undefined
  /** Steps of the shortest way. */
  readonly steps: number
  /** States that were visited until then, over all scopes that were tried. */
  readonly states: number
}

/** Throws where a mutant is missing or no longer fits the sources. */
export function hunt(only: string | undefined, told: (caught: Caught) => void): readonly Caught[] {
  return WITHIN.filter((name) => only === undefined || name === only).map((name) => {
    const mutant = MUTANTS.find((one) => one.name === name)
    const why = mutant === undefined ? 'there is no such mutant' : misfit(mutant)
    if (why !== undefined) throw new Error(`${name}: ${why}`)
    const caught = huntOne(mutant!)
    told(caught)
    return caught
  })
}

function huntOne(mutant: Mutant): Caught {
  const folder = plant(mutant, ['explorer', 'unit', 'simulation'])
  let states = 0
  try {
    for (const scope of SCOPES) {
      const outcome = explore(folder, scope.name)
      states += outcome.states
      if (outcome.violation) return { name: mutant.name, caught: true, scope: scope.name, law: outcome.violation.law, steps: outcome.violation.story.length, states }
    }
    return { name: mutant.name, caught: false, scope: undefined, law: undefined, steps: 0, states }
  } finally {
    remove(folder)
  }
}

function explore(folder: string, scope: string): Outcome {
  const { stdout, stderr } = spawnSync(process.execPath, [join(folder, 'explorer/main.js'), '--scope', scope, '--json'], { encoding: 'utf8', maxBuffer: 1 << 24 })
  const last = stdout.trimEnd().split('\n').at(-1) ?? ''
  try {
    return (JSON.parse(last) as { scopes: Outcome[] }).scopes[0]!
  } catch {
    throw new Error(`the explorer did not end with a line of JSON: ${last}${stderr}`)
  }
}
