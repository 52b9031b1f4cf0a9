//! I4: a committed entry is the same on all masters for ever. Every entry that any node applies is kept here once, under its
//! index; whoever applies that index later must apply the same bytes of the same term, one index after the other.
//!
//! What the entries say is read here too, by code that shares nothing with the books: which adds are in the log, under
//! which token which lease was ended, and the two times that every entry carries.

import { Hash } from '@horus/core/hash'
import { ENDED_MS_MAX } from '@horus/core/job/limits'
import { acquire, addBody, type Command, command, extendBody, leasedBody, type LogEntry, logTable, Operation, partitionOpen } from '@horus/core/message/command'
import { LeasedGroupsReader, readAddEntry } from '@horus/core/message/jobs'
import { decode } from '@horus/core/message/layout'
import type { ReplicaObservation } from '@horus/core/replica'
import type { LeaseTime, LogIndex, ReplicaNumber, ShardId, Term } from '@horus/core/units'
import type { NodeProcess } from '@horus/core/world/node'
import { attemptOf, type JobName } from '../history.ts'
import type { Checker, Report } from './checker.ts'

export interface CommittedEntry {
  readonly shard: ShardId
  readonly index: LogIndex
  readonly term: Term
  /** Unknown of the registry's entries, which are rows of their own. */
  readonly leaseNow: LeaseTime | undefined
  readonly digest: number
  readonly what: string
}

export type CommittedConfiguration = Extract<ReplicaObservation, { kind: 'configured' }>

export interface CommittedListener {
  /** The shard was recovered from a copy that lacks what came last: everything about its log is to be forgotten, and is told again as it is now ... */
  rewound?(shard: ShardId): void
  /** ... through its end. */
  recovered?(): void
  /** Once for every entry, in the order of the log; `decoded` is missing where the entry is none of a job shard. */
  committed(entry: CommittedEntry, decoded: LogEntry | undefined, bytes: Uint8Array): void
}

/** An entry that leased jobs: every lease under this token runs at least until then, unless it is ended before. */
export interface CommittedAcquire {
  readonly session: number
  readonly leaseNow: LeaseTime
  readonly leaseMs: number
}

interface Place {
  readonly shard: ShardId
  readonly index: LogIndex
}

export interface Recovery extends Place {
  readonly node: NodeProcess
  readonly replica: ReplicaNumber
  /** Entries that were committed and are in no log any more, from the first to the last. */
  readonly lost: readonly LogIndex[]
  /** `partition/number/token` of leases whose last extension is lost. */
  readonly weakened: ReadonlySet<string>
}
type RecoveryListener = (recovery: Recovery) => void

export class CommittedLog implements Checker {
  readonly #report: Report
  readonly #entries = new Map<ShardId, Map<LogIndex, CommittedEntry>>()
  readonly #applied = new Map<NodeProcess, Map<ShardId, LogIndex>>()
  readonly #digests = new Map<string, { digest: string; node: string }>()
  readonly #listeners: CommittedListener[] = []
  /** Attempt to where it was committed; more than one place is a second copy. */
  readonly attempts = new Map<number, { readonly shard: ShardId; readonly index: LogIndex; readonly sequence: string }>()
  readonly acquires = new Map<string, CommittedAcquire>()
  /** `partition/number/token` of every lease that some command ended, whether or not it was still valid, to where that command was last. */
  readonly ends = new Map<string, Place>()
  /** The same of every lease that some command extended. */
  readonly extensions = new Map<string, Place>()
  /** Attempts whose entry was lost when its shard was recovered, and is in no log. */
  readonly lost = new Set<number>()
  /** `shard/index` of every entry that opened a session. */
  readonly #opened = new Map<string, Place>()
  /** `shard/partition` of every partition that is open: an add to another one stands in the log and does nothing. */
  readonly #partitions = new Map<string, Place>()
  /** The bytes of all entries, where some may have to be told again. */
  readonly #bytes: Map<ShardId, Map<LogIndex, Uint8Array>> | undefined
  /** What copies that are recovered just now have behind their snapshots. */
  readonly #reviving = new Map<NodeProcess, Map<ShardId, Map<LogIndex, { readonly term: Term; readonly entry: Uint8Array }>>>()
  readonly #recoveries: RecoveryListener[] = []
  /** By shard, the index at which it went on when it was recovered last. */
  readonly #recovered = new Map<ShardId, LogIndex>()
  /** The newest committed configuration of each shard. */
  readonly configurations = new Map<ShardId, CommittedConfiguration>()
  entries = 0
  #wallMin = Infinity
  #wallMax = -Infinity
  /** A shard was recovered: some entries may be in no log any more. */
  hasLost = false

  /** `mayRecover`: shards may lose what came last, by an operator's recovery. */
  constructor(report: Report, mayRecover = false) {
    this.#report = report
    this.#bytes = mayRecover ? new Map() : undefined
  }

  /** Ended, and perhaps so long ago by the logs' wall clocks that its topic keeps it no more: clocks that jump take an hour in a minute. */
  mayBeForgotten(job: JobName): boolean {
    if (this.#wallMax - this.#wallMin < ENDED_MS_MAX) return false
    const place = `${job.split('/').slice(-2).join('/')}/`
    return [...this.ends.keys()].some((end) => end.startsWith(place))
  }

  listen(listener: CommittedListener): void {
    this.#listeners.push(listener)
  }

  /** Called when all else here is as it is after the recovery. */
  onRecovery(listener: RecoveryListener): void {
    this.#recoveries.push(listener)
  }

  entry(shard: ShardId, index: LogIndex): CommittedEntry | undefined {
    return this.#entries.get(shard)?.get(index)
  }

  /** Whether the command's session was ever opened. The books answer any other with SessionExpired, whatever is in it: it may be garbage. */
  hasSession({ shard, session }: Command): boolean {
    return this.#opened.has(`${shard}/${session}`)
  }

  started(node: NodeProcess): void {
    this.#applied.set(node, new Map())
    this.#reviving.delete(node)
  }

  observed(node: NodeProcess, observation: ReplicaObservation): void {
    switch (observation.kind) {
      case 'applied':
        this.#appliedBy(node, observation)
        return
      case 'restored':
        this.#restoredBy(node, observation)
        return
      case 'reviving': {
        let shards = this.#reviving.get(node)
        if (shards === undefined) this.#reviving.set(node, (shards = new Map()))
        const { shard, index, term, entry } = observation
        if (!shards.has(shard)) shards.set(shard, new Map())
        shards.get(shard)!.set(index, { term, entry: entry.slice() })
        return
      }
      case 'revived':
        this.#revivedOn(node, observation)
        return
      case 'digest':
        this.#digestOf(node, observation)
        return
      case 'configured': {
        const known = this.configurations.get(observation.shard)
        if (observation.committed && (known === undefined || known.epoch <= observation.epoch)) this.configurations.set(observation.shard, observation)
        return
      }
      default:
    }
  }

  #appliedBy(node: NodeProcess, { shard, index, term, entry }: Extract<ReplicaObservation, { kind: 'applied' }>): void {
    const applied = this.#appliedOn(node)
    const last = applied.get(shard)
    // A copy that was given up may be followed by a new one, which begins at the beginning or with `restored`.
    if (last !== undefined && index !== last + 1 && index !== 1) this.#report.broken('I4', `${node.name} applied entry ${index} of shard ${shard} after ${last}`)
    applied.set(shard, index)
    const digest = new Hash().bytes(entry).value()
    const known = this.#entries.get(shard)?.get(index)
    if (known === undefined) this.#commit(shard, index, term, entry, digest)
    else if (known.term !== term || known.digest !== digest) {
      this.#report.broken('I4', `${node.name} applied another entry ${index} of shard ${shard} (term ${term}, ${digest}) than was committed before (term ${known.term}, ${known.digest}, ${known.what})`)
    }
  }

  #commit(shard: ShardId, index: LogIndex, term: Term, entry: Uint8Array, digest = new Hash().bytes(entry).value()): void {
    let log = this.#entries.get(shard)
    if (log === undefined) this.#entries.set(shard, (log = new Map()))
    const decoded = decodeEntry(entry)
    const committed = this.#read(shard, index, term, digest, entry, decoded)
    log.set(index, committed)
    this.entries++
    if (this.#bytes !== undefined) {
      if (!this.#bytes.has(shard)) this.#bytes.set(shard, new Map())
      this.#bytes.get(shard)!.set(index, entry.slice())
    }
    for (const listener of this.#listeners) listener.committed(committed, decoded, entry)
  }

  /**
   * The shard's log is now that of one copy: its tail, committed or not, in the place of whatever the others had there. All that was
   * known of the shard is forgotten and told again, so that it is as if the lost entries had never been.
   */
  #revivedOn(node: NodeProcess, { shard, replica, through, index }: Extract<ReplicaObservation, { kind: 'revived' }>): void {
    // Whoever dies as it is carried out says it again.
    if (this.#recovered.get(shard) === index) return
    this.#recovered.set(shard, index)
    const bytes = this.#bytes?.get(shard) ?? new Map<LogIndex, Uint8Array>()
    const before = this.#entries.get(shard) ?? new Map<LogIndex, CommittedEntry>()
    const tail = this.#reviving.get(node)?.get(shard) ?? new Map<LogIndex, { readonly term: Term; readonly entry: Uint8Array }>()
    const lost: LogIndex[] = []
    const kept: { readonly index: LogIndex; readonly term: Term; readonly entry: Uint8Array }[] = []
    for (const at of [...before.keys()].sort((a, b) => a - b)) {
      const { term, digest } = before.get(at)!
      const own = tail.get(at)
      if (at > through || (own !== undefined && (own.term !== term || new Hash().bytes(own.entry).value() !== digest))) lost.push(at)
      else kept.push({ index: at, term, entry: bytes.get(at)! })
    }
    for (const [at, { term, entry }] of tail) if (!before.has(at) || lost.includes(at)) kept.push({ index: at, term, entry })
    const extensions = [...this.extensions].filter(([, place]) => place.shard === shard)
    this.hasLost = true
    this.#forget(shard)
    for (const listener of this.#listeners) listener.rewound?.(shard)
    for (const { index: at, term, entry } of kept.sort((a, b) => a.index - b.index)) this.#commit(shard, at, term, entry)
    for (const listener of this.#listeners) listener.recovered?.()
    const weakened = new Set(extensions.filter(([key, place]) => this.extensions.get(key)?.index !== place.index).map(([key]) => key))
    for (const listener of this.#recoveries) listener({ shard, node, replica, index, lost, weakened })
  }

  #forget(shard: ShardId): void {
    this.#entries.delete(shard)
    this.#bytes?.delete(shard)
    for (const places of [this.ends, this.extensions, this.#opened, this.#partitions]) for (const [key, place] of places) if (place.shard === shard) places.delete(key)
    for (const key of this.acquires.keys()) if (key.startsWith(`${shard}/`)) this.acquires.delete(key)
    for (const key of this.#digests.keys()) if (key.startsWith(`${shard}/`)) this.#digests.delete(key)
    for (const [attempt, place] of this.attempts) {
      if (place.shard !== shard) continue
      this.attempts.delete(attempt)
      this.lost.add(attempt)
    }
  }

  /** A snapshot stands for the log through its index: of that log the last entry at least must be the committed one. */
  #restoredBy(node: NodeProcess, { shard, index, term }: Extract<ReplicaObservation, { kind: 'restored' }>): void {
    this.#appliedOn(node).set(shard, index)
    const known = this.entry(shard, index)
    if (known !== undefined && known.term !== term) this.#report.broken('I4', `${node.name} restored shard ${shard} at ${index} of term ${term}, where term ${known.term} was committed`)
  }

  #appliedOn(node: NodeProcess): Map<ShardId, LogIndex> {
    let applied = this.#applied.get(node)
    if (applied === undefined) this.#applied.set(node, (applied = new Map()))
    return applied
  }

  #digestOf(node: NodeProcess, { shard, index, digest }: Extract<ReplicaObservation, { kind: 'digest' }>): void {
    const key = `${shard}/${index}`
    const known = this.#digests.get(key)
    if (known === undefined) this.#digests.set(key, { digest, node: node.name })
    else if (known.digest !== digest) this.#report.broken('I4', `the books of shard ${shard} after entry ${index} are ${digest} on ${node.name} and ${known.digest} on ${known.node}`)
  }

  #read(shard: ShardId, index: LogIndex, term: Term, digest: number, bytes: Uint8Array, entry: LogEntry | undefined): CommittedEntry {
    if (entry === undefined) return { shard, index, term, leaseNow: undefined, digest, what: 'no entry of a job shard' }
    this.#wallMin = Math.min(this.#wallMin, entry.wallNow)
    this.#wallMax = Math.max(this.#wallMax, entry.wallNow)
    let what: string = entry.kind
    if (entry.kind === command.kind) what = this.#readCommand(index, bytes, entry)
    else if (entry.kind === partitionOpen.kind) this.#partitions.set(`${shard}/${entry.partition}`, { shard, index })
    else if (entry.kind === acquire.kind) this.acquires.set(`${shard}/${index}`, { session: entry.session, leaseNow: entry.leaseNow, leaseMs: entry.leaseMs })
    return { shard, index, term, leaseNow: entry.leaseNow, digest, what }
  }

  #readCommand(index: LogIndex, bytes: Uint8Array, entry: Command): string {
    const operation = entry.operation as Operation
    if (operation === Operation.open) this.#opened.set(`${entry.shard}/${index}`, { shard: entry.shard, index })
    else if (!this.hasSession(entry)) return `operation ${operation} of no session`
    switch (operation) {
      case Operation.add: {
        if (!this.#partitions.has(`${entry.shard}/${decode(addBody, entry.body).partition}`)) return 'add to no partition'
        const { items } = readAddEntry(bytes)
        while (items.next()) this.#added(attemptOf(items.payload), entry.shard, index, `${entry.session}/${entry.sequence}`)
        return 'add'
      }
      case Operation.complete:
      case Operation.fail:
      case Operation.release: {
        const body = decode(leasedBody, entry.body)
        const groups = new LeasedGroupsReader(body.groups, operation)
        while (groups.nextGroup()) while (groups.nextItem()) this.ends.set(`${body.partition}/${groups.number}/${groups.token}`, { shard: entry.shard, index })
        return operation === Operation.complete ? 'complete' : operation === Operation.fail ? 'fail' : 'release'
      }
      case Operation.extend: {
        const body = decode(extendBody, entry.body)
        const groups = new LeasedGroupsReader(body.groups, operation)
        while (groups.nextGroup()) while (groups.nextItem()) this.extensions.set(`${body.partition}/${groups.number}/${groups.token}`, { shard: entry.shard, index })
        return 'extend'
      }
      default:
        return `operation ${operation}`
    }
  }

  #added(attempt: number, shard: ShardId, index: LogIndex, sequence: string): void {
    if (attempt === 0) {
      this.#report.broken('I4', `an add in shard ${shard} at ${index} carries a payload that no user wrote`)
      return
    }
    this.lost.delete(attempt)
    if (!this.attempts.has(attempt)) this.attempts.set(attempt, { shard, index, sequence })
  }
}

/** The registry's entries are rows of their own. */
function decodeEntry(bytes: Uint8Array): LogEntry | undefined {
  try {
    return logTable.decode(bytes)
  } catch {
    return undefined
  }
}
