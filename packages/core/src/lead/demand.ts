//! What workers want of the shard that this node leads: standing demands, and the acquire entries that answer them.
//!
//!   demand (grant 50) ──▶ ┌────────────┐  waiting + adds under way      ┌─────────┐
//!   add, complete seen ─▶ │ DemandBook │ ─ plan, once a turn ─────────▶ │ acquire │ ─▶ the log, right behind the add
//!                         └────────────┘                                └─────────┘
//!
//! Demand is soft state of a leader: it dies with the term, and every worker says it again to the next leader. That a session
//! never holds more than its grant is checked again when the acquire is applied; the sums here only decide what is worth asking.
//! An acquire may be planned against an add that is not committed yet: behind it in the log, it finds the jobs when it is applied.

import { assert } from '../assert.ts'
import type { PartitionId, SessionNumber } from '../units.ts'

export interface Demand {
  readonly partition: PartitionId
  readonly session: SessionNumber
  /** Of two demands the one with the higher number counts. */
  readonly number: number
  /** How many leases the session may hold on the partition. */
  readonly grant: number
  readonly leaseMs: number
  /** None means all. */
  readonly names: readonly string[]
}

/** The committed books, as far as demand needs them. */
export interface DemandView {
  waiting(partition: PartitionId, names: readonly string[]): number
  held(partition: PartitionId, session: SessionNumber): number
}

export interface AcquirePlan {
  readonly partition: PartitionId
  readonly session: SessionNumber
  readonly count: number
  readonly grant: number
  readonly leaseMs: number
  readonly names: readonly string[]
}

/** Jobs that one acquire entry leases at the most: bounds the size of a delivery and how long applying one entry takes. */
export const ACQUIRE_COUNT_MAX = 1024
/** Standing demands a partition remembers; a further session is told to come back. */
export const DEMANDS_PER_PARTITION_MAX = 10_000

/** A session holds at most so many leases on a partition, whatever it asks for: a resume lists no more, and all are on their way to it at once. */
export const GRANT_MAX = 65_535

export class DemandBook {
  readonly #partitions = new Map<PartitionId, PartitionDemand>()
  /** Sessions whose lease ran out and that have said nothing since: what they were given now would run out as well. */
  readonly #silent = new Set<SessionNumber>()

  /** False where the demand is older than the one that stands, or there are too many. */
  set(demand: Demand): boolean {
    const partition = this.#partition(demand.partition)
    const standing = partition.demands.find((other) => other.session === demand.session)
    if (standing === undefined) {
      if (partition.demands.length >= DEMANDS_PER_PARTITION_MAX) return false
      partition.demands.push({ ...demand, grant: Math.min(demand.grant, GRANT_MAX), acquiring: 0, freeing: 0 })
      return true
    }
    if (demand.number < standing.number) return false
    standing.number = demand.number
    standing.grant = Math.min(demand.grant, GRANT_MAX)
    standing.leaseMs = demand.leaseMs
    standing.names = demand.names
    return true
  }

  /** Leases of the session plus acquires under way: what a lowered grant must wait for. */
  held(view: DemandView, partition: PartitionId, session: SessionNumber): number {
    const standing = this.#partitions.get(partition)?.demands.find((other) => other.session === session)
    return view.held(partition, session) + (standing?.acquiring ?? 0)
  }

  /** A lease of the session ran out: its worker stands still, or its loop does. It gets nothing more until it is heard. */
  leaseRanOut(session: SessionNumber): void {
    this.#silent.add(session)
  }

  heard(session: SessionNumber): void {
    if (this.#silent.size > 0) this.#silent.delete(session)
  }

  /** The worker's connection has gone: it will say its demand again when it is back. */
  forget(session: SessionNumber): void {
    this.#silent.delete(session)
    for (const partition of this.#partitions.values()) {
      const at = partition.demands.findIndex((demand) => demand.session === session)
      if (at < 0) continue
      partition.demands[at]!.grant = 0
      if (partition.demands[at]!.acquiring === 0) partition.demands.splice(at, 1)
    }
  }

  clear(): void {
    this.#silent.clear()
    this.#partitions.clear()
  }

  addAppended(partition: PartitionId, names: readonly string[], count: number): void {
    this.#partition(partition).adds.push({ names, count })
  }

  addApplied(partition: PartitionId): void {
    this.#partition(partition).adds.shift()
  }

  /** `count` may be negative, when what was counted at the append is taken back at the apply. */
  freeing(partition: PartitionId, session: SessionNumber, count: number): void {
    const standing = this.#partitions.get(partition)?.demands.find((other) => other.session === session)
    if (standing) standing.freeing = Math.max(0, standing.freeing + count)
  }

  acquireApplied(partition: PartitionId, session: SessionNumber, count: number): void {
    const entry = this.#partition(partition)
    entry.acquiring -= count
    assert(entry.acquiring >= 0, 'no more acquires are applied than were planned')
    const at = entry.demands.findIndex((other) => other.session === session)
    const standing = entry.demands[at]
    if (standing === undefined) return
    standing.acquiring -= count
    if (standing.grant === 0 && standing.acquiring <= 0) entry.demands.splice(at, 1)
  }

  /** Every acquire that is worth appending now. Called once a turn, after the turn's commands were appended. */
  plan(view: DemandView, emit: (plan: AcquirePlan) => void): void {
    for (const [partition, entry] of this.#partitions) {
      const demands = entry.demands
      for (let turn = 0; turn < demands.length; turn++) {
        const demand = demands[(entry.first + turn) % demands.length]!
        this.#planOne(view, partition, entry, demand, emit)
      }
      if (demands.length > 0) entry.first = (entry.first + 1) % demands.length
    }
  }

  #planOne(view: DemandView, partition: PartitionId, entry: PartitionDemand, demand: StandingDemand, emit: (plan: AcquirePlan) => void): void {
    if (demand.grant === 0 || this.#silent.has(demand.session)) return
    let free = demand.grant - Math.max(0, view.held(partition, demand.session) - demand.freeing) - demand.acquiring
    if (free <= 0) return
    let available = view.waiting(partition, demand.names) - entry.acquiring
    for (const add of entry.adds) if (mayMatch(add.names, demand.names)) available += add.count
    while (free > 0 && available > 0) {
      const count = Math.min(free, available, ACQUIRE_COUNT_MAX)
      demand.acquiring += count
      entry.acquiring += count
      free -= count
      available -= count
      emit({ partition, session: demand.session, count, grant: demand.grant, leaseMs: demand.leaseMs, names: demand.names })
    }
  }

  #partition(partition: PartitionId): PartitionDemand {
    let entry = this.#partitions.get(partition)
    if (entry === undefined) {
      entry = { demands: [], first: 0, adds: [], acquiring: 0 }
      this.#partitions.set(partition, entry)
    }
    return entry
  }
}

interface StandingDemand {
  readonly session: SessionNumber
  number: number
  grant: number
  leaseMs: number
  names: readonly string[]
  /** Asked for by acquire entries that are appended and not applied. */
  acquiring: number
  /** Leases that appended, not yet applied commands will end. */
  freeing: number
}

interface PartitionDemand {
  readonly demands: StandingDemand[]
  /** Whose turn it is to be served first. */
  first: number
  /** Adds that are appended and not applied, oldest first. */
  readonly adds: { readonly names: readonly string[]; readonly count: number }[]
  acquiring: number
}

function mayMatch(added: readonly string[], wanted: readonly string[]): boolean {
  return wanted.length === 0 || added.some((name) => wanted.includes(name))
}
