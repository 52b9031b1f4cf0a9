//! Where a master ends: what comes in, what goes out, what it is handed.
//!
//!   message durable propose turn ...  ──▶ Master ──▶  send append hardState committed role ...
//!
//! The journal is a peer: `append` and `hardState` carry a ticket that rises, and `durable` brings back the highest one that
//! has reached the disk. Effects must reach the journal in the order in which they were written to the outbox: an
//! acknowledgement is right only because a term, a vote or an entry with a lower ticket is never less durable.

import type { ConsensusMessage } from '../message/consensus.ts'
import type { Configuration } from '../message/command.ts'
import type { Epoch, LeaseTime, LogIndex, NodeId, ReplicaNumber, ShardId, Term, WallTime } from '../units.ts'

/** A numbered copy of a shard's log, on its node. */
export interface Peer {
  readonly replica: ReplicaNumber
  readonly node: NodeId
}

export interface LogRecord {
  readonly index: LogIndex
  readonly term: Term
  readonly bytes: Uint8Array
}

/** What a copy must never forget. `extra` is the master's own: configurations and the last stamped times. */
export interface HardState {
  readonly term: Term
  readonly vote: ReplicaNumber | undefined
  readonly self: ReplicaNumber
  readonly epoch: Epoch
  readonly commit: LogIndex
  readonly extra: Uint8Array
}

/** The journal, as far as a master reads it. */
export interface LogReader {
  /** Entries `from` to `to`, both included, stopped behind `maxBytes` (but never empty); undefined: not in memory, ask `fetch`. */
  entries(shard: ShardId, from: LogIndex, to: LogIndex, maxBytes: number): readonly LogRecord[] | undefined
  /** Room on the disk, told to the leader. */
  readonly freeBytes: number
  /** What of it is kept back for ending what there is. */
  readonly reserveBytes: number
}

/** A snapshot that is being sent. It does not change while it is. */
export interface SnapshotSource {
  readonly index: LogIndex
  readonly term: Term
  /** An encoded configuration entry. */
  readonly configuration: Uint8Array
  readonly totalBytes: number
  /** `snapshotHash` of the whole. */
  readonly hash: number
  /** The bytes at `offset`, `maxBytes` of them or up to the end; undefined while they are loading, and then `loaded` comes. */
  chunk(offset: number, maxBytes: number): Uint8Array | undefined
}

export interface InstalledSnapshot {
  readonly index: LogIndex
  readonly term: Term
  /** An encoded configuration entry. */
  readonly configuration: Uint8Array
  readonly image: Uint8Array
}

/** What the journal found on the disk for this copy. */
export interface RecoveredCopy {
  readonly hardState: HardState | undefined
  /** `configuration` bears the stamps of the entry at `index`. */
  readonly snapshot: { readonly index: LogIndex; readonly term: Term; readonly configuration: Uint8Array } | undefined
  /** Of the log that can be read; `lastIndex < firstIndex` where there is none. */
  readonly firstIndex: LogIndex
  readonly lastIndex: LogIndex
  /** Where each term begins, rising. */
  readonly terms: readonly { readonly index: LogIndex; readonly term: Term }[]
  /** Not proven intact: it counts as lost. */
  readonly suspect: boolean
}

export type ConfigurationChange =
  /** The node gets a copy without a vote, under a number of its own. */
  | { readonly kind: 'learner'; readonly node: NodeId }
  /** One joint step to these voters, each of them a voter or learner now. */
  | { readonly kind: 'replace'; readonly voters: readonly Peer[] }
  | { readonly kind: 'forgetLearner'; readonly replica: ReplicaNumber }

export type MasterInput =
  | { readonly kind: 'message'; readonly from: NodeId; readonly message: ConsensusMessage }
  | { readonly kind: 'durable'; readonly ticket: number }
  /** An encoded log entry; it is stamped in place, and belongs to the master from then on. Its index is `lastIndex` after the call. */
  | { readonly kind: 'propose'; readonly entry: Uint8Array }
  | { readonly kind: 'loaded' }
  /** The journal cannot read this entry any more. */
  | { readonly kind: 'unreadable'; readonly index: LogIndex }
  /** It can be read now, or may be: another master gave it, or the disk is asked once more. */
  | { readonly kind: 'readable'; readonly index: LogIndex }
  | { readonly kind: 'linkDown'; readonly node: NodeId }
  | { readonly kind: 'turn' }
  /** Whether the registry stands behind this copy may have changed. */
  | { readonly kind: 'standing' }
  /** A read that must see everything committed before it: `readable` or `readRefused` follows. */
  | { readonly kind: 'read'; readonly id: number }
  | { readonly kind: 'reconfigure'; readonly change: ConfigurationChange }
  /** Hands the lead to that voter, or to the best one. */
  | { readonly kind: 'transfer'; readonly to: ReplicaNumber | undefined }
  /** An own snapshot up to `index` is durable: log before it may go, with `all` also what is kept for slow followers. */
  | { readonly kind: 'snapshotted'; readonly index: LogIndex; readonly term: Term; readonly all: boolean }
  | { readonly kind: 'snapshotOpened'; readonly peer: ReplicaNumber; readonly source: SnapshotSource }
  /** All other copies agree to the rest that was asked for. */
  | { readonly kind: 'restAgreed' }
  /** The node that leads, or one that follows, is silent, gone, or holds the rest no more. */
  | { readonly kind: 'rouse' }
  /** The snapshot of `install` is restored and durable, and the journal's log restarts behind it. */
  | { readonly kind: 'installed'; readonly index: LogIndex }

/** In this term everybody has everything up to `index`, which is the end. */
export interface RestWish {
  readonly term: Term
  readonly from: ReplicaNumber
  readonly index: LogIndex
  readonly peers: readonly Peer[]
}

export type Role = 'follower' | 'candidate' | 'leader'

export interface RoleView {
  readonly role: Role
  readonly term: Term
  readonly leader: Peer | undefined
}

export interface MasterOutbox {
  send(to: NodeId, message: ConsensusMessage): void
  /** An index at or below an earlier one supersedes it and everything behind it. */
  append(ticket: number, entries: readonly LogRecord[]): void
  hardState(ticket: number, state: HardState): void
  /** Bring these entries into memory; `loaded` is wanted then. */
  fetch(from: LogIndex, to: LogIndex, maxBytes: number): void
  /** Log up to here is no longer needed as log. */
  trim(through: LogIndex): void
  /** Everything up to `index` is committed. */
  committed(index: LogIndex): void
  /** Answer the read once everything up to `index` is applied. */
  readable(id: number, index: LogIndex): void
  readRefused(id: number): void
  role(view: RoleView): void
  /** The configuration in force, and whether it is committed; again when that changes, or when it is rolled back. */
  configured(configuration: Configuration, committed: boolean): void
  /** That peer needs a snapshot: `snapshotOpened` is wanted. */
  openSnapshot(peer: ReplicaNumber): void
  install(snapshot: InstalledSnapshot): void
  /** As a leader: may the shard rest? As a leader or follower, without a wish: this copy is at rest no more. */
  rest(wish: RestWish | undefined): void
  /** A committed configuration of this epoch is without this copy: its data may go. */
  removed(epoch: Epoch): void
  log(text: string): void
}

/** How far a peer is, seen by the leader. */
export interface PeerView extends Peer {
  readonly match: LogIndex
  /** Since the last message of any kind; where none has come in this term, since the leader began to lead or took the peer in. */
  readonly activeAgoMs: number
  readonly learner: boolean
  readonly caughtUp: boolean
  readonly suspect: boolean
  /** Its disk has more left than what is kept back. */
  readonly hasRoom: boolean
}

export interface Stamps {
  readonly leaseNow: LeaseTime
  readonly wallNow: WallTime
}
