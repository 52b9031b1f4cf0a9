//! The demo's publisher: one job a file, round after round, until it is told to finish the round that it is in.
//! It stays a bounded number of jobs ahead of the workers, which the driver tells it of.

import { Horus } from '@horus/sdk'
import { recordAdds, type KeyedJob } from '../history/publisher.ts'
import { Recorder } from '../history/recorder.ts'
import { endWithParent } from '../local/children.ts'
import { delay } from '../local/until.ts'
import { filesBelow } from './files.ts'

export interface PublisherSettings {
  readonly cluster: string
  readonly seeds: readonly string[]
  readonly folder: string
  readonly history: string
  readonly topic: string
}

export type ToPublisher = { readonly kind: 'completed'; readonly total: number } | { readonly kind: 'finish' }
export type FromPublisher = { readonly kind: 'added'; readonly total: number; readonly rounds: number; readonly finished: boolean }

const BATCH = 64
/** So far ahead of the workers that none of them waits, and not further: at the end all of it has to be worked off. */
const AHEAD_MAX = 1024
const WAIT_MS = 5
/** Batches that wait for their acknowledgement at once. */
const IN_FLIGHT_MAX = 8

const settings = JSON.parse(process.argv[2]!) as PublisherSettings
let completed = 0
let finishing = false
process.on('message', (message: ToPublisher) => {
  if (message.kind === 'completed') completed = message.total
  else finishing = true
})
endWithParent()

const files = filesBelow(settings.folder)
const recorder = new Recorder(settings.history, 'publisher')
const horus = await Horus.connect({ cluster: settings.cluster, seeds: settings.seeds })
let added = 0
let rounds = 0
const inFlight = new Set<Promise<void>>()
while (!finishing) {
  rounds++
  for (let from = 0; from < files.length; from += BATCH) {
    while (added - completed > AHEAD_MAX) await delay(WAIT_MS)
    if (inFlight.size >= IN_FLIGHT_MAX) await Promise.race(inFlight)
    const jobs: KeyedJob[] = files.slice(from, from + BATCH).map((file, i) => ({ name: 'checksum', key: `${rounds}/${from + i}`, data: { file } }))
    const adding = addUntilDone(jobs)
    inFlight.add(adding)
    void adding.finally(() => inFlight.delete(adding))
  }
}
await Promise.all(inFlight)
tell(true)
await horus.close()

/** A batch that was refused, or whose outcome is unknown, is added again under keys of its own. */
async function addUntilDone(jobs: readonly KeyedJob[]): Promise<void> {
  for (let attempt = 1; !(await recordAdds(horus, settings.topic, recorder, attempt === 1 ? jobs : again(jobs, attempt))); attempt++) await delay(WAIT_MS)
  added += jobs.length
  tell(false)
}

function again(jobs: readonly KeyedJob[], attempt: number): readonly KeyedJob[] {
  return jobs.map((job) => ({ ...job, key: `${job.key}#${attempt}` }))
}

function tell(finished: boolean): void {
  process.send?.({ kind: 'added', total: added, rounds, finished } satisfies FromPublisher)
}
