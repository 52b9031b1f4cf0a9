//! A worker in fifteen lines:  pnpm --filter sdk run example:worker --node 127.0.0.1:6470
import { parseArgs } from 'node:util'
import { Horus } from '@horus/sdk'

const { values } = parseArgs({ allowPositionals: true, options: { node: { type: 'string', default: '127.0.0.1:6470' }, cluster: { type: 'string', default: 'horus' }, topic: { type: 'string', default: 'orders' } } })
const horus = await Horus.connect({ cluster: values.cluster, nodes: values.node })

const worker = horus.work(values.topic, async (job) => {
  console.log(`${job.name} ${job.id}, attempt ${job.attempt}:`, job.data)
  return { doneAt: new Date() }
}, { concurrency: 10, lease: '30s' })
worker.on('lost', (job, reason) => console.log(`${job.id} may run again: ${reason}`))
worker.on('error', (error) => console.error(error.message))

process.once('SIGINT', () => void horus.close({ drain: '10s' }))
