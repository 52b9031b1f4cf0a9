//! The worker of the cluster benchmark: its handlers do nothing.

import { clock } from '@horus/node/history/event'
import { endWithParent } from '@horus/node/local/children'
import { Horus, jobTopic } from '@horus/sdk'
import { readSettings, type FromWorker } from './cluster-settings.ts'

const TELL_MS = 50

const settings = readSettings()
endWithParent()
const horus = await Horus.connect({ cluster: settings.cluster, seeds: settings.seeds })
const TOPIC = jobTopic<Record<'job' | 'warm' | 'pickup', { readonly input: string }>>(settings.topic)
let completed = 0
let lastCompletedAt = 0
/** Not zero, so that the first message says that the worker is there. */
let told = -1
const pickupsMs: number[] = []
const worker = horus.work(TOPIC, {
  job: async (job) => job.data.length,
  warm: async (job) => job.data.length,
  pickup: async (job) => void pickupsMs.push(clock() - Number(job.data)),
}, { concurrency: settings.concurrency })
worker.on('completed', (job) => {
  if (job.name !== 'job') return
  completed++
  lastCompletedAt = clock()
})
worker.on('error', (error) => process.stderr.write(`${error.message}\n`))
setInterval(() => {
  if (told === completed + pickupsMs.length) return
  told = completed + pickupsMs.length
  process.send?.({ completed, lastCompletedAt, pickupsMs } satisfies FromWorker)
}, TELL_MS)
