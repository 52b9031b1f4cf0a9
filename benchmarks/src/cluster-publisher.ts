//! The publisher of the cluster benchmark.

import { once } from 'node:events'
import { clock } from '@horus/node/history/event'
import { endWithParent } from '@horus/node/local/children'
import { delay } from '@horus/node/local/until'
import { Horus } from '@horus/sdk'
import { readSettings, type FromPublisher, type ToPublisher } from './cluster-settings.ts'

/** Long enough that each single job meets an idle system. */
const PICKUP_PAUSE_MS = 4

const settings = readSettings()
endWithParent()
const horus = await Horus.connect({ cluster: settings.cluster, seeds: settings.seeds })
let startedAt = 0
let publishMs = 0
// The topic's shard is born with its first job; that is not what is measured.
await horus.add(settings.topic, 'warm', 'x'.repeat(settings.payloadBytes))
tell('ready')
await told('go')
startedAt = clock()
await publishAll()
publishMs = clock() - startedAt
tell('published')
await told('pickups')
for (let i = 0; i < settings.pickups; i++) {
  await horus.add(settings.topic, 'pickup', String(clock()))
  await delay(PICKUP_PAUSE_MS)
}
tell('done')

async function publishAll(): Promise<void> {
  const data = 'x'.repeat(settings.payloadBytes)
  let left = settings.jobs
  const publisher = async (): Promise<void> => {
    while (left > 0) {
      const count = Math.min(settings.batch, left)
      left -= count
      await horus.addMany(settings.topic, Array.from({ length: count }, () => ({ name: 'job', data })))
    }
  }
  await Promise.all(Array.from({ length: settings.inFlight }, publisher))
}

function tell(stage: FromPublisher['stage']): void {
  process.send?.({ stage, startedAt, publishMs } satisfies FromPublisher)
}

async function told(kind: ToPublisher['kind']): Promise<void> {
  const [message] = (await once(process, 'message')) as [ToPublisher]
  if (message.kind !== kind) throw new Error(`${kind} was expected, ${message.kind} came`)
}
