//! A user that adds jobs: batches of several sizes, some with an idempotency key that is repeated until there is an answer,
//! some with delay, priority or few attempts.

import type { Now } from '@horus/core/actor'
import type { AddItem, Outcome } from '@horus/core/client/api'
import type { JobOptions } from '@horus/core/message/command'
import type { Random } from '@horus/core/random'
import type { Instant, JobNumber, PartitionId } from '@horus/core/units'
import { never } from '@horus/core/units'
import { type Attempt, jobName, payloadOf } from './history.ts'
import type { Scene } from './scene.ts'
import type { Asking, User } from './sim-client.ts'
import { TopicMaker } from './topic-maker.ts'

/** Adds without an answer at a time; more wait. */
export const OPEN_MAX = 24
const NAMES = ['mail', 'bill', 'scan']
const CALM_STEP_MS = 100
/** What a long outage has left to be repeated is said again within this, however much it is: the run ends soon after. */
const CALM_REPEATS_MS = 8000
/** However seldom it adds, it notices soon that the faults are over. */
const LOOK_MS = 500

interface Repeat {
  readonly topic: string
  readonly key: string
}

export class Publisher implements User {
  wakeAt: Instant = never
  readonly #scene: Scene
  readonly #name: string
  readonly #random: Random
  readonly #topics: TopicMaker
  readonly #open = new Map<number, readonly Attempt[]>()
  /** Keys whose add has no answer yet, or none that says where the job is. */
  readonly #repeats: Repeat[] = []
  readonly #usedKeys: string[] = []
  #nextKey = 0
  #addAt = 0
  /** Adds made after the faults ended: they must succeed. */
  #calmAdds = 0
  #lastFailure = 'none'

  constructor(scene: Scene, name: string, random: Random) {
    this.#scene = scene
    this.#name = name
    this.#random = random
    this.#topics = new TopicMaker(scene.workload)
  }

  /** Nothing is open, and the adds of the calm phase have been acknowledged. */
  get finished(): boolean {
    return this.#open.size === 0 && this.#repeats.length === 0 && this.#calmAdds > 0
  }

  describe(): string {
    return `${this.#name}: ${this.#open.size} adds open, ${this.#repeats.length} to repeat, ${this.#calmAdds} added since the faults ended, last failure: ${this.#lastFailure}`
  }

  begin(now: Now, asking: Asking): void {
    this.#topics.begin(asking)
    this.#plan(now)
  }

  wake(now: Now, asking: Asking): void {
    this.#topics.wake(now.monotonic, asking)
    const due = this.#scene.calm || now.monotonic >= this.#addAt
    if (due) this.#plan(now)
    else this.wakeAt = Math.min(this.#addAt, now.monotonic + LOOK_MS) as Instant
    if (!due || this.#open.size >= OPEN_MAX || !this.#topics.isDone) return
    const repeat = this.#repeats.shift()
    if (repeat !== undefined) this.#scene.struck('retry', this.#name)
    if (repeat !== undefined) this.#add(repeat.topic, [repeat.key], asking)
    else if (!this.#scene.calm && !this.#scene.lull) this.#addNew(asking)
    else if (this.#scene.calm && this.#calmAdds === 0 && this.#open.size === 0) this.#add(this.#random.pick(this.#scene.workload.topics).name, [undefined], asking)
  }

  done(now: Now, request: number, outcome: Outcome, asking: Asking): void {
    if (this.#topics.done(now.monotonic, request, outcome, asking)) return
    const attempts = this.#open.get(request)
    if (attempts === undefined) return
    this.#open.delete(request)
    const { history } = this.#scene
    if (outcome.kind === 'added') {
      for (let i = 0; i < attempts.length; i++) this.#acknowledge(attempts[i]!, outcome.added.partitions[i]!, outcome.added.numbers[i]!, outcome.added.duplicates[i] === 1)
      if (this.#scene.calm) this.#calmAdds++
      return
    }
    if (outcome.kind !== 'failed') return
    this.#lastFailure = `${outcome.code}: ${outcome.detail}`
    for (let i = 0; i < attempts.length; i++) {
      const attempt = attempts[i]!
      const number = outcome.added?.numbers[i] ?? 0
      if (number > 0) this.#acknowledge(attempt, outcome.added!.partitions[i]!, number, outcome.added!.duplicates[i] === 1)
      else {
        history.failed(attempt, outcome.code)
        if (attempt.key !== undefined) this.#repeats.push({ topic: attempt.topic, key: attempt.key })
      }
    }
  }

  leased(): void {}

  leaseLost(): void {}

  died(): void {}

  #acknowledge(attempt: Attempt, partition: number, number: number, duplicate: boolean): void {
    this.#scene.history.acknowledged(attempt, jobName(attempt.topic, partition as PartitionId, number as JobNumber), duplicate)
  }

  #plan(now: Now): void {
    const mean = this.#scene.calm ? Math.min(CALM_STEP_MS, CALM_REPEATS_MS / Math.max(1, this.#repeats.length)) : this.#scene.workload.addEveryMs
    this.#addAt = now.monotonic + 1 + this.#random.fraction() * 2 * mean
    this.wakeAt = Math.min(this.#addAt, now.monotonic + LOOK_MS) as Instant
  }

  #addNew(asking: Asking): void {
    const { workload } = this.#scene
    const keys = Array.from({ length: 1 + this.#random.below(workload.batchMax) }, () => this.#drawKey())
    this.#add(this.#random.pick(workload.topics).name, keys, asking)
  }

  /** Now and then a key is used twice on purpose, by one client or by two. */
  #drawKey(): string | undefined {
    if (!this.#random.chance(this.#scene.workload.keyChance)) return undefined
    if (this.#usedKeys.length > 0 && this.#random.chance(0.2)) return this.#random.pick(this.#usedKeys)
    const key = this.#random.chance(0.1) ? `shared-${this.#random.below(50)}` : `${this.#name}-${this.#random.hex(32)}-${++this.#nextKey}`
    this.#usedKeys.push(key)
    return key
  }

  #add(topic: string, keys: readonly (string | undefined)[], asking: Asking): void {
    const { history, workload } = this.#scene
    const attempts = keys.map((key) => history.attempt(this.#name, topic, key))
    const items = attempts.map((attempt): AddItem => {
      const payload = payloadOf(attempt.id, 12 + this.#random.below(workload.payloadMax))
      const options = this.#drawOptions(attempt.key)
      return { name: this.#random.pick(NAMES), payload, ...(options && { options }) }
    })
    const request = asking.request()
    this.#open.set(request, attempts)
    asking.ask({ kind: 'add', request, topic, items, timeoutMs: workload.timeoutMs })
  }

  #drawOptions(key: string | undefined): JobOptions | undefined {
    const random = this.#random
    const drawn = random.chance(this.#scene.workload.optionsChance)
    if (!drawn && key === undefined) return undefined
    return {
      ...(key !== undefined && { idempotencyKey: key }),
      ...(drawn && random.chance(0.4) && { priority: random.below(4) }),
      ...(drawn && random.chance(0.3) && !this.#scene.calm && { delay: random.below(3000) }),
      ...(drawn && random.chance(0.3) && { maxAttempts: 1 + random.below(4) }),
      ...(drawn && { backoff: { kind: random.below(2), baseMs: random.between(10, 500), maxMs: 1000 } }),
    }
  }
}
