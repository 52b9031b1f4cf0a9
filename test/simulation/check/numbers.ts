//! I1, I7: a second, naive set of books for adds. It follows the committed log with plain maps, shares no code with the real
//! books, and foretells which job every attempt became: what users are told, and the payloads that workers get, must agree.

import { type Command, type LogEntry, Operation } from '@horus/core/message/command'
import { readAddEntry } from '@horus/core/message/jobs'
import { attemptOf, type Attempt, type HeldLease } from '../history.ts'
import type { Checker, Report } from './checker.ts'
import type { CommittedEntry, CommittedListener, CommittedLog } from './committed.ts'

/** How far a session may run ahead of its lowest unanswered sequence (DESIGN, section 6). */
const SESSION_WINDOW = 1024

interface NaiveSession {
  lowest: number
  readonly done: Set<number>
}

interface NaivePartition {
  next: number
  readonly keys: Map<string, number>
}

interface Foretold {
  readonly place: string
  readonly duplicate: boolean
  readonly shard: number
}

/** How far the numbers of one recovery lie from those of the next (docs/decisions/recovery.md). */
const RECOVERY_SPAN = 2 ** 44

export class NumbersChecker implements Checker, CommittedListener {
  readonly #report: Report
  readonly #log: CommittedLog
  /** `shard/session` */
  readonly #sessions = new Map<string, NaiveSession>()
  /** `shard/partition` */
  readonly #partitions = new Map<string, NaivePartition>()
  readonly #foretold = new Map<number, Foretold>()

  constructor(report: Report, log: CommittedLog) {
    this.#report = report
    this.#log = log
    log.listen(this)
  }

  rewound(shard: number): void {
    for (const map of [this.#sessions, this.#partitions]) for (const key of map.keys()) if (key.startsWith(`${shard}/`)) map.delete(key)
    for (const [attempt, foretold] of this.#foretold) if (foretold.shard === shard) this.#foretold.delete(attempt)
  }

  committed({ shard, index }: CommittedEntry, entry: LogEntry | undefined, bytes: Uint8Array): void {
    if (entry?.kind === 'partitionOpen') {
      const key = `${shard}/${entry.partition}`
      if (!this.#partitions.has(key)) this.#partitions.set(key, { next: 1, keys: new Map() })
    } else if (entry?.kind === 'command') {
      const session = `${shard}/${entry.session}`
      if (entry.operation === Operation.open) this.#sessions.set(`${shard}/${index}`, { lowest: 0, done: new Set() })
      else if (this.#admits(session, entry)) {
        if (entry.operation === Operation.add) this.#add(shard, index, bytes)
        else if (entry.operation === Operation.close) this.#sessions.delete(session)
      }
    }
  }

  settled(attempt: Attempt, duplicate: boolean): void {
    if (attempt.outcome !== 'acknowledged' || attempt.job === undefined || this.#log.lost.has(attempt.id)) return
    const foretold = this.#foretold.get(attempt.id)
    const place = placeOf(attempt.job)
    if (foretold === undefined) this.#report.broken('I1', `attempt ${attempt.id} was acknowledged as ${attempt.job}, and by the committed log it became nothing`)
    else if (foretold.place !== place || foretold.duplicate !== duplicate) {
      this.#report.broken('I1', `attempt ${attempt.id} was acknowledged as ${place}${duplicate ? ' (a duplicate)' : ''}, and by the committed log it is ${foretold.place}${foretold.duplicate ? ' (a duplicate)' : ''}`)
    }
  }

  leased(lease: HeldLease): void {
    if (this.#log.lost.has(lease.attempt)) return
    const foretold = this.#foretold.get(lease.attempt)
    const place = placeOf(lease.job)
    if (foretold === undefined || foretold.place !== place || foretold.duplicate) this.#report.broken('I1', `${lease.client} got job ${place} with the payload of attempt ${lease.attempt}, which by the committed log is ${foretold?.place ?? 'nothing'}`)
  }

  #admits(name: string, { sequence, lowest }: Command): boolean {
    const session = this.#sessions.get(name)
    if (session === undefined || sequence < session.lowest) return false
    if (lowest > sequence || sequence >= Math.max(lowest, session.lowest) + SESSION_WINDOW) return false
    session.lowest = Math.max(session.lowest, lowest)
    if (session.done.has(sequence)) return false
    session.done.add(sequence)
    return true
  }

  #add(shard: number, index: number, bytes: Uint8Array): void {
    const { partition, items } = readAddEntry(bytes)
    const books = this.#partitions.get(`${shard}/${partition}`)
    if (books === undefined) return
    books.next = Math.max(books.next, Math.floor(index / RECOVERY_SPAN) * RECOVERY_SPAN + 1)
    while (items.next()) {
      const key = items.options.idempotencyKey
      const known = key === undefined ? undefined : books.keys.get(key)
      const number = known ?? books.next++
      if (key !== undefined) books.keys.set(key, number)
      const attempt = attemptOf(items.payload)
      if (this.#foretold.has(attempt)) this.#report.broken('I7', `attempt ${attempt} was applied twice, the second time at ${index} of shard ${shard}`)
      this.#foretold.set(attempt, { place: `${partition}/${number}`, duplicate: known !== undefined, shard })
    }
  }
}

/** A job's name without its topic: the log knows partitions only. */
function placeOf(job: string): string {
  return job.split('/').slice(-2).join('/')
}
