//! A node whose event loop is watched: on SIGUSR2 it logs how late the loop was since the last time, and begins anew.

import { monitorEventLoopDelay } from 'node:perf_hooks'
import { LOOP_DELAY } from './loop-delay.ts'

const histogram = monitorEventLoopDelay({ resolution: 1 })
histogram.enable()
process.on('SIGUSR2', () => {
  const text = `${LOOP_DELAY} ${histogram.percentile(99.9) / 1e6} ${histogram.max / 1e6}`
  histogram.reset()
  process.stdout.write(`${JSON.stringify({ event: 'log', text })}\n`)
})

await import('@horus/node/main')
