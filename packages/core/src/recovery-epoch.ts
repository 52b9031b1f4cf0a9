//! How often a shard was recovered by force from one copy: its *recovery epoch*, the high part of every number that the shard gives out.
//!
//!   number = recovery epoch x span + what it would have been
//!
//! The masters that are lost may have given out any number behind the last one that the copy knows. Under a higher high part none of
//! them comes again, however far they were ahead. A term shows the epoch of whoever speaks.

import { assert } from './assert.ts'
import type { Epoch, JobNumber, LogIndex, PartitionId, ReplicaNumber, ShardId, Term } from './units.ts'

/** A shard number and a partition number have four bytes, three of them below the epoch: more recoveries of one shard there cannot be. */
export const RECOVERIES_MAX = 255
/** Shards, and partitions, that the registry may number between two recoveries. */
export const PLACES_SPAN = 2 ** 24
/** Five years of a hundred thousand a second. */
const ENTRIES_SPAN = 2 ** 44
const JOBS_SPAN = 2 ** 44
/** A term takes six bytes in a record of the journal. */
const TERMS_SPAN = 2 ** 32
const CONFIGURATIONS_SPAN = 2 ** 32
const REPLICAS_SPAN = 2 ** 20

/** The recovery epoch of a copy in this term. */
export function recoveryOf(term: Term): number {
  return Math.floor(term / TERMS_SPAN)
}

/** Of the log whose newest entry, or snapshot, this is. */
export function recoveryOfIndex(index: LogIndex): number {
  return Math.floor(index / ENTRIES_SPAN)
}

/** The first job of a partition that is opened by the entry at `index`. */
export function firstJobAt(index: LogIndex): JobNumber {
  return (recoveryOfIndex(index) * JOBS_SPAN + 1) as JobNumber
}

/** Where the numbers of an epoch begin: the log behind `index`, the jobs of each partition at `job`. */
export interface RecoveryBase {
  readonly index: LogIndex
  readonly term: Term
  readonly configuration: Epoch
  readonly replica: ReplicaNumber
  readonly job: JobNumber
  readonly shard: ShardId
  readonly partition: PartitionId
}

export function recoveryBase(recovery: number): RecoveryBase {
  assert(Number.isInteger(recovery) && recovery > 0 && recovery <= RECOVERIES_MAX, 'a shard is recovered a bounded number of times')
  return {
    index: (recovery * ENTRIES_SPAN) as LogIndex,
    term: (recovery * TERMS_SPAN) as Term,
    configuration: (recovery * CONFIGURATIONS_SPAN) as Epoch,
    replica: (recovery * REPLICAS_SPAN) as ReplicaNumber,
    job: (recovery * JOBS_SPAN + 1) as JobNumber,
    shard: (recovery * PLACES_SPAN) as ShardId,
    partition: (recovery * PLACES_SPAN) as PartitionId,
  }
}
