//! I2 and I3: at most one worker at a time believes that it holds a job; tokens rise; a completed job is never handed out
//! again.

import { JobState } from '@horus/core/message/client'
import type { EndHow, HeldLease, JobName } from '../history.ts'
import type { Checker, Report } from './checker.ts'

interface JobStory {
  /** Client to the lease that it believes in. */
  readonly holders: Map<string, HeldLease>
  /** Token to the client that got it. */
  readonly owners: Map<number, string>
  completedToken: number | undefined
}

/** Whether a client's process runs: one that is paused does nothing under its lease, and learns first that time has passed. */
export type IsAwake = (client: string) => boolean

export class LeasesChecker implements Checker {
  readonly #report: Report
  readonly #isAwake: IsAwake
  readonly #jobs = new Map<JobName, JobStory>()
  /** Jobs with several holders, of whom all but one must be asleep. */
  readonly #crowded = new Set<JobName>()
  completed = 0

  constructor(report: Report, isAwake: IsAwake) {
    this.#report = report
    this.#isAwake = isAwake
  }

  leased(lease: HeldLease): void {
    const story = this.#story(lease.job)
    const owner = story.owners.get(lease.token)
    if (owner !== undefined && owner !== lease.client) this.#report.broken('I2', `token ${lease.token} of ${lease.job} was given to ${owner} and to ${lease.client}`)
    story.owners.set(lease.token, lease.client)
    if (story.completedToken !== undefined && lease.token >= story.completedToken) this.#report.broken('I3', `${lease.job} was completed under token ${story.completedToken} and then leased to ${lease.client} under ${lease.token}`)
    const earlier = story.holders.get(lease.client)
    if (earlier !== undefined && earlier.token > lease.token) this.#report.broken('I2', `${lease.client} holds ${lease.job} under ${earlier.token} and got it again under ${lease.token}`)
    story.holders.set(lease.client, lease)
    if (story.holders.size > 1) {
      this.#crowded.add(lease.job)
      this.#checkCrowd(lease.job, story)
    }
  }

  letGo(lease: HeldLease): void {
    const story = this.#story(lease.job)
    if (story.holders.get(lease.client)?.token === lease.token) story.holders.delete(lease.client)
    if (story.holders.size < 2) this.#crowded.delete(lease.job)
  }

  ended(lease: HeldLease, how: EndHow, code: string): void {
    if (code !== 'ok') return
    // One that was delivered again after an end of unknown outcome is ended by the repetition too.
    this.letGo(lease)
    if (how !== 'complete') return
    const story = this.#story(lease.job)
    if (story.completedToken !== undefined && story.completedToken !== lease.token) this.#report.broken('I2', `${lease.job} was completed under token ${story.completedToken} and under ${lease.token}`)
    for (const [token, client] of story.owners) {
      if (token > lease.token) this.#report.broken('I2', `${lease.client} completed ${lease.job} under token ${lease.token} though ${client} had ${token}`)
    }
    if (story.completedToken === undefined) this.completed++
    story.completedToken = lease.token
  }

  state(job: JobName, state: number | undefined): void {
    const completed = this.#jobs.get(job)?.completedToken
    if (completed !== undefined && state !== undefined && state !== JobState.completed) this.#report.broken('I3', `${job} was completed under token ${completed} and is in state ${state} at the end`)
  }

  audit(): void {
    for (const job of this.#crowded) this.#checkCrowd(job, this.#story(job))
  }

  #checkCrowd(job: JobName, story: JobStory): void {
    const awake = [...story.holders.values()].filter((lease) => this.#isAwake(lease.client))
    if (awake.length > 1) this.#report.broken('I2', `${job} is held by ${awake.map((lease) => `${lease.client} under ${lease.token}`).join(' and by ')} at once`)
  }

  #story(job: JobName): JobStory {
    let story = this.#jobs.get(job)
    if (story === undefined) this.#jobs.set(job, (story = { holders: new Map(), owners: new Map(), completedToken: undefined }))
    return story
  }
}
