//! What a job shard does, said as plainly as possible: one object a job, found by looking through all of them. It is slow
//! and has nothing in common with the books but the backoff; the two must agree on every answer, effect and view.

import { backoffMs } from '@horus/core/job/backoff'
import { JobState, LostReason } from '@horus/core/message/client'
import { addAnswer, Backoff, cancelAnswer, Code, extendAnswer, FailMode, leasedAnswer } from '@horus/core/message/command'
import { encode } from '@horus/core/message/layout'
import { type Held, type Item, none } from './log.ts'

const HOUR = 3_600_000

export interface ModelJob {
  readonly number: number
  readonly name: string
  readonly priority: number
  readonly maxAttempts: number
  readonly ownLeaseMs: number
  readonly backoff: { readonly kind: number; readonly baseMs: number; readonly maxMs: number }
  readonly addedAt: number
  readonly entry: number
  readonly ordinal: number
  state: number
  attempt: number
  lost: number
  dueAt: number
  endedAt: number
  token: number
  session: number
  deadline: number
  leaseMs: number
  result: Uint8Array | undefined
  error: Uint8Array | undefined
}

export interface Expected {
  readonly code: number
  readonly body: Uint8Array
}

export interface ModelSession {
  lowest: number
  activeAt: number
  readonly answers: Map<number, Expected>
}

export interface ModelEffects {
  leased: { partition: number; session: number; token: number; deadline: number; leaseMs: number; jobs: number[] }[]
  lost: { partition: number; session: number; reason: number; jobs: Held[] }[]
  free: number[]
}

export class ModelPartition {
  /** Jobs that are not forgotten, by number. */
  readonly jobs = new Map<number, ModelJob>()
  readonly keys = new Map<string, { number: number; until: number }>()
  next = 1

  of(...states: number[]): ModelJob[] {
    return [...this.jobs.values()].filter((job) => states.includes(job.state)).sort((a, b) => a.number - b.number)
  }
}

export class Model {
  readonly partitions = new Map<number, ModelPartition>()
  readonly sessions = new Map<number, ModelSession>()
  effects: ModelEffects = { leased: [], lost: [], free: [] }
  leaseNow = 0
  wallNow = 0

  /** Begins an entry: what it does is found in `effects`. */
  begin(leaseNow: number, wallNow: number): void {
    this.effects = { leased: [], lost: [], free: [] }
    this.leaseNow = Math.max(this.leaseNow, leaseNow)
    this.wallNow = Math.max(this.wallNow, wallNow)
  }

  command(number: number, sequence: number, lowest: number, run: () => Expected): Expected {
    const session = this.sessions.get(number)
    if (!session) return { code: Code.sessionExpired, body: none }
    session.activeAt = this.leaseNow
    if (sequence < session.lowest) return { code: Code.stale, body: none }
    if (lowest > sequence || sequence >= Math.max(session.lowest, lowest) + 1024) return { code: Code.malformed, body: none }
    session.lowest = Math.max(session.lowest, lowest)
    for (const kept of [...session.answers.keys()]) if (kept < session.lowest) session.answers.delete(kept)
    const first = session.answers.get(sequence)
    if (first) return first
    const answer = run()
    session.answers.set(sequence, answer)
    return answer
  }

  open(index: number): void {
    this.sessions.set(index, { lowest: 0, activeAt: this.leaseNow, answers: new Map() })
  }

  add(partition: number, index: number, items: readonly Item[]): Expected {
    const books = this.partitions.get(partition)!
    for (const [key, { until }] of [...books.keys]) if (until <= this.wallNow) books.keys.delete(key)
    const first = books.next
    const duplicates: { ordinal: number; number: number }[] = []
    items.forEach(({ name = 'work', options = {} }, ordinal) => {
      const key = options.idempotencyKey
      const known = key === undefined ? undefined : books.keys.get(key)
      if (known) return void duplicates.push({ ordinal, number: known.number })
      const number = books.next++
      if (key !== undefined) books.keys.set(key, { number, until: this.wallNow + 24 * HOUR })
      const due = Math.max(options.runAt ?? 0, options.delay ? this.wallNow + options.delay : 0)
      const later = due > this.wallNow
      books.jobs.set(number, {
        number, name, priority: options.priority ?? 0, maxAttempts: options.maxAttempts ?? 5, ownLeaseMs: options.leaseMs ?? 0,
        backoff: options.backoff ?? { kind: Backoff.exponential, baseMs: 1000, maxMs: 300_000 }, addedAt: this.wallNow, entry: index, ordinal,
        state: later ? JobState.scheduled : JobState.waiting, attempt: 0, lost: 0, dueAt: later ? due : 0, endedAt: 0, token: 0, session: 0, deadline: 0, leaseMs: 0,
        result: undefined, error: undefined,
      })
    })
    return { code: Code.ok, body: encode(addAnswer, { first: first as never, added: books.next - first, duplicates: duplicates as never }) }
  }

  acquire(partition: number, session: number, index: number, count: number, grant: number, leaseMs: number, names: readonly string[]): void {
    const books = this.partitions.get(partition)
    const holder = this.sessions.get(session)
    if (!books || !holder) return
    holder.activeAt = this.leaseNow
    const limit = Math.min(count, grant - this.held(partition, session))
    const able = books.of(JobState.waiting).filter((job) => names.length === 0 || names.includes(job.name))
    const taken = able.sort((a, b) => b.priority - a.priority || a.number - b.number).slice(0, Math.max(0, limit))
    for (const job of taken) {
      const length = job.ownLeaseMs || leaseMs
      Object.assign(job, { state: JobState.active, attempt: job.attempt + 1, token: index, session, leaseMs: length, deadline: this.leaseNow + length })
      const batch = this.effects.leased.find((other) => other.leaseMs === length)
      if (batch) batch.jobs.push(job.number)
      else this.effects.leased.push({ partition, session, token: index, deadline: this.leaseNow + length, leaseMs: length, jobs: [job.number] })
    }
  }

  complete(partition: number, session: number, jobs: readonly Held[], result: Uint8Array): Expected {
    return this.#leased(partition, session, jobs, (books, job) => this.#end(books, job, JobState.completed, result))
  }

  fail(partition: number, session: number, jobs: readonly Held[], mode: number, retryAfterMs: number, error: Uint8Array): Expected {
    return this.#leased(partition, session, jobs, (_books, job) => {
      job.error = error.length > 0 ? error : undefined
      const failures = job.attempt - job.lost
      if (mode === FailMode.permanent || failures >= job.maxAttempts) return this.#kill(job)
      const { kind, baseMs, maxMs } = job.backoff
      const delay = mode === FailMode.retryAfter ? retryAfterMs : backoffMs({ maxAttempts: 0, leaseMs: 0, backoffKind: kind, baseMs, maxMs }, job.number, failures)
      Object.assign(job, delay > 0 ? { state: JobState.retrying, dueAt: this.wallNow + delay } : { state: JobState.waiting })
    })
  }

  release(partition: number, session: number, jobs: readonly Held[]): Expected {
    return this.#leased(partition, session, jobs, (_books, job) => {
      job.state = JobState.waiting
      job.attempt--
    })
  }

  extend(partition: number, session: number, jobs: readonly Held[], leaseMs: number): Expected {
    const books = this.partitions.get(partition)!
    const deadlines: number[] = []
    const lost = jobs.filter((held) => {
      const job = this.#heldJob(books, session, held)
      if (!job) return true
      job.deadline = Math.max(job.deadline, this.leaseNow + (leaseMs || job.leaseMs))
      deadlines.push(job.deadline)
      return false
    })
    const deadline = deadlines.length > 0 ? Math.min(...deadlines) : this.leaseNow
    return { code: Code.ok, body: encode(extendAnswer, { deadline: deadline as never, lost: lost as never }) }
  }

  cancel(partition: number, numbers: readonly number[]): Expected {
    const books = this.partitions.get(partition)!
    const missed: number[] = []
    const lost: { session: number; number: number; token: number }[] = []
    // Those that are not active first: the order in which payloads are freed is the order of the ends.
    const active = (number: number): boolean => books.jobs.get(number)?.state === JobState.active
    for (const number of [...numbers.filter((each) => !active(each)), ...numbers.filter(active)]) {
      const job = books.jobs.get(number)
      if (!job || job.state === JobState.completed || job.state === JobState.cancelled) missed.push(number)
      else {
        if (job.state === JobState.active) lost.push({ session: job.session, number, token: job.token })
        this.#end(books, job, JobState.cancelled, undefined)
      }
    }
    this.#tellLost(partition, LostReason.cancelled, lost)
    return { code: Code.ok, body: encode(cancelAnswer, { missed: missed.sort((a, b) => a - b) as never }) }
  }

  close(session: number): Expected {
    for (const books of this.partitions.values()) {
      for (const job of books.of(JobState.active)) {
        if (job.session === session) Object.assign(job, { state: JobState.waiting, attempt: job.attempt - 1 })
      }
    }
    this.sessions.delete(session)
    return { code: Code.ok, body: none }
  }

  tick(expireThrough: number): void {
    for (const [partition, books] of [...this.partitions].sort(([a], [b]) => a - b)) {
      const expired = books.of(JobState.active).filter((job) => job.deadline <= Math.min(expireThrough, this.leaseNow))
      this.#tellLost(partition, LostReason.expired, expired.map(({ session, number, token }) => ({ session, number, token })))
      for (const job of expired) {
        job.lost++
        job.state = JobState.waiting
        if (job.lost < 3) continue
        job.error = new TextEncoder().encode('lease lost 3 times')
        this.#kill(job)
      }
      for (const job of books.of(JobState.scheduled, JobState.retrying)) if (job.dueAt <= this.wallNow) Object.assign(job, { state: JobState.waiting, dueAt: 0 })
      for (const job of books.of(JobState.completed, JobState.cancelled)) if (job.endedAt + HOUR <= this.wallNow) books.jobs.delete(job.number)
    }
    for (const [number, session] of [...this.sessions]) {
      if (session.activeAt + 24 * HOUR > this.leaseNow) continue
      if ([...this.partitions.keys()].some((partition) => this.held(partition, number) > 0)) session.activeAt = this.leaseNow
      else this.sessions.delete(number)
    }
  }

  held(partition: number, session: number): number {
    return this.partitions.get(partition)!.of(JobState.active).filter((job) => job.session === session).length
  }

  #heldJob(books: ModelPartition, session: number, held: Held): ModelJob | undefined {
    const job = books.jobs.get(held.number)
    return job && job.state === JobState.active && job.session === session && job.token === held.token ? job : undefined
  }

  #leased(partition: number, session: number, jobs: readonly Held[], visit: (books: ModelPartition, job: ModelJob) => void): Expected {
    const books = this.partitions.get(partition)!
    const lost = jobs.filter((held) => {
      const job = this.#heldJob(books, session, held)
      if (job) visit(books, job)
      return !job
    })
    return { code: Code.ok, body: encode(leasedAnswer, { lost: lost as never }) }
  }

  #end(books: ModelPartition, job: ModelJob, state: number, result: Uint8Array | undefined): void {
    Object.assign(job, { state, result, error: undefined, dueAt: 0, endedAt: this.wallNow })
    const needs = [...books.jobs.values()].some((other) => other.entry === job.entry && other.state !== JobState.completed && other.state !== JobState.cancelled)
    if (!needs) this.effects.free.push(job.entry)
  }

  #kill(job: ModelJob): void {
    Object.assign(job, { state: JobState.dead, endedAt: this.wallNow, dueAt: 0 })
  }

  #tellLost(partition: number, reason: number, leases: { session: number; number: number; token: number }[]): void {
    for (const session of [...new Set(leases.map((lease) => lease.session))].sort((a, b) => a - b)) {
      const jobs = leases.filter((lease) => lease.session === session).sort((a, b) => a.number - b.number)
      this.effects.lost.push({ partition, session, reason, jobs: jobs.map(({ number, token }) => ({ number, token })) })
    }
  }
}
