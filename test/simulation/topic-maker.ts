//! How a user makes its topics: where jobs have somewhere to go when they are dead that topic comes first, and nothing is added to the others before
//! they are known to have it. Each user does so, since nobody knows who comes first; each wish can be repeated.

import type { Instant } from '@horus/core/units'
import type { Outcome } from '@horus/core/client/api'
import type { Workload } from './scene.ts'
import type { Asking } from './sim-client.ts'

const AGAIN_MS = 200

export class TopicMaker {
  readonly #workload: Workload
  readonly #wanted: string[]
  #request = 0
  #at = 0

  constructor(workload: Workload) {
    this.#workload = workload
    this.#wanted = workload.deadLetter === undefined ? [] : [workload.deadLetter.name, ...workload.topics.map(({ name }) => name)]
  }

  get isDone(): boolean {
    return this.#wanted.length === 0
  }

  /** Topics without settings are made by whoever comes first, with as many partitions as the run wants. */
  begin(asking: Asking): void {
    const { topics, timeoutMs } = this.#workload
    if (!this.isDone) this.#ask(asking)
    else for (const topic of topics) asking.ask({ kind: 'locate', request: asking.request(), topic: topic.name, create: true, partitions: topic.partitions, timeoutMs })
  }

  wake(now: Instant, asking: Asking): void {
    if (!this.isDone && this.#request === 0 && now >= this.#at) this.#ask(asking)
  }

  /** Whether the request was one of these. */
  done(now: Instant, request: number, outcome: Outcome, asking: Asking): boolean {
    if (request !== this.#request) return false
    this.#request = 0
    if (outcome.kind === 'failed') this.#at = now + AGAIN_MS
    else {
      this.#wanted.shift()
      if (!this.isDone) this.#ask(asking)
    }
    return true
  }

  #ask(asking: Asking): void {
    const { topics, deadLetter, timeoutMs } = this.#workload
    const name = this.#wanted[0]!
    const isDeadLetter = name === deadLetter!.name
    const { partitions } = isDeadLetter ? deadLetter! : topics.find((topic) => topic.name === name)!
    this.#request = asking.request()
    asking.ask({ kind: 'topicWish', request: this.#request, name, partitions, settings: { deadLetter: isDeadLetter ? undefined : deadLetter!.name }, timeoutMs })
  }
}
