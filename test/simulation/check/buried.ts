//! No job is buried unheard: one that is dead without any worker having failed it was in a worker's process under at least
//! three tokens. A lease that ended before its delivery reached anybody says nothing about the job.

import { deliver, JobState } from '@horus/core/message/client'
import { leasedBody, type LogEntry, Operation } from '@horus/core/message/command'
import { DeliveryReader, LeasedGroupsReader } from '@horus/core/message/jobs'
import { decode } from '@horus/core/message/layout'
import type { JobName } from '../history.ts'
import type { Checker, Report } from './checker.ts'
import type { CommittedEntry, CommittedListener, CommittedLog } from './committed.ts'

/** DESIGN, section 6: lost leases are counted apart, dead after this many. */
const LOST_MAX = 3

export class BuriedChecker implements Checker, CommittedListener {
  readonly #report: Report
  readonly #log: CommittedLog
  /** `partition/number` to the tokens under which it reached a worker. */
  readonly #reached = new Map<string, Set<number>>()
  /** `partition/number` of every job that a committed command called failed. */
  readonly #failed = new Set<string>()
  /** Dead jobs that nobody failed. */
  buried = 0

  constructor(report: Report, log: CommittedLog) {
    this.#report = report
    this.#log = log
    log.listen(this)
  }

  committed(_entry: CommittedEntry, entry: LogEntry | undefined): void {
    if (entry?.kind !== 'command' || entry.operation !== Operation.fail || !this.#log.hasSession(entry)) return
    const { partition, groups } = decode(leasedBody, entry.body)
    const reader = new LeasedGroupsReader(groups, Operation.fail)
    while (reader.nextGroup()) while (reader.nextItem()) this.#failed.add(`${partition}/${reader.number}`)
  }

  delivered(bytes: Uint8Array): void {
    const { partition, token, base, count, names, items } = decode(deliver.record, bytes.subarray(1))
    const reader = new DeliveryReader(items, base, count, names.length)
    while (reader.next()) {
      const place = `${partition}/${reader.number}`
      const tokens = this.#reached.get(place)
      if (tokens === undefined) this.#reached.set(place, new Set([token]))
      else tokens.add(token)
    }
  }

  state(job: JobName, state: number | undefined): void {
    const place = job.split('/').slice(-2).join('/')
    if (state !== JobState.dead || this.#failed.has(place)) return
    this.buried++
    const reached = this.#reached.get(place)?.size ?? 0
    if (reached < LOST_MAX) this.#report.broken('buried', `${job} is dead for its lost leases, and was in a worker's process ${reached} times`)
  }
}
