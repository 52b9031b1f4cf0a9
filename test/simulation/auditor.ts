//! A user that comes when the faults are over and nothing is added any more: it waits until no job waits or is worked on any more, and then reads the
//! state of every job, so that the checkers can hold it against what users were told.

import type { Now } from '@horus/core/actor'
import type { Outcome } from '@horus/core/client/api'
import { countsAnswer, jobsAnswer, jobsQuery, Query } from '@horus/core/message/client'
import { decode, encode } from '@horus/core/message/layout'
import type { Instant, JobNumber, PartitionId } from '@horus/core/units'
import { never } from '@horus/core/units'
import { jobName } from './history.ts'
import type { Scene } from './scene.ts'
import type { Asking, User } from './sim-client.ts'

const STEP_MS = 200
const PAGE = 500

interface Page {
  readonly topic: string
  readonly partition: PartitionId
  readonly from: JobNumber
}

export class Auditor implements User {
  wakeAt: Instant = never
  readonly #scene: Scene
  readonly #pages: Page[] = []
  readonly #asked = new Map<number, 'counts' | 'jobs'>()
  #counting: { topic: string; readonly quiet: PartitionId[] } | undefined
  #topicsLeft: string[] = []
  #request = 0
  #page: Page | undefined
  #last = 'nothing asked yet'
  finished = false

  constructor(scene: Scene) {
    this.#scene = scene
  }

  begin(now: Now): void {
    this.wakeAt = (now.monotonic + STEP_MS) as Instant
  }

  describe(): string {
    return `auditor: ${this.finished ? 'finished' : this.#last}`
  }

  wake(now: Now, asking: Asking): void {
    this.wakeAt = (now.monotonic + STEP_MS) as Instant
    if (!this.#scene.quiet || this.finished || this.#request !== 0) return
    if (this.#page !== undefined || this.#pages.length > 0) this.#askPage(asking)
    else {
      const { topics, deadLetter } = this.#scene.workload
      // The dead-letter topic last: by then nothing is on its way to it.
      this.#topicsLeft = [...topics, ...(deadLetter === undefined ? [] : [deadLetter])].map((topic) => topic.name)
      this.#askCounts(asking)
    }
  }

  done(_now: Now, request: number, outcome: Outcome, asking: Asking): void {
    if (request !== this.#request) return
    this.#request = 0
    const kind = this.#asked.get(request)
    this.#asked.delete(request)
    if (outcome.kind !== 'answered') {
      this.#last = outcome.kind === 'failed' ? `${kind} failed with ${outcome.code}: ${outcome.detail}` : outcome.kind
      this.#pages.length = 0
      this.#page = undefined
    } else if (kind === 'counts') this.#counted(outcome.answers, asking)
    else this.#read(outcome.answers, asking)
  }

  leased(): void {}

  leaseLost(): void {}

  died(): void {}

  #askCounts(asking: Asking): void {
    const topic = this.#topicsLeft.shift()
    if (topic === undefined) return
    this.#counting = { topic, quiet: [] }
    this.#ask('counts', topic, undefined, Query.counts, new Uint8Array(0), asking)
  }

  #counted(answers: readonly { readonly partition: PartitionId; readonly body: Uint8Array }[], asking: Asking): void {
    const { topic } = this.#counting!
    for (const { partition, body } of answers) {
      const counts = decode(countsAnswer, body)
      const later = this.#scene.workload.wallTrusted ? counts.scheduled + counts.retrying : 0
      const left = counts.blocked + counts.waiting + counts.active + counts.posting + later
      if (left > 0) {
        this.#last = `${left} jobs of ${topic} partition ${partition} have not ended: ${JSON.stringify(counts)}`
        this.#pages.length = 0
        return
      }
      this.#pages.push({ topic, partition, from: 0 as JobNumber })
    }
    if (this.#topicsLeft.length > 0) this.#askCounts(asking)
    else this.#askPage(asking)
  }

  #askPage(asking: Asking): void {
    this.#page ??= this.#pages.shift()
    const page = this.#page
    if (page === undefined) return
    this.#ask('jobs', page.topic, page.partition, Query.jobs, encode(jobsQuery, { states: [], name: undefined, from: page.from, limit: PAGE }), asking)
  }

  #read(answers: readonly { readonly body: Uint8Array }[], asking: Asking): void {
    const page = this.#page!
    const answer = decode(jobsAnswer, answers[0]!.body)
    for (const job of answer.jobs) this.#scene.history.state(jobName(page.topic, page.partition, job.number), job.state)
    const more = answer.jobs.length > 0 && answer.next > page.from
    this.#page = more ? { ...page, from: answer.next } : undefined
    if (this.#page === undefined && this.#pages.length === 0) this.finished = true
    else this.#askPage(asking)
  }

  #ask(kind: 'counts' | 'jobs', topic: string, partition: PartitionId | undefined, operation: number, body: Uint8Array, asking: Asking): void {
    this.#request = asking.request()
    this.#scene.history.beginReading()
    this.#asked.set(this.#request, kind)
    asking.ask({ kind: 'query', request: this.#request, topic, partition, operation, body, timeoutMs: this.#scene.workload.timeoutMs })
  }
}
