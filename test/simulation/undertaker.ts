//! A user that works on the dead-letter topic: it notes which job each says that it was, and completes most of them. Some it fails for good: they
//! are dead here too, and stay here. It holds its leases by extending them until it is told that they have ended.

import type { Now } from '@horus/core/actor'
import type { LeasedJob, LeaseKey, Outcome, WorkerNumber } from '@horus/core/client/api'
import { FailMode } from '@horus/core/message/command'
import { DeadLetterHeader } from '@horus/core/message/posts'
import type { Random } from '@horus/core/random'
import type { Instant } from '@horus/core/units'
import { never } from '@horus/core/units'
import { attemptOf, jobName } from './history.ts'
import type { Scene } from './scene.ts'
import type { Asking, User } from './sim-client.ts'

/** What was not done for certain is said again after this. */
const AGAIN_MS = 100
const NO_BYTES = new Uint8Array(0)

export class Undertaker implements User {
  wakeAt: Instant = never
  readonly #scene: Scene
  readonly #topic: string
  readonly #random: Random
  readonly #asked = new Map<number, LeaseKey>()
  readonly #repeats: LeaseKey[] = []

  constructor(scene: Scene, topic: string, random: Random) {
    this.#scene = scene
    this.#topic = topic
    this.#random = random
  }

  begin(_now: Now, asking: Asking): void {
    asking.ask({ kind: 'work', worker: 1 as WorkerNumber, topic: this.#topic, names: [], concurrency: 4, leaseMs: this.#scene.workload.leaseMs })
  }

  wake(_now: Now, asking: Asking): void {
    this.wakeAt = never
    for (const lease of this.#repeats.splice(0)) this.#end(lease, asking)
  }

  done(now: Now, request: number, outcome: Outcome): void {
    const lease = this.#asked.get(request)
    this.#asked.delete(request)
    if (lease === undefined || outcome.kind !== 'failed' || !outcome.retryable) return
    this.#repeats.push(lease)
    this.wakeAt = (now.monotonic + AGAIN_MS) as Instant
  }

  leased(_now: Now, _worker: WorkerNumber, jobs: readonly LeasedJob[], asking: Asking): void {
    for (const job of jobs) {
      const headers = new Map(job.headers)
      const was = `${headers.get(DeadLetterHeader.topic)}/${headers.get(DeadLetterHeader.id)?.replace('-', '/')}`
      this.#scene.history.exhumed({ job: jobName(this.#topic, job.partition, job.number), was, attempt: attemptOf(job.payload) })
      const { worker, partition, number, token } = job
      this.#end({ worker, partition, number, token }, asking)
    }
  }

  leaseLost(): void {}

  died(): void {}

  #end(lease: LeaseKey, asking: Asking): void {
    const request = asking.request()
    this.#asked.set(request, lease)
    const { timeoutMs } = this.#scene.workload
    if (this.#random.chance(0.2)) asking.ask({ kind: 'fail', request, lease, timeoutMs, mode: FailMode.permanent, retryAfterMs: 0, error: NO_BYTES })
    else asking.ask({ kind: 'complete', request, lease, timeoutMs, result: undefined })
  }
}
