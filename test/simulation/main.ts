//! `pnpm sim --seeds N [--from S] [--seed S] [--until-failure] [--json]`: runs the cluster under seeded faults and checks every invariant.
//! Exits with 1 when a seed failed.

import { parseArgs } from 'node:util'
import { PARTS } from './parts.ts'
import { failureText } from './report.ts'
import { runSeed, type SeedResult } from './run.ts'
import { inputsOfActors } from './tally.ts'

/** So often a seed is run twice, and both runs must leave the same trace. */
const TWICE_EVERY = 50
const SEEDS_DEFAULT = 20

interface Summary {
  readonly seeds: number
  readonly failed: { seed: number; invariant: string }[]
  /** What the world handed to processes. */
  readonly deliveries: number
  /** Inputs that the actors inside them were given. */
  readonly events: number
  readonly eventsPerSecond: number
  readonly coverage: Record<string, number>
}

function main(): void {
  const { values } = parseArgs({ options: { seeds: { type: 'string' }, from: { type: 'string' }, seed: { type: 'string' }, 'until-failure': { type: 'boolean', default: false }, json: { type: 'boolean', default: false } } })
  const one = values.seed === undefined ? undefined : wholeNumber(values.seed, '--seed')
  const from = one ?? wholeNumber(values.from ?? '1', '--from')
  const seeds = one === undefined ? wholeNumber(values.seeds ?? String(SEEDS_DEFAULT), '--seeds') : 1
  const summary = runSeeds(from, seeds, values['until-failure'], values.json ? () => {} : (text) => console.log(text), one !== undefined)
  if (values.json) console.log(JSON.stringify(summary))
  process.exitCode = summary.failed.length > 0 ? 1 : 0
}

function runSeeds(from: number, seeds: number, untilFailure: boolean, say: (text: string) => void, always: boolean): Summary {
  const failed: { seed: number; invariant: string }[] = []
  const coverage = new Map<string, number>()
  let deliveries = 0
  const before = inputsOfActors()
  const began = performance.now()
  for (let seed = from; seed < from + seeds && !(untilFailure && failed.length > 0); seed++) {
    const result = runSeed(seed, PARTS)
    deliveries += result.events
    for (const [what, times] of result.coverage) coverage.set(what, (coverage.get(what) ?? 0) + times)
    if (result.violation !== undefined) {
      failed.push({ seed, invariant: result.violation.invariant })
      say(failureText(result))
    } else if (seed % TWICE_EVERY === 0 && runSeed(seed, PARTS).trace !== result.trace) {
      failed.push({ seed, invariant: 'determinism' })
      say(`seed ${seed} left two different traces`)
    }
    if (always) say(lineOf(result))
  }
  const seconds = (performance.now() - began) / 1000
  const events = inputsOfActors() - before
  const summary: Summary = { seeds, failed, deliveries, events, eventsPerSecond: Math.round(events / seconds), coverage: Object.fromEntries([...coverage].sort(([a], [b]) => (a < b ? -1 : 1))) }
  for (const [what, times] of Object.entries(summary.coverage)) say(`${what.padEnd(24)} ${times}`)
  say(`${seeds} seeds, ${failed.length} failed, ${events} events, ${summary.eventsPerSecond} events a second`)
  return summary
}

function lineOf(result: SeedResult): string {
  return `seed ${result.seed}: ${result.events} deliveries, ${result.turns} turns, trace ${result.trace}`
}

function wholeNumber(text: string, flag: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${flag} takes a whole number, not ${text}`)
  return value
}

main()
