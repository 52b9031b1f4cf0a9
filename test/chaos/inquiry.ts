//! Asks the cluster what became of jobs whose worker cannot tell: after the death of a worker of those it may have completed, in
//! the end of whatever was acknowledged and never seen to complete.

import { jobsInDoubt } from '@horus/node/history/check'
import { Doubts, foundOf } from '@horus/node/history/doubts'
import type { HistoryEvent } from '@horus/node/history/event'
import { readHistoryOf, Recorder } from '@horus/node/history/recorder'
import type { Horus } from '@horus/sdk'
import { TOPIC } from './settings.ts'

const SETTLE_MAX = 10_000

export class Inquiry {
  readonly #horus: Horus
  readonly #history: string
  readonly #recorder: Recorder
  readonly #doubts: Doubts

  constructor(horus: Horus, history: string) {
    this.#horus = horus
    this.#history = history
    this.#recorder = new Recorder(history, 'driver')
    this.#doubts = new Doubts(horus, TOPIC, this.#recorder)
  }

  /** After the death of a worker. */
  follow(worker: string): void {
    for (const id of jobsInDoubt(readHistoryOf(this.#history, worker))) this.#doubts.follow(id)
  }

  /** In the end. */
  async settle(read: () => readonly HistoryEvent[]): Promise<void> {
    await this.#doubts.settled()
    const events = read()
    const open = new Set<string>()
    for (const event of events) if (event.kind === 'acknowledged') for (const id of event.ids) open.add(id)
    for (const event of events) if (event.kind === 'completed' || (event.kind === 'found' && event.state === 'completed')) open.delete(event.id)
    for (const id of [...open].slice(0, SETTLE_MAX)) {
      this.#recorder.record(foundOf(id, await this.#horus.job(TOPIC, id)))
    }
  }
}
