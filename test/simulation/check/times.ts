//! I9: nothing scheduled starts early. When a delayed or failed job is due is computed here from the committed entries alone: the log's
//! wall clock at the add or at the fail, and what the job's options and the worker asked for. No acquire may lease it before.

import { Backoff, type Command, FailMode, leasedBody, type LogEntry, Operation, type JobOptions } from '@horus/core/message/command'
import { LeasedGroupsReader, readAddEntry } from '@horus/core/message/jobs'
import { decode } from '@horus/core/message/layout'
import type { ShardId } from '@horus/core/units'
import { attemptOf, type EndHow, type HeldLease, type JobName } from '../history.ts'
import type { Checker, Report } from './checker.ts'
import type { CommittedEntry, CommittedListener, CommittedLog } from './committed.ts'

/** DESIGN, section 6: a failed job waits a second at first, a fifth more or less, unless it says otherwise. */
const BACKOFF_MS_DEFAULT = 1000

interface Start {
  readonly shard: ShardId
  readonly token: number
  readonly wall: number
}

interface Wait {
  /** `partition/number/token` */
  readonly fail: string
  readonly after: number
  readonly until: number
}

export class TimesChecker implements Checker, CommittedListener {
  readonly #report: Report
  readonly #log: CommittedLog
  readonly #walls = new Map<ShardId, number>()
  /** `shard/index` of an acquire to the log's wall clock. */
  readonly #acquired = new Map<string, number>()
  /** By the attempt in the payload. */
  readonly #due = new Map<number, { readonly at: number; readonly backoffMs: number }>()
  /** `partition/number/token` to what a fail under it asked for; the first one counts, repeats are told its answer. */
  readonly #fails = new Map<string, { readonly shard: ShardId; readonly wall: number; readonly mode: number; readonly retryAfterMs: number }>()
  readonly #starts = new Map<JobName, Start[]>()
  readonly #waits = new Map<JobName, Wait[]>()

  constructor(report: Report, log: CommittedLog) {
    this.#report = report
    this.#log = log
    log.listen(this)
  }

  rewound(shard: ShardId): void {
    this.#walls.delete(shard)
    for (const key of this.#acquired.keys()) if (key.startsWith(`${shard}/`)) this.#acquired.delete(key)
    for (const [key, fail] of this.#fails) if (fail.shard === shard) this.#fails.delete(key)
  }

  /** A lease that is lost began nothing, and a fail that is lost delays nothing. */
  recovered(): void {
    for (const [job, starts] of this.#starts) this.#starts.set(job, starts.filter(({ shard, token }) => this.#acquired.has(`${shard}/${token}`)))
    for (const [job, waits] of this.#waits) this.#waits.set(job, waits.filter(({ fail }) => this.#fails.has(fail)))
  }

  committed({ shard, index }: CommittedEntry, entry: LogEntry | undefined, bytes: Uint8Array): void {
    if (entry === undefined) return
    const wall = Math.max(this.#walls.get(shard) ?? 0, entry.wallNow)
    this.#walls.set(shard, wall)
    if (entry.kind === 'acquire') this.#acquired.set(`${shard}/${index}`, wall)
    else if (entry.kind !== 'command' || !this.#log.hasSession(entry)) return
    else if (entry.operation === Operation.add) this.#added(bytes, wall)
    else if (entry.operation === Operation.fail) this.#failed(entry, wall)
  }

  leased(lease: HeldLease): void {
    const shard = this.#log.attempts.get(lease.attempt)?.shard
    const wall = shard === undefined ? undefined : this.#acquired.get(`${shard}/${lease.token}`)
    if (shard === undefined || wall === undefined) return
    const due = this.#due.get(lease.attempt)?.at ?? 0
    if (wall < due) this.#report.broken('I9', `${lease.job} was leased under ${lease.token} at ${wall}, ${due - wall} ms before it was due`)
    push(this.#starts, lease.job, { shard, token: lease.token, wall })
    this.#compare(lease.job)
  }

  /** Only a fail that is said to have been done delays the job. */
  ended(lease: HeldLease, how: EndHow, code: string): void {
    const fail = this.#fails.get(`${lease.partition}/${lease.number}/${lease.token}`)
    if (how !== 'fail' || code !== 'ok' || fail === undefined) return
    const delay = fail.mode === FailMode.retryAfter ? fail.retryAfterMs : (this.#due.get(lease.attempt)?.backoffMs ?? 0)
    push(this.#waits, lease.job, { fail: `${lease.partition}/${lease.number}/${lease.token}`, after: lease.token, until: fail.wall + delay })
    this.#compare(lease.job)
  }

  /** The next worker may have had the job before the one that failed it heard so. */
  #compare(job: JobName): void {
    for (const wait of this.#waits.get(job) ?? []) {
      for (const { token, wall } of this.#starts.get(job) ?? []) {
        if (token > wait.after && wall < wait.until) this.#report.broken('I9', `${job} failed under ${wait.after} and was leased again under ${token}, ${wait.until - wall} ms before its time`)
      }
    }
  }

  #added(bytes: Uint8Array, wall: number): void {
    const { items } = readAddEntry(bytes)
    while (items.next()) {
      const { runAt = 0, delay = 0, backoff } = items.options
      const attempt = attemptOf(items.payload)
      // A command that is in the log twice was done the first time.
      if (!this.#due.has(attempt)) this.#due.set(attempt, { at: Math.max(runAt, delay > 0 ? wall + delay : 0), backoffMs: leastBackoff(backoff) })
    }
  }

  #failed(entry: Command, wall: number): void {
    const { partition, groups } = decode(leasedBody, entry.body)
    const reader = new LeasedGroupsReader(groups, Operation.fail)
    while (reader.nextGroup()) {
      while (reader.nextItem()) {
        const key = `${partition}/${reader.number}/${reader.token}`
        if (!this.#fails.has(key)) this.#fails.set(key, { shard: entry.shard, wall, mode: reader.mode, retryAfterMs: reader.retryAfterMs })
      }
    }
  }
}

/** The shortest that any attempt's backoff can be. */
function leastBackoff(backoff: JobOptions['backoff']): number {
  const { kind, baseMs, maxMs } = backoff ?? { kind: Backoff.exponential, baseMs: BACKOFF_MS_DEFAULT, maxMs: BACKOFF_MS_DEFAULT }
  const base = Math.min(baseMs, maxMs)
  return kind === Backoff.fixed ? base : base - Math.floor(base / 5)
}

function push<T>(lists: Map<JobName, T[]>, job: JobName, value: T): void {
  const list = lists.get(job)
  if (list === undefined) lists.set(job, [value])
  else list.push(value)
}
