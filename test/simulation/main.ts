//! `pnpm sim --seeds N [--from S] [--seed S] [--processes P] [--with FAULT] [--until-failure] [--json]`: runs the cluster under seeded faults and
//! checks every invariant. Exits with 1 when a seed failed. `--scale` measures large clusters instead (`scale/scale.ts`).

import { parseArgs } from 'node:util'
import { runBatch, runCrew } from './batch.ts'
import { runScale } from './scale/scale.ts'

const SEEDS_DEFAULT = 20

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string' }, from: { type: 'string' }, seed: { type: 'string' }, processes: { type: 'string' },
      with: { type: 'string' }, 'until-failure': { type: 'boolean', default: false }, json: { type: 'boolean', default: false },
      scale: { type: 'boolean', default: false }, nodes: { type: 'string', default: '10,30,100,300' }, shards: { type: 'string', default: '256' }, minutes: { type: 'string', default: '1' },
    },
  })
  const say = values.json ? (): void => {} : (text: string): void => console.log(text)
  if (values.scale) {
    const sizes = values.nodes.split(',').map((size) => wholeNumber(size, '--nodes'))
    const results = runScale({ sizes, shards: wholeNumber(values.shards, '--shards'), minutes: wholeNumber(values.minutes, '--minutes'), seed: wholeNumber(values.seed ?? '1', '--seed'), say })
    if (values.json) console.log(JSON.stringify({ scale: results }))
    process.exitCode = results.some(({ complaints }) => complaints.length > 0) ? 1 : 0
    return
  }
  const one = values.seed === undefined ? undefined : wholeNumber(values.seed, '--seed')
  const from = one ?? wholeNumber(values.from ?? '1', '--from')
  const seeds = one === undefined ? wholeNumber(values.seeds ?? String(SEEDS_DEFAULT), '--seeds') : 1
  const processes = wholeNumber(values.processes ?? '1', '--processes')
  const options = { untilFailure: values['until-failure'], wanted: values.with, eachSeed: one !== undefined, say }
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
