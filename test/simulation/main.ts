//! `pnpm sim --seeds N [--from S] [--seed S] [--processes P] [--until-failure] [--json]`: runs the cluster under seeded faults and
//! checks every invariant. Exits with 1 when a seed failed.

import { parseArgs } from 'node:util'
import { runBatch, runCrew } from './batch.ts'

const SEEDS_DEFAULT = 20

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string' }, from: { type: 'string' }, seed: { type: 'string' }, processes: { type: 'string' },
      'until-failure': { type: 'boolean', default: false }, json: { type: 'boolean', default: false },
    },
  })
  const one = values.seed === undefined ? undefined : wholeNumber(values.seed, '--seed')
  const from = one ?? wholeNumber(values.from ?? '1', '--from')
  const seeds = one === undefined ? wholeNumber(values.seeds ?? String(SEEDS_DEFAULT), '--seeds') : 1
  const processes = wholeNumber(values.processes ?? '1', '--processes')
  const say = values.json ? (): void => {} : (text: string): void => console.log(text)
  const options = { untilFailure: values['until-failure'], eachSeed: one !== undefined, say }
  const summary = processes > 1 ? await runCrew(from, seeds, processes, options) : runBatch(from, seeds, options)
  const coverage = Object.entries(summary.coverage).sort(([a], [b]) => (a < b ? -1 : 1))
  const eventsPerSecond = Math.round(summary.events / summary.seconds)
  for (const [what, times] of coverage) say(`${what.padEnd(24)} ${times}`)
  say(`${summary.seeds} seeds, ${summary.failed.length} failed, ${summary.events} events, ${eventsPerSecond} events a second and core`)
  if (values.json) console.log(JSON.stringify({ ...summary, eventsPerSecond, coverage: Object.fromEntries(coverage) }))
  process.exitCode = summary.failed.length > 0 ? 1 : 0
}

function wholeNumber(text: string, flag: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${flag} takes a whole number, not ${text}`)
  return value
}

await main()
