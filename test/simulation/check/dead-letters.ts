//! A job that dies in a topic with a dead-letter topic is there exactly once, and nothing else is:
//!
//!   at any time   no two jobs of the dead-letter topic were the same job, and each carries the payload of the job that it was
//!   at the end    the jobs there, and those that died, are the same
//!
//! What is lost when a shard is recovered from its last copy is excused exactly: a job there whose post stood only in what was lost, and a
//! death that nobody knows of any more, where its shard lost anything.

import { JobState } from '@horus/core/message/client'
import type { LogEntry } from '@horus/core/message/command'
import { tryDecode } from '@horus/core/message/layout'
import { deadLetter } from '@horus/core/message/posts'
import type { ShardId } from '@horus/core/units'
import type { HeldLease, History, JobName, Letter } from '../history.ts'
import type { Checker, Report } from './checker.ts'
import type { CommittedEntry, CommittedListener, CommittedLog } from './committed.ts'

/** `partition/number` */
type Place = string

export class DeadLettersChecker implements Checker, CommittedListener {
  readonly #report: Report
  readonly #history: History
  readonly #log: CommittedLog
  readonly #topic: string | undefined
  /** Jobs of the dead-letter topic, and what they were. */
  readonly #letters = new Map<JobName, Letter>()
  readonly #jobsOf = new Map<Place, JobName[]>()
  /** Jobs of which a worker was told that they are dead. */
  readonly #buried = new Map<Place, JobName>()
  readonly #states = new Map<JobName, number>()
  readonly #shardOf = new Map<number, ShardId>()
  readonly #posts = new Map<ShardId, Set<Place>>()
  #before: { readonly shard: ShardId; readonly posts: ReadonlySet<Place> } | undefined
  /** Jobs of which a post was lost with the end of the receiver's log. */
  readonly #lostPosts = new Set<Place>()
  /** Shards that have lost committed entries. */
  readonly #lossy = new Set<ShardId>()
  readonly #entries = new Set<string>()
  /** Posts in committed logs, and those that were there before. */
  posted = 0
  repeated = 0

  constructor(report: Report, history: History, log: CommittedLog, topic: string | undefined) {
    this.#report = report
    this.#history = history
    this.#log = log
    this.#topic = topic
    log.listen(this)
    log.onRecovery(({ shard, lost }) => {
      if (lost.length > 0) this.#lossy.add(shard)
    })
  }

  get letters(): number {
    return this.#letters.size
  }

  rewound(shard: ShardId): void {
    this.#before = { shard, posts: this.#posts.get(shard) ?? new Set() }
    this.#posts.delete(shard)
    for (const name of this.#entries) if (name.startsWith(`${shard}/`)) this.#entries.delete(name)
  }

  recovered(): void {
    const { shard, posts } = this.#before!
    for (const place of posts) if (this.#posts.get(shard)?.has(place) !== true) this.#lostPosts.add(place)
  }

  committed({ shard }: CommittedEntry, entry: LogEntry | undefined): void {
    if (entry?.kind === 'partitionOpen') this.#shardOf.set(entry.partition, shard)
    if (entry?.kind !== 'post') return
    this.posted++
    const name = `${shard}/${entry.sender}/${entry.recovery}/${entry.sequence}`
    if (this.#entries.has(name)) this.repeated++
    this.#entries.add(name)
    const letter = tryDecode(deadLetter, entry.body)
    if (letter === undefined) return this.#report.broken('posts', `a post in shard ${shard} that cannot be read`)
    if (!this.#posts.has(shard)) this.#posts.set(shard, new Set())
    this.#posts.get(shard)!.add(`${letter.origin}/${letter.number}`)
  }

  failedForGood(lease: HeldLease): void {
    this.#buried.set(placeOf(lease.job), lease.job)
  }

  exhumed(letter: Letter): void {
    const { job, was } = letter
    const known = this.#letters.get(job)
    if (known !== undefined && known.was !== was) this.#report.broken('posts', `${job} was ${known.was}, and is now said to have been ${was}`)
    if (known !== undefined) return
    this.#letters.set(job, letter)
    const jobs = this.#jobsOf.get(placeOf(was))
    if (jobs === undefined) this.#jobsOf.set(placeOf(was), [job])
    else jobs.push(job)
    if ((jobs?.length ?? 0) > 1 && !this.#lostPosts.has(placeOf(was))) this.#report.broken('posts', `${was} died once, and is both ${jobs!.join(' and ')}`)
    const attempt = this.#history.byId(letter.attempt)
    if (attempt === undefined) this.#report.broken('posts', `${job}, which was ${was}, has a payload that no user wrote`)
    else if (attempt.key === undefined && attempt.outcome === 'acknowledged' && attempt.job !== was && !this.#log.lost.has(attempt.id)) this.#report.broken('posts', `${job} was ${was}, and has the payload of ${attempt.job}`)
  }

  state(job: JobName, state: number | undefined): void {
    if (state !== undefined) this.#states.set(job, state)
  }

  finish(): void {
    if (this.#states.size === 0) return
    const there = new Map<Place, JobName>()
    for (const [job] of this.#states) {
      if (this.#topic === undefined || topicOf(job) !== this.#topic) continue
      const letter = this.#letters.get(job)
      if (letter === undefined) {
        this.#report.broken('posts', `${job} has ended, and nobody ever got it`)
        continue
      }
      const place = placeOf(letter.was)
      const other = there.get(place)
      if (other !== undefined) this.#report.broken('posts', `${letter.was} died once, and is both ${other} and ${job} at the end`)
      there.set(place, job)
      if (!this.#isDead(letter.was) && !this.#hasLost(place)) this.#report.broken('posts', `${job} is there for ${letter.was}, which is in state ${this.#states.get(letter.was)} and was never called dead`)
    }
    for (const [job, state] of this.#states) {
      if (topicOf(job) !== this.#topic && state === JobState.dead) this.#mustBeThere(placeOf(job), job, there)
    }
    for (const [place, job] of this.#buried) if (!this.#hasLost(place)) this.#mustBeThere(place, job, there)
  }

  #mustBeThere(place: Place, job: JobName, there: ReadonlyMap<Place, JobName>): void {
    if (this.#topic === undefined || there.has(place) || this.#lostPosts.has(place)) return
    if (this.#jobsOf.get(place)?.some((letter) => this.#log.mayBeForgotten(letter)) === true) return
    this.#report.broken('posts', `${job} is dead, and not in the dead-letter topic`)
  }

  #isDead(job: JobName): boolean {
    const state = this.#states.get(job)
    // One that was cancelled when it was dead may have died of its lost leases, or of its last attempt, without anybody being told.
    return state === JobState.dead || state === JobState.cancelled || this.#buried.has(placeOf(job))
  }

  #hasLost(place: Place): boolean {
    const shard = this.#shardOf.get(Number(place.split('/')[0]))
    return shard !== undefined && this.#lossy.has(shard)
  }
}

const placeOf = (job: JobName): Place => job.split('/').slice(-2).join('/')
const topicOf = (job: JobName): string => job.split('/').slice(0, -2).join('/')
