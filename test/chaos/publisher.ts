//! A publisher of a chaos run: small batches, steadily, whatever happens to the cluster.

import { Random } from '@horus/core/random'
import { recordAdds, type KeyedJob } from '@horus/node/history/publisher'
import { Recorder } from '@horus/node/history/recorder'
import { endWithParent } from '@horus/node/local/children'
import { delay } from '@horus/node/local/until'
import { connectAs, readSettings, TOPIC, type FromPublisher, type ToPublisher } from './settings.ts'

const BATCH_MAX = 16
const PAUSE_MS_MAX = 40
/** Batches that may be unanswered at once: more than one, so that a failure meets several on their way. */
const IN_FLIGHT_MAX = 8

const settings = readSettings()
const random = new Random(settings.seed)
const recorder = new Recorder(settings.history, settings.name)
let finishing = false
process.on('message', (message: ToPublisher) => {
  if (message.kind === 'finish') finishing = true
})
endWithParent()

const horus = await connectAs(settings)
const inFlight = new Set<Promise<boolean>>()
let count = 0
const padding = (): Record<string, string> => (settings.paddingBytesMax === 0 ? {} : { padding: 'x'.repeat(random.below(settings.paddingBytesMax)) })
while (!finishing) {
  const jobs: KeyedJob[] = Array.from({ length: random.between(1, BATCH_MAX) }, () => ({ name: 'job', key: `${settings.name}/${++count}`, data: padding() }))
  const adding = recordAdds(horus, TOPIC, recorder, jobs)
  inFlight.add(adding)
  void adding.finally(() => inFlight.delete(adding))
  if (inFlight.size >= IN_FLIGHT_MAX) await Promise.race(inFlight)
  await delay(random.below(PAUSE_MS_MAX))
}
await Promise.all(inFlight)
await horus.close()
process.send?.({ kind: 'finished' } satisfies FromPublisher)
