//! `pnpm chaos --seconds N [--seed S] [--json]`: breaks a real cluster for a while and judges what its clients saw.
//! Exit code 0 only when nothing was lost, leased twice or run again after its completion.

import { readCommandLine } from '@horus/node/cli/flags'
import { facts, Progress } from '@horus/node/cli/output'
import { exitCodeOf, oneLine } from '@horus/node/errors'
import { faultsOf, runChaos } from './run.ts'

const FLAGS = {
  seconds: { value: 'N', help: 'how long things are broken; default 60' },
  seed: { value: 'S', help: 'of the schedule of faults; default: drawn' },
  json: { value: '', help: 'end with one line of JSON' },
}
const SECONDS_MAX = 86_400
const FINDINGS_SHOWN = 20
/** Of what was said, where it was not shown: the last of it tells why a run failed. */
const SAID_MAX = 200

try {
  const line = readCommandLine('chaos', process.argv.slice(2), FLAGS, 0)
  const json = line.has('json')
  const progress = new Progress(json ? { write: () => {} } : process.stdout)
  const seconds = line.number('seconds', 60, 1, SECONDS_MAX)
  const seed = line.number('seed', Math.floor(performance.timeOrigin) >>> 0, 0, 0xffff_ffff)
  const said: string[] = []
  const say = (text: string): void => {
    if (json && said.push(text) > SAID_MAX) said.shift()
    progress.say(text)
  }
  const outcome = await runChaos({ seconds, seed, say, show: (fraction, text) => progress.show(fraction, text) })
  progress.clear()
  const { findings, ...figures } = outcome
  if (faultsOf(outcome) > 0) for (const text of said) process.stderr.write(`${text}\n`)
  for (const { what, id, why } of findings.slice(0, FINDINGS_SHOWN)) process.stderr.write(`${what}: job ${id} ${why}\n`)
  process.stdout.write(json ? `${JSON.stringify(figures)}\n` : `\n${facts(Object.entries(figures))}\n`)
  process.exit(faultsOf(outcome) === 0 ? 0 : 1)
} catch (error) {
  process.stderr.write(`chaos: ${oneLine(error)}\n`)
  process.exit(exitCodeOf(error))
}
