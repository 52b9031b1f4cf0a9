//! `pnpm chaos [--seconds N] [--seed S] [--json] [--churn] [--netns] [--disk-full] [--keep DIR]`: breaks a cluster of real processes and judges
//! what its clients saw. Exit code 0 only when no promise was broken, no node ended by itself and the cluster became whole again.

import { readCommandLine } from '@horus/node/cli/flags'
import { facts, Progress } from '@horus/node/cli/output'
import { exitCodeOf, oneLine, UsageError } from '@horus/node/errors'
import { endWithParent } from '@horus/node/local/children'
import { isContained, runContained } from './contained.ts'
import { faultsOf, runChaos } from './run.ts'

const CHURN_TIMES = 10
const FLAGS = {
  seconds: { value: 'N', help: 'how long things are broken; default 60' },
  seed: { value: 'S', help: 'of the schedule of faults; default: drawn' },
  json: { value: '', help: 'end with one line of JSON' },
  churn: { value: '', help: `in place of all that: ${CHURN_TIMES} nodes join and as many leave, over that time or longer` },
  netns: { value: '', help: 'a network namespace for each node, really parted; wants root' },
  'disk-full': { value: '', help: 'one node has a small disk that becomes full; wants root' },
  keep: { value: 'DIR', help: 'keep the histories there' },
}
const SECONDS_MAX = 86_400
const FINDINGS_SHOWN = 20
/** Of what was said, where it was not shown: the last of it tells why a run failed. */
const SAID_MAX = 200

async function run(line: ReturnType<typeof readCommandLine>): Promise<number> {
  const [netns, diskFull] = [line.has('netns'), line.has('disk-full')]
  if ((netns || diskFull) && !isContained()) return await runContained([...(netns ? ['--netns'] : []), ...(diskFull ? ['--disk-full'] : [])].join(' with '), netns)
  if (line.has('churn') && (netns || diskFull)) throw new UsageError('--churn breaks nothing, so it goes neither with --netns nor with --disk-full')
  if (isContained()) endWithParent()
  const json = line.has('json')
  const progress = new Progress(json ? { write: () => {} } : process.stdout)
  const seconds = line.number('seconds', 60, 1, SECONDS_MAX)
  const seed = line.number('seed', Math.floor(performance.timeOrigin) >>> 0, 0, 0xffff_ffff)
  const startedAt = performance.now()
  const said: string[] = []
  const say = (words: string): void => {
    const text = `${((performance.now() - startedAt) / 1000).toFixed(1).padStart(6)} s  ${words}`
    if (json && said.push(text) > SAID_MAX) said.shift()
    progress.say(text)
  }
  const outcome = await runChaos({ seconds, seed, netns, diskFull, churn: line.has('churn') ? CHURN_TIMES : undefined, keep: line.text('keep'), say, show: (fraction, text) => progress.show(fraction, text) })
  progress.clear()
  const { findings, ...figures } = outcome
  if (faultsOf(outcome) > 0) for (const text of said) process.stderr.write(`${text}\n`)
  for (const { what, id, why } of findings.slice(0, FINDINGS_SHOWN)) process.stderr.write(`${what}: job ${id} ${why}\n`)
  process.stdout.write(json ? `${JSON.stringify(figures)}\n` : `\n${facts(Object.entries(figures))}\n`)
  return faultsOf(outcome) === 0 ? 0 : 1
}

try {
  process.exit(await run(readCommandLine('chaos', process.argv.slice(2), FLAGS, 0)))
} catch (error) {
  process.stderr.write(`chaos: ${oneLine(error)}\n`)
  process.exit(exitCodeOf(error))
}
