//! Jobs whose worker was killed between its complete and the answer: only the cluster knows whether they are completed. It is
//! asked soon, since ended jobs are kept for a while only, and its word goes into the history.

import { jobsInDoubt } from '@horus/node/history/check'
import type { HistoryEvent } from '@horus/node/history/event'
import { readHistoryOf, Recorder } from '@horus/node/history/recorder'
import { until } from '@horus/node/local/until'
import type { Horus } from '@horus/sdk'
import { TOPIC } from './settings.ts'

const ASK_MS_MAX = 30_000
const SETTLE_MAX = 10_000

export class Doubts {
  readonly #horus: Horus
  readonly #history: string
  readonly #recorder: Recorder
  readonly #asking = new Set<Promise<void>>()

  constructor(horus: Horus, history: string) {
    this.#horus = horus
    this.#history = history
    this.#recorder = new Recorder(history, 'driver')
  }

  /** After the death of a worker. */
  follow(worker: string): void {
    for (const id of jobsInDoubt(readHistoryOf(this.#history, worker))) {
      const asking = until(`the end of job ${id}`, () => this.#ask(id), ASK_MS_MAX, 500).then(() => {}, () => {})
      this.#asking.add(asking)
      void asking.finally(() => this.#asking.delete(asking))
    }
  }

  /** In the end: whatever was acknowledged and never seen to complete. */
  async settle(events: readonly HistoryEvent[]): Promise<void> {
    await Promise.all(this.#asking)
    const open = new Set<string>()
    for (const event of events) if (event.kind === 'acknowledged') for (const id of event.ids) open.add(id)
    for (const event of events) if (event.kind === 'completed') open.delete(event.id)
    for (const id of [...open].slice(0, SETTLE_MAX)) {
      const job = await this.#horus.job(TOPIC, id)
      this.#recorder.record({ kind: 'found', id, state: job?.state ?? 'gone' })
    }
  }

  async #ask(id: string): Promise<boolean> {
    const state = (await this.#horus.job(TOPIC, id))?.state
    if (state === 'completed') this.#recorder.record({ kind: 'found', id, state })
    return state === 'completed' || state === undefined
  }
}
