//! A row of seeds, one after the other in this process, or lots of them in several processes at once; and what came of it.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { PARTS } from './parts.ts'
import { failureText } from './report.ts'
import { runSeed, type SeedResult } from './run.ts'
import { drawSetup } from './setup.ts'
import { inputsOfActors } from './tally.ts'

export interface Failed {
  readonly seed: number
  readonly invariant: string
}

export interface Summary {
  readonly seeds: number
  readonly failed: readonly Failed[]
  /** Inputs that the world handed to the actors of processes; of wakes and turns only those in which an actor did something. */
  readonly deliveries: number
  /** All inputs of actors: the deliveries, and what the actors inside nodes and clients were given. */
  readonly events: number
  /** Of one core: seconds of several processes add up. */
  readonly seconds: number
  readonly coverage: Readonly<Record<string, number>>
}

export interface BatchOptions {
  readonly untilFailure: boolean
  /** Of the seeds only those that draw it, or all of several, with commas between: `source.option` as in docs/FAULTS.md. Throws a RangeError where there is none. */
  readonly wanted?: string | undefined
  /** A line for every seed, not only for those that failed. */
  readonly eachSeed: boolean
  say(text: string): void
}

/** So often a seed is run twice, and both runs must leave the same trace. */
const TWICE_EVERY = 50
/** Seeds that a process gets at a time: enough that most of them run on warm code, few enough that none is left alone with many at the end. */
const LOT = 50

export function runBatch(from: number, seeds: number, { untilFailure, wanted, eachSeed, say }: BatchOptions): Summary {
  const failed: Failed[] = []
  const coverage: Record<string, number> = {}
  const before = inputsOfActors()
  const began = performance.now()
  let deliveries = 0
  let done = 0
  for (let seed = from; seed < from + seeds && !(untilFailure && failed.length > 0); seed++) {
    if (wanted !== undefined && !draws(seed, wanted)) continue
    done++
    const result = runSeed(seed, PARTS)
    const again = result.violation === undefined && seed % TWICE_EVERY === 0 ? runSeed(seed, PARTS) : undefined
    deliveries += result.events + (again?.events ?? 0)
    addUp(coverage, Object.fromEntries(result.coverage))
    if (result.violation !== undefined) {
      failed.push({ seed, invariant: result.violation.invariant })
      say(failureText(result))
    } else if (again !== undefined && again.trace !== result.trace) {
      failed.push({ seed, invariant: 'determinism' })
      say(`seed ${seed} left two different traces`)
    }
    if (eachSeed) say(lineOf(result))
  }
  return { seeds: done, failed, deliveries, events: deliveries + inputsOfActors() - before, seconds: (performance.now() - began) / 1000, coverage }
}

function draws(seed: number, wanted: string): boolean {
  const plan = drawSetup(seed).plan as unknown as Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>
  return wanted.split(',').every((one) => {
    const [source = '', option = ''] = one.split('.')
    const drawn = plan[source]?.[option]
    if (typeof drawn !== 'number') throw new RangeError(`no fault is drawn by ${JSON.stringify(one)}: docs/FAULTS.md has them all, such as "nodes.crashEveryMs"`)
    return drawn > 0
  })
}

/** As `runBatch`, in `processes` processes at once. */
export async function runCrew(from: number, seeds: number, processes: number, { untilFailure, wanted, say }: BatchOptions): Promise<Summary> {
  const summaries: Summary[] = []
  const failed = (): readonly Failed[] => summaries.flatMap((summary) => summary.failed)
  let next = from
  const member = async (): Promise<void> => {
    while (next < from + seeds && !(untilFailure && failed().length > 0)) {
      const lot = Math.min(LOT, Math.ceil((from + seeds - next) / processes))
      const first = next
      next += lot
      const summary = await runApart(MAIN, ['--from', String(first), '--seeds', String(lot), ...(wanted === undefined ? [] : ['--with', wanted])])
      for (const { seed, invariant } of summary.failed) say(`seed ${seed} broke ${invariant}: pnpm sim --seed ${seed} tells how`)
      summaries.push(summary)
    }
  }
  await Promise.all(Array.from({ length: processes }, member))
  const sum = (of: (summary: Summary) => number): number => summaries.reduce((total, summary) => total + of(summary), 0)
  const coverage: Record<string, number> = {}
  for (const summary of summaries) addUp(coverage, summary.coverage)
  return {
    seeds: sum((summary) => summary.seeds), failed: [...failed()].sort((a, b) => a.seed - b.seed), deliveries: sum((summary) => summary.deliveries),
    events: sum((summary) => summary.events), seconds: sum((summary) => summary.seconds), coverage,
  }
}

/** The simulator `main` in a process of its own, which says its summary on its last line. */
export function runApart(main: string, args: readonly string[]): Promise<Summary> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...process.execArgv, main, ...args, '--json'], { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part))
    child.on('error', reject)
    child.on('close', (code) => {
      const last = text.trimEnd().split('\n').at(-1) ?? ''
      try {
        resolve(JSON.parse(last) as Summary)
      } catch {
        reject(new Error(`the simulator with ${args.join(' ')} ended with code ${code} and without a summary: ${last}`))
      }
    })
  })
}

function addUp(into: Record<string, number>, counts: Readonly<Record<string, number>>): void {
  for (const [what, times] of Object.entries(counts)) into[what] = (into[what] ?? 0) + times
}

function lineOf(result: SeedResult): string {
  return `seed ${result.seed}: ${result.events} deliveries, ${result.turns} turns, trace ${result.trace}`
}

const MAIN = fileURLToPath(new URL('main.js', import.meta.url))
