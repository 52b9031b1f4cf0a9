//! A worker of a chaos run: mostly quick, sometimes slower than its lease, sometimes failing.

import { Random } from '@horus/core/random'
import { Recorder } from '@horus/node/history/recorder'
import { recordWork } from '@horus/node/history/worker'
import { endWithParent } from '@horus/node/local/children'
import { delay } from '@horus/node/local/until'
import { connectAs, type FromWorker, LEASE, LEASE_MS, readSettings, TOPIC, type ToWorker } from './settings.ts'

const CONCURRENCY = 40
const QUICK_MS_MAX = 20
const FAILURES = 0.005
const SLOW = 0.002

const settings = readSettings()
const random = new Random(settings.seed)
const recorder = new Recorder(settings.history, settings.name)
endWithParent()
const horus = await connectAs(settings)
const worker = recordWork(horus, recorder, {
  topic: TOPIC,
  concurrency: CONCURRENCY,
  lease: LEASE,
  async handle() {
    await delay(random.chance(SLOW) ? LEASE_MS * 1.5 : random.below(QUICK_MS_MAX))
    if (random.chance(FAILURES)) throw new Error('drawn to fail')
    return null
  },
})
worker.on('error', (error) => process.stderr.write(`${error.message}\n`))
process.once('SIGTERM', () => {
  void worker.stop({ drain: '10s' }).then(() => horus.close()).then(() => process.exit(0))
})
process.on('message', (message: ToWorker) => {
  if (message.kind !== 'tell') return
  const { active, completed, failed, lost } = worker.stats
  process.send?.({ kind: 'stats', text: `${active} handlers run, ${completed} completed, ${failed} failed, ${lost} lost` } satisfies FromWorker)
})
