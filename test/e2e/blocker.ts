//! A worker whose handler holds its event loop for longer than the lease, so that nothing extends it.

import { endWithParent } from '@horus/node/local/children'
import { Horus } from '@horus/sdk'

export interface FromBlocker {
  readonly kind: 'delivered' | 'lost' | 'completed'
  readonly token: number
}

const settings = JSON.parse(process.argv[2]!) as { readonly cluster: string; readonly seeds: readonly string[]; readonly topic: string; readonly blockMs: number; readonly lease: string }
endWithParent()
const horus = await Horus.connect({ cluster: settings.cluster, seeds: settings.seeds })
const tell = (kind: FromBlocker['kind'], token: number): void => void process.send?.({ kind, token } satisfies FromBlocker)
const worker = horus.work(settings.topic, async (job) => {
  tell('delivered', job.fencingToken)
  // The message must be out before the loop stands still.
  await new Promise((resolve) => setTimeout(resolve, 50))
  const endAt = performance.now() + settings.blockMs
  while (performance.now() < endAt);
  return 'first'
}, { concurrency: 1, lease: settings.lease })
worker.on('completed', (job) => tell('completed', job.fencingToken))
worker.on('lost', (job) => tell('lost', job.fencingToken))
worker.on('error', () => {})
