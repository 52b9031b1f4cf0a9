//! The numbers of a master, each with the reason for its default. The simulator overrides them with small ones.

import { SNAPSHOT_CHUNK_BYTES } from '../message/consensus.ts'

export interface MasterSettings {
  /** How often a leader says that it is there. */
  readonly heartbeatMs: number
  /** A follower that hears nothing for this long, or up to twice this, asks for votes; a leader that hears no quorum for this long steps down. */
  readonly electionMs: number
  /** After the leader's link has closed a follower asks within this time: long enough that two rarely ask at once. */
  readonly linkDownDelayMs: number
  /** How soon a refused pre-vote is repeated while the leader's end is fresh: the others hear of it at about the same time. */
  readonly hastyRetryMs: number
  /** Bytes of entries in one append; a single larger entry still goes. */
  readonly appendBytesMax: number
  /** Appends, and their bytes, that a follower may owe an answer for. */
  readonly inFlightMax: number
  readonly inFlightBytesMax: number
  /** Entries, and their bytes, that are appended but not committed: beyond, nothing is proposable. */
  readonly uncommittedMax: number
  readonly uncommittedBytesMax: number
  /** Reads that may wait for their round. */
  readonly readsMax: number
  /** A gap between two calls counts at most this long on the lease clock. */
  readonly leaseGapMs: number
  /** For so long at the beginning of a term the lease clock stands still. */
  readonly leaseStallMs: number
  /** A leader asks to be called at least this often, so that idle time is no gap. */
  readonly leasePollMs: number
  /** After so long without anything to do a shard comes to rest. */
  readonly restAfterMs: number
  /** A forward jump of the wall clock over this counts only after a majority has shown it for `wallShownMs`. */
  readonly wallJumpMs: number
  readonly wallShownMs: number
  /** Entries behind a snapshot that stay for slow followers. */
  readonly keepEntries: number
  /** A follower this close behind is caught up, so that it may become a voter. */
  readonly caughtUpEntries: number
  /** The commit index is written with a group at most this often: it only spares work after a restart. */
  readonly commitWriteMs: number
  readonly snapshotChunkBytes: number
  readonly snapshotChunksInFlight: number
  /** A larger snapshot, live payloads with it, is refused before memory is taken for it. Ten million small jobs are a little over one GiB. */
  readonly snapshotBytesMax: number
}

export const defaultMasterSettings: MasterSettings = {
  heartbeatMs: 100,
  electionMs: 1000,
  linkDownDelayMs: 20,
  hastyRetryMs: 60,
  appendBytesMax: 1024 * 1024,
  inFlightMax: 64,
  inFlightBytesMax: 8 * 1024 * 1024,
  uncommittedMax: 262_144,
  uncommittedBytesMax: 64 * 1024 * 1024,
  readsMax: 65_536,
  leaseGapMs: 250,
  leaseStallMs: 2000,
  leasePollMs: 200,
  restAfterMs: 1000,
  wallJumpMs: 5000,
  wallShownMs: 30_000,
  keepEntries: 10_000,
  caughtUpEntries: 1000,
  commitWriteMs: 1000,
  snapshotChunkBytes: SNAPSHOT_CHUNK_BYTES,
  snapshotChunksInFlight: 4,
  snapshotBytesMax: 3 * 1024 * 1024 * 1024,
}
