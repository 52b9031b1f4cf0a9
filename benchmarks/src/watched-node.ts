//! A node whose event loop is watched: on SIGUSR2 it logs how late the loop was since the last time, and begins anew. Where the
//! variable for it is set it never takes a snapshot, to be compared with.

import { monitorEventLoopDelay } from 'node:perf_hooks'
import { run } from '@horus/node/cli/start'
import { exitCodeOf, oneLine } from '@horus/node/errors'
import { LOOP_DELAY, NO_SNAPSHOTS } from './loop-delay.ts'

const histogram = monitorEventLoopDelay({ resolution: 1 })
histogram.enable()
process.on('SIGUSR2', () => {
  const text = `${LOOP_DELAY} ${histogram.percentile(99.9) / 1e6} ${histogram.max / 1e6}`
  histogram.reset()
  process.stdout.write(`${JSON.stringify({ event: 'log', text })}\n`)
})

try {
  const [, ...args] = process.argv.slice(2)
  await run(args, process.env[NO_SNAPSHOTS] === undefined ? {} : { snapshotEntries: Number.MAX_SAFE_INTEGER, snapshotBytes: Number.MAX_SAFE_INTEGER })
  process.exit(0)
} catch (error) {
  process.stderr.write(`${oneLine(error)}\n`)
  process.exit(exitCodeOf(error))
}
