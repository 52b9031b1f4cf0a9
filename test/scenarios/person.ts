//! A user of a cluster in a story: asks what the story says, through the client of core, and tells what comes of it.

import type { Now } from '@horus/core/actor'
import type { AddItem, ClientInput, ErrorCode, LeasedJob, LeaseInput, LeaseKey, LeaseLostReason, Outcome, WorkerNumber } from '@horus/core/client/api'
import { NodeWish } from '@horus/core/message/client'
import { FailMode, type JobOptions } from '@horus/core/message/command'
import { DeadLetterHeader } from '@horus/core/message/posts'
import { type Instant, type JobNumber, never, type NodeId, type PartitionId } from '@horus/core/units'
import type { Asking, User } from '../simulation/sim-client.ts'
import { StoryError } from './story.ts'

/** Longer than any story waits for an answer, unless it says otherwise. */
const TIMEOUT_MS = 30_000
const WORKER = 1 as WorkerNumber

export type Tell = (what: string) => void

/** What people have been promised and have done, over all of them and beyond their deaths. */
export class Ledger {
  readonly added = new Map<number, string>()
  readonly completed = new Map<number, string>()
  /** `partition/number` */
  readonly #tokens = new Map<string, number[]>()

  /** Which lease of the job this is, from 1. Tokens only rise, or they would be no fence. */
  lease(job: number, token: number, partition: number): number {
    const name = `${partition}/${job}`
    const tokens = this.#tokens.get(name) ?? []
    this.#tokens.set(name, tokens)
    const known = tokens.indexOf(token)
    if (known >= 0) return known + 1
    if (token < (tokens.at(-1) ?? 0)) throw new Error(`job ${job} was leased under a token that is lower than the one before`)
    return tokens.push(token)
  }

  leases(job: number, partition = 1): number {
    return this.#tokens.get(`${partition}/${job}`)?.length ?? 0
  }
}

export class Person implements User {
  wakeAt: Instant = never
  readonly name: string
  readonly #ledger: Ledger
  readonly #tell: Tell
  readonly #asks: { readonly make: (request: number) => ClientInput; readonly done: (outcome: Outcome) => void }[] = []
  readonly #waiting = new Map<number, (outcome: Outcome) => void>()
  /** Every lease that was ever handed out here; a story may use one that is over. */
  readonly #leases: LeasedJob[] = []

  constructor(name: string, ledger: Ledger, tell: Tell) {
    this.name = name
    this.#ledger = ledger
    this.#tell = tell
  }

  // ---- what a story asks -------------------------------------------------------------------------------------------

  ask(make: (request: number) => ClientInput, done: (outcome: Outcome) => void): void {
    this.#asks.push({ make, done })
    this.wakeAt = 0 as Instant
  }

  /** With a dead-letter topic, also where the topic exists. */
  configureTopic(topic: string, partitions: number, deadLetter: string): void {
    this.ask((request) => ({ kind: 'topicWish', request, name: topic, partitions, settings: { deadLetter }, timeoutMs: TIMEOUT_MS }), (outcome) => {
      this.#tell(`dead jobs of ${topic} go to ${deadLetter}: ${outcome.kind === 'ok' ? 'done' : failed(outcome)}`)
    })
  }

  createTopic(topic: string, partitions: number): void {
    this.ask((request) => ({ kind: 'locate', request, topic, create: true, partitions, timeoutMs: TIMEOUT_MS }), (outcome) => {
      this.#tell(outcome.kind === 'located' ? `topic ${topic} is on shard ${[...new Set(outcome.partitions.map((place) => place.shard))].join(', ')}` : `topic ${topic}: ${failed(outcome)}`)
    })
  }

  add(topic: string, texts: readonly string[], options: JobOptions | undefined, timeoutMs = TIMEOUT_MS): void {
    const items = texts.map((text): AddItem => ({ name: 'job', payload: new TextEncoder().encode(text), ...(options && { options }) }))
    this.ask((request) => ({ kind: 'add', request, topic, items, timeoutMs }), (outcome) => {
      if (outcome.kind !== 'added') return this.#tell(`add of ${texts.join(', ')}: ${failed(outcome)}`)
      const { numbers, duplicates } = outcome.added
      texts.forEach((text, i) => this.#ledger.added.set(numbers[i]!, text))
      this.#tell(`added: ${texts.map((text, i) => `${text} is job ${numbers[i]}${duplicates[i] === 1 ? ', which was there' : ''}`).join(', ')}`)
    })
  }

  work(topic: string, concurrency: number, leaseMs: number): void {
    this.#asks.push({ make: () => ({ kind: 'work', worker: WORKER, topic, names: [], concurrency, leaseMs }), done: () => {} })
    this.wakeAt = 0 as Instant
  }

  acquire(topic: string, max: number, leaseMs: number, waitMs: number): void {
    this.ask((request) => ({ kind: 'acquire', request, topic, max, leaseMs, waitMs, timeoutMs: TIMEOUT_MS }), (outcome) => {
      if (outcome.kind !== 'leased') return this.#tell(`acquire: ${failed(outcome)}`)
      if (outcome.jobs.length === 0) return this.#tell('acquire: there is no job')
      this.#hold(outcome.jobs)
    })
  }

  /** `which` is the lease of that job, from 1 as they were handed out here; the last one where it is left out. */
  end(how: 'complete' | 'fail' | 'release' | 'extend', job: number, which: number | undefined, detail: { readonly mode?: keyof typeof FailMode; readonly after?: number }): void {
    const own = this.#leases.filter((lease) => lease.number === job)
    const lease = which === undefined ? own.at(-1) : own.find((each) => this.#ledger.lease(job, each.token, each.partition) === which)
    if (lease === undefined) throw new StoryError(`${this.name} never had job ${job}`)
    const key: LeaseKey = { worker: lease.worker, partition: lease.partition, number: lease.number, token: lease.token }
    this.ask((request) => leaseInput(how, request, key, detail), (outcome) => {
      if (outcome.kind === 'ok' && how === 'complete') this.#ledger.completed.set(job, this.name)
      this.#tell(`${how} of job ${job}: ${outcome.kind === 'ok' ? 'done' : failed(outcome)}`)
    })
  }

  cancel(topic: string, job: number): void {
    this.ask((request) => ({ kind: 'cancel', request, topic, partition: 1 as PartitionId, jobs: [job as JobNumber], timeoutMs: TIMEOUT_MS }), (outcome) => this.#tell(`cancel of job ${job}: ${outcome.kind === 'cancelled' ? 'done' : failed(outcome)}`))
  }

  /** What an operator wants; `name` is what the story calls that node. */
  wish(what: keyof typeof NodeWish, node: NodeId, name: string, force: boolean): void {
    this.ask((request) => ({ kind: 'wish', request, wish: NodeWish[what], node, force, timeoutMs: TIMEOUT_MS }), (outcome) => this.#tell(`${what} ${name}: ${outcome.kind === 'ok' ? 'done' : failed(outcome)}`))
  }

  // ---- what the client tells ---------------------------------------------------------------------------------------

  begin(): void {}

  wake(_now: Now, asking: Asking): void {
    this.wakeAt = never
    for (const { make, done } of this.#asks.splice(0)) {
      const request = asking.request()
      this.#waiting.set(request, done)
      asking.ask(make(request))
    }
  }

  done(_now: Now, request: number, outcome: Outcome): void {
    this.#waiting.get(request)?.(outcome)
    this.#waiting.delete(request)
  }

  leased(_now: Now, _worker: WorkerNumber, jobs: readonly LeasedJob[]): void {
    this.#hold(jobs)
  }

  leaseLost(_now: Now, _worker: WorkerNumber, lease: LeaseKey, reason: LeaseLostReason): void {
    this.#tell(`lets job ${lease.number} go: its lease is ${reason === 'expired' ? 'over' : reason}`)
  }

  died(): void {}

  #hold(jobs: readonly LeasedJob[]): void {
    for (const job of jobs) {
      this.#leases.push(job)
      this.#tell(`has job ${job.number} "${new TextDecoder().decode(job.payload)}", lease ${this.#ledger.lease(job.number, job.token, job.partition)}, attempt ${job.attempt} of ${job.maxAttempts}${wasText(job)}`)
    }
  }
}

/** What a job of a dead-letter topic says of the job that it was. */
function wasText({ headers }: LeasedJob): string {
  const [topic, id, reason] = [DeadLetterHeader.topic, DeadLetterHeader.id, DeadLetterHeader.reason].map((name) => headers.find((header) => header[0] === name)?.[1])
  return id === undefined ? '' : `, which was ${id} of ${topic}: ${reason}`
}

function leaseInput(kind: LeaseInput['kind'], request: number, lease: LeaseKey, { mode, after }: { readonly mode?: keyof typeof FailMode; readonly after?: number }): LeaseInput {
  const base = { request, lease, timeoutMs: TIMEOUT_MS }
  switch (kind) {
    case 'complete':
      return { ...base, kind, result: undefined }
    case 'fail':
      return { ...base, kind, mode: FailMode[mode ?? 'retry'], retryAfterMs: after ?? 0, error: new TextEncoder().encode('it did not work') }
    case 'extend':
      return { ...base, kind, leaseMs: after ?? 0 }
    case 'release':
      return { ...base, kind }
  }
}

function failed(outcome: Outcome): ErrorCode | string {
  return outcome.kind === 'failed' ? outcome.code : outcome.kind
}
