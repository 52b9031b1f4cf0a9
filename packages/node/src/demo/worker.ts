//! A worker of the demo: computes the SHA-256 of the file that a job names.

import { join } from 'node:path'
import { Horus } from '@horus/sdk'
import { Recorder } from '../history/recorder.ts'
import { recordWork } from '../history/worker.ts'
import { endWithParent } from '../local/children.ts'
import { sha256 } from './files.ts'

export interface WorkerSettings {
  readonly cluster: string
  readonly seeds: readonly string[]
  readonly folder: string
  readonly history: string
  readonly topic: string
  readonly name: string
}

export interface FromWorker {
  readonly kind: 'completed'
  readonly total: number
}

const CONCURRENCY = 32
const TELL_MS = 50

const settings = JSON.parse(process.argv[2]!) as WorkerSettings
endWithParent()
const recorder = new Recorder(settings.history, settings.name)
const horus = await Horus.connect({ cluster: settings.cluster, seeds: settings.seeds })
let completed = 0
let told = 0
const worker = recordWork(horus, recorder, {
  topic: settings.topic,
  concurrency: CONCURRENCY,
  handle: (_, data) => sha256(join(settings.folder, String(data['file']))),
  onCompleted: () => void completed++,
})
worker.on('error', (error) => process.stderr.write(`${error.message}\n`))
setInterval(() => {
  if (completed === told) return
  told = completed
  process.send?.({ kind: 'completed', total: completed } satisfies FromWorker)
}, TELL_MS)
