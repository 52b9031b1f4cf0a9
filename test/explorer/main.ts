//! `pnpm explore [--scope NAME] [--states N] [--json] [--mutants [--only NAME]]`: every state of each scope, breadth first. Exits with 1 on a violation, of
//! which it prints the shortest way, and where a scope is not exhausted within N states. With `--mutants` it looks for planted bugs instead, and exits
//! with 1 when one survives.

import { parseArgs } from 'node:util'
import { hunt } from './mutants.ts'
import { type NamedScope, SCOPES } from './scopes.ts'

/** A scope that is larger than this was not meant. */
const STATES_DEFAULT = 20_000_000

function main(): void {
  const { values } = parseArgs({
    options: { scope: { type: 'string' }, states: { type: 'string' }, json: { type: 'boolean', default: false }, mutants: { type: 'boolean', default: false }, only: { type: 'string' } },
  })
  const say = values.json ? (): void => {} : (text: string): void => console.log(text)
  if (values.mutants) return plantedBugs(values.only, values.json, say)
  const wanted = SCOPES.filter(({ name }) => values.scope === undefined || name === values.scope)
  if (wanted.length === 0) {
    console.error(`no such scope; there are: ${SCOPES.map(({ name }) => name).join(', ')}`)
    process.exitCode = 1
    return
  }
  allStates(wanted, Number(values.states ?? STATES_DEFAULT), values.json, say)
}

function allStates(wanted: readonly NamedScope[], statesMax: number, json: boolean, say: (text: string) => void): void {
  const scopes = wanted.map((scope) => {
    say(`${scope.name}: ${scope.bounds}`)
    const began = performance.now()
    const outcome = scope.explore(statesMax)
    const seconds = Math.round((performance.now() - began) / 100) / 10
    say(`  ${outcome.states} states, ${outcome.steps} steps, depth ${outcome.depth}, ${outcome.nodeStates} states of a node, ${outcome.messages} messages, ${seconds} s: ${outcome.exhausted ? 'exhausted' : 'not exhausted'}`)
    if (outcome.violation) say([`  ${outcome.violation.law}`, ...outcome.violation.story].join('\n    '))
    return { ...outcome, seconds }
  })
  const states = scopes.reduce((sum, scope) => sum + scope.states, 0)
  const violations = scopes.filter((scope) => scope.violation !== undefined).length
  const exhausted = scopes.every((scope) => scope.exhausted)
  const megabytes = Math.round(process.memoryUsage().rss / 1e6)
  say(`${scopes.length} scopes, ${states} states, ${violations} violations, ${megabytes} MB${exhausted ? ', all exhausted' : ''}`)
  if (json) console.log(JSON.stringify({ states, exhausted, violations, megabytes, scopes }))
  process.exitCode = exhausted ? 0 : 1
}

function plantedBugs(only: string | undefined, json: boolean, say: (text: string) => void): void {
  const mutants = hunt(only, ({ name, caught, scope, law, steps, states }) => say(caught ? `${name}: caught in '${scope}' after ${states} states, ${steps} steps: ${law}` : `${name}: survived ${states} states`))
  const survived = mutants.filter((mutant) => !mutant.caught).length
  say(`${mutants.length} mutants, ${survived} survived`)
  if (json) console.log(JSON.stringify({ mutants, survived }))
  process.exitCode = survived > 0 || mutants.length === 0 ? 1 : 0
}

main()
