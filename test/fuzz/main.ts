//! `pnpm fuzz [--seconds N] [--seed S] [--target NAME] [--round R] [--json]`: feeds changed bytes to everything that takes
//! bytes from outside. Exits with 1 when a promise was broken; `--target` and `--round` play that round again.

import { parseArgs } from 'node:util'
import { allTargets, fuzz, type Failure, type Tally } from './fuzz.ts'

const SECONDS_DEFAULT = 60
/** Rounds between two looks at the clock. */
const LOT = 100

function main(): void {
  const { values } = parseArgs({ options: { seconds: { type: 'string' }, seed: { type: 'string' }, target: { type: 'string' }, round: { type: 'string' }, json: { type: 'boolean', default: false } } })
  const seconds = wholeNumber(values.seconds ?? String(SECONDS_DEFAULT), '--seconds')
  const seed = values.seed === undefined ? Date.now() % 1_000_000 : wholeNumber(values.seed, '--seed')
  const round = values.round === undefined ? undefined : wholeNumber(values.round, '--round')
  const all = allTargets()
  const targets = values.target === undefined ? all : all.filter(({ name }) => name === values.target)
  if (targets.length === 0) throw new RangeError(`--target takes one of ${all.map(({ name }) => `"${name}"`).join(', ')}`)
  const tallies: Tally[] = []
  let failure: Failure | undefined
  for (const target of targets) {
    const until = performance.now() + (seconds * 1000) / targets.length
    const enough = ({ rounds }: Tally): boolean => (round === undefined ? rounds % LOT === 0 && performance.now() >= until : rounds > 0)
    const ran = fuzz(target, seed, round ?? 0, enough)
    tallies.push(ran.tally)
    if (!values.json) console.log(`${ran.tally.name.padEnd(18)} ${ran.tally.rounds} rounds: ${ran.tally.taken} taken, ${ran.tally.refused} refused`)
    failure ??= ran.failure
    if (failure !== undefined) break
  }
  if (failure !== undefined) {
    console.error(failure.error)
    console.error(`play it again: pnpm fuzz --seed ${seed} --target "${failure.target}" --round ${failure.round}`)
  }
  if (values.json) console.log(JSON.stringify({ seed, targets: tallies, failed: failure !== undefined }))
  process.exitCode = failure === undefined ? 0 : 1
}

function wholeNumber(text: string, flag: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${flag} takes a whole number, not ${text}`)
  return value
}

main()
