//! Which leases may not have come to their worker. A lease that runs out speaks against its job only where the worker had the
//! job: else a worker that stands still at the head of the queue, or a master whose disk does, would bury what nobody ever ran.
//!
//!   leased ─▶ expected ──received (or listed in a resume)──▶ gone from here
//!                └──deadline──▶ named in the tick that ends the lease
//!
//! Soft state of one term, like demand. What an earlier leader leased is not known here; the tick says that too.

import type { FencingToken, JobNumber, LeaseTime, SessionNumber } from '../units.ts'
import type { Leased } from './delivery.ts'

/** Batches that a session may leave without a word. A client that never says what it got is believed to have got the oldest ones. */
export const EXPECTED_PER_SESSION_MAX = 1024

export interface LeaseName {
  readonly number: JobNumber
  readonly token: FencingToken
}

interface Expected {
  readonly token: FencingToken
  readonly deadline: LeaseTime
  readonly jobs: ArrayLike<number>
  /** Jobs before it have come. */
  at: number
}

export class Receipts {
  readonly #sessions = new Map<SessionNumber, Expected[]>()

  expect({ session, token, deadline, jobs }: Pick<Leased, 'session' | 'token' | 'deadline' | 'jobs'>): void {
    const expected = this.#sessions.get(session)
    const batch = { token, deadline, jobs, at: 0 }
    if (expected === undefined) this.#sessions.set(session, [batch])
    else if (expected.push(batch) > EXPECTED_PER_SESSION_MAX) expected.shift()
  }

  /** Deliveries keep the order of the jobs in a batch, so whoever has one has those before it. */
  received(session: SessionNumber, token: FencingToken, number: JobNumber): void {
    const expected = this.#sessions.get(session)
    if (expected === undefined) return
    for (let i = 0; i < expected.length; i++) {
      const batch = expected[i]!
      if (batch.token !== token) continue
      for (let at = batch.at; at < batch.jobs.length; at++) if (batch.jobs[at] === number) batch.at = at + 1
      if (batch.at === batch.jobs.length) expected.splice(i--, 1)
    }
    if (expected.length === 0) this.#sessions.delete(session)
  }

  /** The session has listed what it has: what it lacks is expected anew. */
  listed(session: SessionNumber): void {
    this.#sessions.delete(session)
  }

  /** The leases with a deadline up to `through` that nobody is known to have had. They are named once: the tick that ends them says so. */
  lapse(through: number): LeaseName[] {
    const unreceived: LeaseName[] = []
    for (const [session, expected] of this.#sessions) {
      const left = expected.filter((batch) => batch.deadline > through)
      if (left.length === expected.length) continue
      for (const { deadline, token, jobs, at } of expected) {
        if (deadline <= through) for (let i = at; i < jobs.length; i++) unreceived.push({ number: jobs[i]! as JobNumber, token })
      }
      if (left.length > 0) this.#sessions.set(session, left)
      else this.#sessions.delete(session)
    }
    return unreceived
  }

  /** Batches that are expected of the session that owes the most. */
  get most(): number {
    let most = 0
    for (const expected of this.#sessions.values()) most = Math.max(most, expected.length)
    return most
  }

  clear(): void {
    this.#sessions.clear()
  }
}
