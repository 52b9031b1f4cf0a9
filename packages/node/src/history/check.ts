//! Judges a recorded history of a real cluster by what Horus promises (DESIGN section 11).
//!
//!   lost              an acknowledged add that never completed (I1) and is not in the dead-letter queue by the rules: there, a job
//!                     that used up its attempts or lost as many leases as a job may is counted as deadLettered
//!   doublyLeased      two acknowledged completions; a token that does not rise; a delivery before the earlier holder's own
//!                     bound had ended (I2)
//!   rerunAfterComplete  a delivery of a job whose completion had been acknowledged, or seen by somebody who asked (I3)
//!   phantoms          an add that failed with NoQuorum, which says "never appended", and yet was delivered (I10)
//!   duplicates        one add that became two jobs: a repeat under the same sequence must get the first answer (I7)
//!
//! The leader's clock is not seen here, only the workers' own: a lease is taken to run from its delivery to the last bound
//! that its worker wrote down, or to the moment the worker itself ended it.

import { LOST_LEASES_MAX } from '@horus/core/job/limits'
import type { HistoryEvent } from './event.ts'

export interface Finding {
  readonly what: 'lost' | 'doublyLeased' | 'rerunAfterComplete' | 'phantom' | 'duplicate'
  readonly id: string
  readonly why: string
}

export interface Verdict {
  readonly acknowledged: number
  /** Acknowledged adds that were completed. */
  readonly completed: number
  readonly lost: number
  /** Acknowledged adds that failed or lost their leases so often that they wait for an operator: no fault of the cluster. */
  readonly deadLettered: number
  readonly doublyLeased: number
  readonly rerunAfterComplete: number
  readonly phantoms: number
  readonly duplicates: number
  /** Leases of jobs that had been leased before: the price of failures, no fault. */
  readonly redelivered: number
  /** The longest time in which no job was completed, from the first acknowledged add to the last completion. */
  readonly longestGapMs: number
  /** Milliseconds from the first add to the last completion. */
  readonly elapsedMs: number
  readonly findings: readonly Finding[]
}

interface Lease {
  readonly token: number
  readonly process: string
  readonly at: number
  boundAt: number
}

interface JobStory {
  readonly leases: Lease[]
  key: string | undefined
  acknowledged: boolean
  completedToken: number | undefined
  found: string | undefined
  foundDetail: string | undefined
  /** Dead, and it had used up what a job has. */
  spent: boolean
  /** The last that a worker said of it. */
  lastWord: string | undefined
}

/** `events` in the order of their clock, as `readHistory` gives them. */
export function checkHistory(events: readonly HistoryEvent[]): Verdict {
  const judge = new Judge()
  for (const event of events) judge.take(event)
  return judge.verdict()
}

/** Jobs that a process may have completed without having heard of it, or without living to write it down. */
export function jobsInDoubt(eventsOfProcess: readonly HistoryEvent[]): readonly string[] {
  const open = new Set<string>()
  for (const event of eventsOfProcess) {
    if (event.kind === 'completing') open.add(event.id)
    else if (event.kind === 'completed' || event.kind === 'found') open.delete(event.id)
  }
  return [...open]
}

class Judge {
  readonly #jobs = new Map<string, JobStory>()
  readonly #refused = new Set<string>()
  readonly #idOfKey = new Map<string, string>()
  readonly #findings: Finding[] = []
  #acknowledged = 0
  #redelivered = 0
  #firstAddAt = Infinity
  #lastCompletedAt = -Infinity
  #gapFrom = Infinity
  #longestGapMs = 0

  take(event: HistoryEvent): void {
    switch (event.kind) {
      case 'add':
        if (event.at < this.#firstAddAt) this.#firstAddAt = event.at
        return
      case 'acknowledged':
        return this.#acknowledge(event)
      case 'refused':
        if (event.reason === 'NoQuorum') for (const key of event.keys) this.#refused.add(key)
        return
      case 'delivered':
        return this.#deliver(event)
      case 'extended': {
        const lease = this.#leaseOf(event.id, event.token, event.process)
        if (lease) lease.boundAt = Math.max(lease.boundAt, event.boundAt)
        return
      }
      case 'completing':
        this.#job(event.id).lastWord = `${event.process} sent its completion`
        return
      case 'completed':
        return this.#complete(event)
      case 'gaveUp': {
        this.#job(event.id).lastWord = `${event.process} gave it up (${event.reason})`
        // A lease that was called lost keeps its bound: the holder's own reckoning is what is being tested.
        const lease = event.reason === 'lost' ? undefined : this.#leaseOf(event.id, event.token, event.process)
        if (lease) lease.boundAt = Math.min(lease.boundAt, event.at)
        return
      }
      case 'found': {
        const job = this.#job(event.id)
        // What has ended is kept for a while only: once found completed, it is completed, even if it is gone later.
        if (job.found === 'completed') return
        job.found = event.state
        job.foundDetail = event.detail
        job.spent = isSpent(event)
        return
      }
      default:
        event satisfies never
    }
  }

  verdict(): Verdict {
    let completed = 0
    let deadLettered = 0
    for (const [id, job] of this.#jobs) {
      if (job.key !== undefined && this.#refused.has(job.key)) this.#find('phantom', id, `its add '${job.key}' failed with NoQuorum, yet it was delivered`)
      if (!job.acknowledged) continue
      if (job.completedToken !== undefined || job.found === 'completed') completed++
      else if (job.spent) deadLettered++
      else this.#find('lost', id, `acknowledged, but never completed (${endOf(job)})`)
    }
    return {
      acknowledged: this.#acknowledged,
      completed,
      lost: this.#acknowledged - completed - deadLettered,
      deadLettered,
      doublyLeased: this.#count('doublyLeased'),
      rerunAfterComplete: this.#count('rerunAfterComplete'),
      phantoms: this.#count('phantom'),
      duplicates: this.#count('duplicate'),
      redelivered: this.#redelivered,
      longestGapMs: Math.round(this.#longestGapMs),
      elapsedMs: Math.max(0, Math.round(this.#lastCompletedAt - this.#firstAddAt)) || 0,
      findings: this.#findings,
    }
  }

  #acknowledge(event: Extract<HistoryEvent, { kind: 'acknowledged' }>): void {
    if (this.#gapFrom === Infinity) this.#gapFrom = event.at
    for (let i = 0; i < event.ids.length; i++) {
      const job = this.#job(event.ids[i]!)
      const key = event.keys[i]!
      if (job.acknowledged) this.#find('duplicate', event.ids[i]!, 'two adds were acknowledged with this one id')
      else this.#acknowledged++
      job.acknowledged = true
      this.#named(event.ids[i]!, job, key)
    }
  }

  #deliver(event: Extract<HistoryEvent, { kind: 'delivered' }>): void {
    const job = this.#job(event.id)
    this.#named(event.id, job, event.key)
    // A delivery that waited in the socket of a stopped worker beyond its own bound leases nothing: the worker drops it.
    if (event.boundAt <= event.at) return
    job.lastWord = `${event.process} began it`
    if (job.found === 'completed') this.#find('rerunAfterComplete', event.id, `delivered to ${event.process} under token ${event.token} after somebody had found it completed`)
    const known = this.#leaseOf(event.id, event.token, event.process)
    if (known) {
      // The same lease, sent again over a new connection.
      if (job.completedToken === event.token) this.#find('rerunAfterComplete', event.id, `delivered again under token ${event.token} after its completion`)
      known.boundAt = Math.max(known.boundAt, event.boundAt)
      return
    }
    if (job.completedToken !== undefined) this.#find('rerunAfterComplete', event.id, `delivered under token ${event.token} after its completion under ${job.completedToken}`)
    if (job.leases.length > 0) this.#redelivered++
    for (const earlier of job.leases) {
      if (event.token <= earlier.token) {
        this.#find('doublyLeased', event.id, `token ${event.token} of ${event.process} does not rise above ${earlier.token} of ${earlier.process}`)
      } else if (event.at < earlier.boundAt) {
        this.#find('doublyLeased', event.id, `delivered to ${event.process} ${(earlier.boundAt - event.at).toFixed(1)} ms before the bound of ${earlier.process} had ended`)
      }
    }
    job.leases.push({ token: event.token, process: event.process, at: event.at, boundAt: event.boundAt })
  }

  #complete(event: Extract<HistoryEvent, { kind: 'completed' }>): void {
    const job = this.#job(event.id)
    if (job.completedToken !== undefined) this.#find('doublyLeased', event.id, `completed under token ${job.completedToken} and again under ${event.token}`)
    if (job.leases.some((lease) => lease.token > event.token)) this.#find('doublyLeased', event.id, `completed under token ${event.token} although a later lease had been delivered`)
    job.completedToken = event.token
    if (this.#gapFrom !== Infinity) this.#longestGapMs = Math.max(this.#longestGapMs, event.at - this.#gapFrom)
    this.#gapFrom = event.at
    if (event.at > this.#lastCompletedAt) this.#lastCompletedAt = event.at
  }

  #named(id: string, job: JobStory, key: string): void {
    job.key = key
    const other = this.#idOfKey.get(key)
    if (other === undefined) this.#idOfKey.set(key, id)
    else if (other !== id) this.#find('duplicate', id, `the add '${key}' became this job and ${other}`)
  }

  #job(id: string): JobStory {
    let job = this.#jobs.get(id)
    if (!job) {
      job = { leases: [], key: undefined, acknowledged: false, completedToken: undefined, found: undefined, foundDetail: undefined, spent: false, lastWord: undefined }
      this.#jobs.set(id, job)
    }
    return job
  }

  #leaseOf(id: string, token: number, process: string): Lease | undefined {
    return this.#jobs.get(id)?.leases.find((lease) => lease.token === token && lease.process === process)
  }

  #find(what: Finding['what'], id: string, why: string): void {
    this.#findings.push({ what, id, why })
  }

  #count(what: Finding['what']): number {
    const ids = new Set<string>()
    for (const finding of this.#findings) if (finding.what === what) ids.add(finding.id)
    return ids.size
  }
}

function isSpent({ state, attempt = 0, maxAttempts = Infinity, lostLeases = 0 }: Extract<HistoryEvent, { kind: 'found' }>): boolean {
  return state === 'dead' && (lostLeases >= LOST_LEASES_MAX || attempt - lostLeases >= maxAttempts)
}

const LEASES_TOLD = 4

/** For a report: who had the job, and what the cluster says of it. */
function endOf({ leases, lastWord, found, foundDetail }: JobStory): string {
  const told = leases.slice(-LEASES_TOLD).map(({ token, process }) => `${token} of ${process}`).join(', ')
  return [
    leases.length === 0 ? 'never leased' : `${leases.length} leases, the last ones ${told}`,
    ...(lastWord === undefined ? [] : [lastWord]),
    `the cluster says: ${found ?? 'not asked'}${foundDetail === undefined ? '' : `, ${foundDetail}`}`,
  ].join('; ')
}
