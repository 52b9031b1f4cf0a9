//! Adds jobs and writes down what came of it.

import { HorusError, type Horus } from '@horus/sdk'
import type { Recorder } from './recorder.ts'

export interface KeyedJob {
  readonly name: string
  /** The publisher's own name of this add; never used twice. */
  readonly key: string
  readonly data: Readonly<Record<string, unknown>>
}

/** One batch, acknowledged as a whole or not; resolves to whether it was. */
export async function recordAdds(horus: Horus, topic: string, recorder: Recorder, jobs: readonly KeyedJob[]): Promise<boolean> {
  const keys = jobs.map((job) => job.key)
  recorder.record({ kind: 'add', keys })
  try {
    const handles = await horus.addMany(topic, jobs.map(({ name, key, data }) => ({ name, data: { ...data, key } })))
    recorder.record({ kind: 'acknowledged', keys, ids: handles.map((handle) => handle.id) })
    return true
  } catch (error) {
    recorder.record({ kind: 'refused', keys, reason: error instanceof HorusError && NEVER_APPENDED.has(error.code) ? 'NoQuorum' : 'Unknown' })
    return false
  }
}

const NEVER_APPENDED: ReadonlySet<string> = new Set(['NoQuorum', 'Backpressure'])
