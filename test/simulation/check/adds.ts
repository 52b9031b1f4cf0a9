//! I1, I7 and I10: what users are told about their adds is true.
//!
//!   I1   an acknowledged add is in the committed log, and its job is still known at the end
//!   I7   one idempotency key is one job, and one attempt is one job
//!   I10  an error other than Unknown is definite: nothing of that attempt ever shows up

import { JobState } from '@horus/core/message/client'
import type { Attempt, HeldLease, History, JobName } from '../history.ts'
import type { Checker, Report } from './checker.ts'
import type { CommittedLog } from './committed.ts'

export class AddsChecker implements Checker {
  readonly #report: Report
  readonly #history: History
  readonly #log: CommittedLog
  readonly #acknowledged = new Set<JobName>()
  readonly #states = new Map<JobName, number | undefined>()
  readonly #jobOfKey = new Map<string, JobName>()
  readonly #jobOfAttempt = new Map<number, JobName>()
  #asked = false

  constructor(report: Report, history: History, log: CommittedLog) {
    this.#report = report
    this.#history = history
    this.#log = log
    log.onRecovery(() => this.#forgetLost())
  }

  /** What only the lost masters had acknowledged is gone, with its keys and its numbers. */
  #forgetLost(): void {
    for (const id of this.#log.lost) {
      const job = this.#jobOfAttempt.get(id) ?? this.#history.byId(id)?.job
      this.#jobOfAttempt.delete(id)
      if (job === undefined) continue
      // A duplicate that is lost leaves the job that it repeats.
      if (this.#isKept(job)) continue
      this.#acknowledged.delete(job)
      for (const [key, known] of this.#jobOfKey) if (known === job) this.#jobOfKey.delete(key)
    }
  }

  #isKept(job: JobName): boolean {
    return this.#history.attempts.some((attempt) => attempt.job === job && this.#log.attempts.has(attempt.id))
  }

  get acknowledged(): ReadonlySet<JobName> {
    return this.#acknowledged
  }

  settled(attempt: Attempt, duplicate: boolean): void {
    if (attempt.outcome === 'refused') {
      this.#mustBeAbsent(attempt)
      return
    }
    // An answer that was on its way when its entry was lost.
    if (attempt.outcome !== 'acknowledged' || attempt.job === undefined || this.#log.lost.has(attempt.id)) return
    this.#acknowledged.add(attempt.job)
    if (!duplicate && !this.#log.attempts.has(attempt.id)) this.#report.broken('I1', `attempt ${attempt.id} was acknowledged as ${attempt.job} before any node had applied it`)
    if (duplicate && attempt.key === undefined) this.#report.broken('I7', `attempt ${attempt.id} without a key was called a duplicate of ${attempt.job}`)
    this.#isJob(attempt, attempt.job)
  }

  leased(lease: HeldLease): void {
    const attempt = this.#history.byId(lease.attempt)
    if (attempt === undefined) {
      this.#report.broken('I1', `${lease.client} got ${lease.job} with a payload that no user wrote`)
      return
    }
    if (this.#log.lost.has(attempt.id)) return
    if (attempt.outcome === 'refused' && !this.#history.repeaters.has(attempt.client)) this.#report.broken('I10', `attempt ${attempt.id} was refused with ${attempt.code} and yet ${lease.client} got it as ${lease.job}`)
    this.#isJob(attempt, lease.job)
  }

  state(job: JobName, state: number | undefined): void {
    this.#asked = true
    this.#states.set(job, state)
  }

  finish(): void {
    for (const attempt of this.#history.attempts) if (attempt.outcome === 'refused') this.#mustBeAbsent(attempt)
    if (!this.#asked) return
    for (const job of this.#acknowledged) if (this.#states.get(job) === undefined && !this.#log.mayBeForgotten(job)) this.#report.broken('I1', `${job} was acknowledged and is unknown at the end`)
  }

  /** A session that was forgotten, or a repeat that came too late, is refused when its entry is applied: only NoQuorum says that there is no entry. */
  #mustBeAbsent(attempt: Attempt): void {
    if (this.#history.repeaters.has(attempt.client)) return
    const place = attempt.code === 'NoQuorum' ? this.#log.attempts.get(attempt.id) : undefined
    if (place !== undefined) this.#report.broken('I10', `attempt ${attempt.id} was refused with NoQuorum and yet stands in shard ${place.shard} at ${place.index}`)
    const job = this.#jobOfAttempt.get(attempt.id)
    if (job !== undefined && attempt.key === undefined) this.#report.broken('I10', `attempt ${attempt.id} was refused with ${attempt.code} and yet is ${job}`)
  }

  #isJob(attempt: Attempt, job: JobName): void {
    // With a key the attempt's own payload may never be a job; without one, it is one job or none.
    const known = attempt.key === undefined ? this.#jobOfAttempt.get(attempt.id) : this.#jobOfKey.get(`${attempt.topic}/${attempt.key}`)
    if (known !== undefined && known !== job) this.#report.broken('I7', `${attempt.key === undefined ? `attempt ${attempt.id}` : `key ${attempt.key}`} is both ${known} and ${job}`)
    this.#jobOfAttempt.set(attempt.id, job)
    if (attempt.key !== undefined) this.#jobOfKey.set(`${attempt.topic}/${attempt.key}`, job)
  }
}

/** States in which nothing more happens to a job by itself. */
export function isSettled(state: number | undefined): boolean {
  return state === JobState.completed || state === JobState.cancelled || state === JobState.dead
}
