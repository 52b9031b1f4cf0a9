//! I2 and I3: at most one worker at a time believes that it holds a job; tokens rise; a completed job is never handed out
//! again.

import { JobState } from '@horus/core/message/client'
import type { EndHow, HeldLease, JobName } from '../history.ts'
import type { Checker, Report } from './checker.ts'
import type { CommittedLog, Recovery } from './committed.ts'

interface JobStory {
  /** Client to the lease that it believes in. */
  readonly holders: Map<string, HeldLease>
  /** By token. */
  readonly given: Map<number, HeldLease>
  completed: HeldLease | undefined
}

/** Whether a client's process runs: one that is paused does nothing under its lease, and learns first that time has passed. */
export type IsAwake = (client: string) => boolean

export class LeasesChecker implements Checker {
  readonly #report: Report
  readonly #isAwake: IsAwake
  readonly #log: CommittedLog
  readonly #jobs = new Map<JobName, JobStory>()
  /** Jobs with several holders, of whom all but one must be asleep. */
  readonly #crowded = new Set<JobName>()
  completed = 0

  constructor(report: Report, isAwake: IsAwake, log: CommittedLog) {
    this.#report = report
    this.#isAwake = isAwake
    this.#log = log
    log.onRecovery((recovery) => this.#forgetLost(recovery))
  }

  /**
   * Leases and their ends that only the lost masters had acknowledged: the job may be leased again, or again after its completion, while its
   * worker cannot know. A lease that was extended, and the extension lost, is such a one too.
   */
  #forgetLost({ weakened }: Recovery): void {
    for (const [job, story] of this.#jobs) {
      for (const [client, lease] of story.holders) if (this.#isLost(lease) || weakened.has(nameOf(lease))) story.holders.delete(client)
      for (const [token, lease] of story.given) if (this.#isLost(lease)) story.given.delete(token)
      if (story.holders.size < 2) this.#crowded.delete(job)
      if (story.completed === undefined || this.#log.ends.has(nameOf(story.completed))) continue
      story.completed = undefined
      this.completed--
    }
  }

  /** The entry that leased it is in no log. */
  #isLost(lease: HeldLease): boolean {
    if (!this.#log.hasLost) return false
    const shard = this.#log.attempts.get(lease.attempt)?.shard
    return shard === undefined || !this.#log.acquires.has(`${shard}/${lease.token}`)
  }

  leased(lease: HeldLease): void {
    const story = this.#story(lease.job)
    const given = story.given.get(lease.token)
    if (given !== undefined && given.client !== lease.client) this.#report.broken('I2', `token ${lease.token} of ${lease.job} was given to ${given.client} and to ${lease.client}`)
    if (story.completed !== undefined && lease.token >= story.completed.token) this.#report.broken('I3', `${lease.job} was completed under token ${story.completed.token} and then leased to ${lease.client} under ${lease.token}`)
    const earlier = story.holders.get(lease.client)
    if (earlier !== undefined && earlier.token > lease.token) this.#report.broken('I2', `${lease.client} holds ${lease.job} under ${earlier.token} and got it again under ${lease.token}`)
    if (this.#isLost(lease)) return
    story.given.set(lease.token, lease)
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
    // An answer that was on its way when its entry was lost.
    if (this.#log.hasLost && !this.#log.ends.has(nameOf(lease))) return
    const story = this.#story(lease.job)
    if (story.completed !== undefined && story.completed.token !== lease.token) this.#report.broken('I2', `${lease.job} was completed under token ${story.completed.token} and under ${lease.token}`)
    for (const { token, client } of story.given.values()) {
      if (token > lease.token) this.#report.broken('I2', `${lease.client} completed ${lease.job} under token ${lease.token} though ${client} had ${token}`)
    }
    if (story.completed === undefined) this.completed++
    story.completed = lease
  }

  state(job: JobName, state: number | undefined): void {
    const completed = this.#jobs.get(job)?.completed?.token
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
    if (story === undefined) this.#jobs.set(job, (story = { holders: new Map(), given: new Map(), completed: undefined }))
    return story
  }
}

function nameOf({ partition, number, token }: HeldLease): string {
  return `${partition}/${number}/${token}`
}
