//! A user that works: it completes most jobs, and is careless with the rest: fails them, extends and goes on, falls silent
//! until the lease is lost, hands back, completes long after it should have. It believes in a lease exactly as long as its
//! client does.

import type { Now } from '@horus/core/actor'
import type { LeasedJob, LeaseKey, Outcome, WorkerNumber } from '@horus/core/client/api'
import { FailMode } from '@horus/core/message/command'
import type { Random } from '@horus/core/random'
import type { Instant } from '@horus/core/units'
import { never } from '@horus/core/units'
import { attemptOf, type EndHow, type HeldLease, jobName } from './history.ts'
import type { Scene } from './scene.ts'
import type { Asking, User } from './sim-client.ts'

type Intent = 'complete' | 'fail' | 'failForGood' | 'release' | 'extend' | 'silent'

interface Task {
  readonly held: HeldLease
  readonly key: LeaseKey
  intent: Intent
  actAt: number
  /** A lost lease is sometimes completed all the same, to see that it does nothing. */
  stale: boolean
}

interface Ending {
  readonly held: HeldLease
  readonly how: EndHow
  /** The job is dead then, whatever attempts it has left. */
  readonly forGood: boolean
  readonly ask: (request: number) => void
}

const NO_BYTES = new Uint8Array(0)
/** Lost leases that are remembered for a late complete. */
const STALE_MAX = 20

export class Worker implements User {
  wakeAt: Instant = never
  readonly #scene: Scene
  readonly #name: string
  readonly #random: Random
  readonly #topic: string
  readonly #tasks = new Map<string, Task>()
  readonly #answers = new Map<number, Ending>()
  /** Ends that were not done, or not for certain: the client still holds the lease, and keeps it by extending. */
  readonly #repeats: Ending[] = []
  #restored = false
  readonly #stale: Task[] = []
  #pulling = 0

  constructor(scene: Scene, name: string, topic: string, random: Random) {
    this.#scene = scene
    this.#name = name
    this.#topic = topic
    this.#random = random
  }

  get busy(): number {
    return this.#tasks.size + this.#answers.size + this.#repeats.length
  }

  begin(now: Now, asking: Asking): void {
    const { workload } = this.#scene
    if (this.#random.chance(0.75)) asking.ask({ kind: 'work', worker: 1 as WorkerNumber, topic: this.#topic, names: [], concurrency: workload.concurrency, leaseMs: workload.leaseMs })
    else this.#pull(asking)
    this.#plan(now)
  }

  wake(now: Now, asking: Asking): void {
    for (const [key, task] of this.#tasks) {
      if (task.actAt > now.monotonic) continue
      if (this.#scene.calm) task.intent = 'complete'
      this.#act(now, key, task, asking)
    }
    for (const ending of this.#repeats.splice(0)) this.#send(ending, asking)
    if (this.#stale.length > 0 && this.#random.chance(0.3)) this.#completeStale(asking)
    this.#setConcurrency(asking)
    this.#plan(now)
  }

  /** Changes at random; when the faults have ended there are hands enough to end what waits. */
  #setConcurrency(asking: Asking): void {
    const { calm, workload } = this.#scene
    if (!calm && !this.#random.chance(0.01)) return
    if (calm && this.#restored) return
    this.#restored = calm
    asking.ask({ kind: 'setConcurrency', worker: 1 as WorkerNumber, concurrency: calm ? Math.max(8, workload.concurrency) : 1 + this.#random.below(workload.concurrency * 2) })
  }

  done(now: Now, request: number, outcome: Outcome, asking: Asking): void {
    if (request === this.#pulling) {
      if (outcome.kind === 'leased') this.leased(now, 0 as WorkerNumber, outcome.jobs)
      this.#pull(asking)
      return
    }
    const answer = this.#answers.get(request)
    if (answer === undefined) return
    this.#answers.delete(request)
    this.#scene.history.ended(answer.held, answer.how, outcome.kind === 'failed' ? outcome.code : 'ok')
    if (outcome.kind === 'failed' && outcome.retryable) this.#repeats.push(answer)
    if (outcome.kind !== 'failed' && answer.forGood) this.#bury(answer.held, asking)
  }

  leased(now: Now, _worker: WorkerNumber, jobs: readonly LeasedJob[]): void {
    for (const job of jobs) {
      const held: HeldLease = { client: this.#name, job: jobName(this.#topic, job.partition, job.number), partition: job.partition, number: job.number, token: job.token, attempt: attemptOf(job.payload) }
      const task: Task = { held, key: { worker: job.worker, partition: job.partition, number: job.number, token: job.token }, intent: this.#drawIntent(), actAt: now.monotonic + this.#random.fraction() * this.#scene.workload.workMsMax, stale: false }
      this.#tasks.set(keyOf(job), task)
      this.#scene.history.leased(held)
    }
    this.#plan(now)
  }

  leaseLost(_now: Now, _worker: WorkerNumber, lease: LeaseKey): void {
    const key = keyOf(lease)
    const task = this.#tasks.get(key)
    if (task === undefined) return
    this.#tasks.delete(key)
    this.#scene.history.letGo(task.held, 'lost')
    if (this.#stale.length < STALE_MAX) this.#stale.push(task)
  }

  died(): void {
    for (const task of this.#tasks.values()) this.#scene.history.letGo(task.held, 'died')
  }

  /** It has somewhere to go from here, and goes there even when it is cancelled in the next moment. */
  #bury(held: HeldLease, asking: Asking): void {
    const { deadLetter, timeoutMs } = this.#scene.workload
    if (deadLetter === undefined) return
    this.#scene.history.failedForGood(held)
    if (this.#random.chance(0.3)) asking.ask({ kind: 'cancel', request: asking.request(), topic: this.#topic, partition: held.partition, jobs: [held.number], timeoutMs })
  }

  #act(now: Now, key: string, task: Task, asking: Asking): void {
    const { timeoutMs } = this.#scene.workload
    switch (task.intent) {
      case 'complete':
        this.#end(key, task, 'complete', asking, (request) => asking.ask({ kind: 'complete', request, lease: task.key, timeoutMs, result: this.#random.chance(0.5) ? undefined : NO_BYTES }))
        return
      case 'fail':
      case 'failForGood': {
        const mode = task.intent === 'failForGood' ? FailMode.permanent : this.#random.pick([FailMode.retry, FailMode.retryAfter])
        this.#end(key, task, 'fail', asking, (request) => asking.ask({ kind: 'fail', request, lease: task.key, timeoutMs, mode, retryAfterMs: mode === FailMode.retryAfter ? this.#random.below(1000) : 0, error: NO_BYTES }))
        return
      }
      case 'release':
        this.#end(key, task, 'release', asking, (request) => asking.ask({ kind: 'release', request, lease: task.key, timeoutMs }))
        return
      case 'extend':
        asking.ask({ kind: 'extend', request: asking.request(), lease: task.key, timeoutMs, leaseMs: 0 })
        task.intent = this.#drawIntent()
        task.actAt = now.monotonic + this.#random.fraction() * this.#scene.workload.workMsMax
        return
      case 'silent':
        task.actAt = now.monotonic + this.#scene.workload.leaseMs
        return
      default:
        task.intent satisfies never
    }
  }

  #end(key: string, task: Task, how: EndHow, asking: Asking, ask: (request: number) => void): void {
    this.#tasks.delete(key)
    this.#scene.history.letGo(task.held, how)
    this.#send({ held: task.held, how, forGood: how === 'fail' && task.intent === 'failForGood', ask }, asking)
  }

  #send(ending: Ending, asking: Asking): void {
    const request = asking.request()
    this.#answers.set(request, ending)
    ending.ask(request)
  }

  #completeStale(asking: Asking): void {
    const task = this.#stale.shift()!
    this.#scene.struck('staleToken', this.#name)
    const { timeoutMs } = this.#scene.workload
    this.#send({ held: task.held, how: 'complete', forGood: false, ask: (request) => asking.ask({ kind: 'complete', request, lease: task.key, timeoutMs, result: undefined }) }, asking)
  }

  #pull(asking: Asking): void {
    const { workload } = this.#scene
    this.#pulling = asking.request()
    asking.ask({ kind: 'acquire', request: this.#pulling, topic: this.#topic, max: workload.concurrency, leaseMs: workload.leaseMs, waitMs: 500, timeoutMs: workload.timeoutMs })
  }

  #drawIntent(): Intent {
    const { mischief, deadLetter } = this.#scene.workload
    if (this.#scene.calm) return 'complete'
    if (deadLetter !== undefined && this.#random.chance(DEATH_CHANCE)) return 'failForGood'
    if (!this.#random.chance(mischief)) return 'complete'
    return this.#random.pick(MISCHIEF)
  }

  #plan(now: Now): void {
    let at = now.monotonic + 200
    for (const task of this.#tasks.values()) at = Math.min(at, Math.max(task.actAt, now.monotonic + 1))
    this.wakeAt = at as Instant
  }
}

/** Where dead jobs go somewhere, so many die at least. */
const DEATH_CHANCE = 0.1
const MISCHIEF: readonly Intent[] = ['fail', 'fail', 'failForGood', 'release', 'extend', 'silent']

function keyOf(lease: { readonly partition: number; readonly number: number; readonly token: number }): string {
  return `${lease.partition}/${lease.number}/${lease.token}`
}
