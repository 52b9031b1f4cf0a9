//! I8: no lease expires before its time. A lease clock is held against true time: from one committed entry to a later one it
//! moves on by no more than a leader's clock could have moved, and never back. And a job that is leased again was either
//! given up by a command or had a deadline that the lease clock has reached.

import type { ReplicaObservation } from '@horus/core/replica'
import type { LeaseTime, LogIndex, ShardId } from '@horus/core/units'
import type { NodeProcess } from '@horus/core/world/node'
import type { HeldLease, JobName } from '../history.ts'
import type { Checker, Report } from './checker.ts'
import type { CommittedEntry, CommittedListener, CommittedLog } from './committed.ts'

/** What rounding may add. */
const SLACK_MS = 2

export class ClockChecker implements Checker, CommittedListener {
  readonly #report: Report
  readonly #log: CommittedLog
  readonly #driftMax: number
  readonly #now: () => number
  readonly #proposedAt = new Map<string, number>()
  readonly #last = new Map<ShardId, { leaseNow: LeaseTime; at: number; index: LogIndex }>()
  readonly #shardOfLease = new Map<JobName, HeldLease[]>()

  constructor(report: Report, log: CommittedLog, driftMax: number, now: () => number) {
    this.#report = report
    this.#log = log
    this.#driftMax = driftMax
    this.#now = now
    log.listen(this)
  }

  observed(_node: NodeProcess, observation: ReplicaObservation): void {
    if (observation.kind !== 'proposed') return
    const key = `${observation.shard}/${observation.index}/${observation.term}`
    // The first one only: a proposal that a leader about to step down drops is told with the last index that it has.
    if (!this.#proposedAt.has(key)) this.#proposedAt.set(key, this.#now())
  }

  rewound(shard: ShardId): void {
    this.#last.delete(shard)
  }

  committed(entry: CommittedEntry): void {
    if (entry.leaseNow === undefined) return
    const at = this.#proposedAt.get(`${entry.shard}/${entry.index}/${entry.term}`)
    const last = this.#last.get(entry.shard)
    if (last !== undefined && entry.leaseNow < last.leaseNow) this.#report.broken('I8', `the lease clock of shard ${entry.shard} goes back from ${last.leaseNow} at ${last.index} to ${entry.leaseNow} at ${entry.index}`)
    if (at === undefined) return
    if (last !== undefined) {
      const most = (at - last.at) * (1 + this.#driftMax) + SLACK_MS
      if (entry.leaseNow - last.leaseNow > most) this.#report.broken('I8', `the lease clock of shard ${entry.shard} moved by ${entry.leaseNow - last.leaseNow} ms from entry ${last.index} to ${entry.index}, in ${at - last.at} ms of true time`)
    }
    this.#last.set(entry.shard, { leaseNow: entry.leaseNow, at, index: entry.index })
  }

  /** Leases of a job in the order of their tokens: each later one follows an end or an expiry of the one before. */
  leased(lease: HeldLease): void {
    const leases = this.#shardOfLease.get(lease.job) ?? []
    if (leases.some((known) => known.token === lease.token)) return
    leases.push(lease)
    leases.sort((a, b) => a.token - b.token)
    this.#shardOfLease.set(lease.job, leases)
    const shard = this.#log.attempts.get(lease.attempt)?.shard
    if (shard === undefined) return
    for (let i = 1; i < leases.length; i++) this.#follows(shard, leases[i - 1]!, leases[i]!)
  }

  #follows(shard: ShardId, earlier: HeldLease, later: HeldLease): void {
    if (this.#log.ends.has(`${earlier.partition}/${earlier.number}/${earlier.token}`)) return
    const first = this.#log.acquires.get(`${shard}/${earlier.token}`)
    const second = this.#log.acquires.get(`${shard}/${later.token}`)
    if (first === undefined || second === undefined) return
    const deadline = first.leaseNow + first.leaseMs
    if (second.leaseNow < deadline) this.#report.broken('I8', `${later.job} was leased under ${later.token} at ${second.leaseNow}, before the lease under ${earlier.token} ended at ${deadline}`)
  }
}
