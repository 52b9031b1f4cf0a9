//! Where a node ends: what comes in, what goes out, what it is told at its start.

import type { DeviceAnswer, DeviceOutbox } from '../device.ts'
import type { Random } from '../random.ts'
import type { Address, ClusterId, ConnectionId, Epoch, LogIndex, NodeId, ReplicaNumber, ShardId, Term } from '../units.ts'

export interface ReplicaOptions {
  /** The cluster's name; nodes of another name are not spoken to. */
  readonly cluster: string
  /** Where others reach this node. */
  readonly address: Address
  readonly zone: string
  readonly version: string
  /** May become a master. */
  readonly eligible: boolean
  /** Addresses to probe, own one included or not; from the range and the ports. */
  readonly range: readonly Address[]
  readonly seeds: readonly Address[]
  /** How many fresh nodes must agree to found a cluster; undefined with `join`, 1 where there is neither range nor seeds. */
  readonly expect: number | undefined
  readonly join: boolean
  /** Seeded by the host from real entropy, by the simulator from the seed. */
  readonly random: Random
  /** What differs from the defaults; the simulator draws small values, so that everything happens often. */
  readonly tuning?: ReplicaTuning
}

/** Sizes and times that a deployment rarely touches. */
export interface ReplicaTuning {
  readonly heartbeatMs?: number
  /** A follower that hears nothing for this long, or up to twice this, asks for votes. */
  readonly electionMs?: number
  readonly replaceAfterMs?: number
  /** How often a node tells another all that it knows by gossip: for so long a lost hint may be missing. */
  readonly syncMs?: number
  /** Entries applied between two snapshots. */
  readonly snapshotEntries?: number
  /** Bytes of entries applied between two snapshots, where their number does not come first. */
  readonly snapshotBytes?: number
  /** How much of a snapshot is written or read in one step, in small things done such as a row. */
  readonly snapshotStep?: number
  /** Bytes of entries in one append. */
  readonly appendBytes?: number
  readonly segmentBytes?: number
  readonly cacheBytes?: number
  readonly minMasters?: number
  /** A forward jump of the wall clock over this is doubted at first; Infinity believes every one, for a world whose clocks are moved together. */
  readonly wallJumpMs?: number
  /** Bits of a drawn value, 53 by default. */
  readonly valueBits?: number
}

export type ReplicaInput =
  | { readonly kind: 'start' }
  | { readonly kind: 'device'; readonly answer: DeviceAnswer }
  | { readonly kind: 'datagram'; readonly from: Address; readonly bytes: Uint8Array }
  | { readonly kind: 'linkUp' | 'linkDown'; readonly node: NodeId }
  /** A node of this cluster is of that generation, which is newer than the own one: links between the two are refused. */
  | { readonly kind: 'generation'; readonly generation: number }
  | { readonly kind: 'message'; readonly from: NodeId; readonly bytes: Uint8Array }
  | { readonly kind: 'clientUp'; readonly connection: ConnectionId; readonly principal: string }
  | { readonly kind: 'clientDown'; readonly connection: ConnectionId }
  | { readonly kind: 'clientMessage'; readonly connection: ConnectionId; readonly bytes: Uint8Array }
  /** Every socket that had something to read has been read once: groups go to the disk, batches to the peers. */
  | { readonly kind: 'turn' }
  /** Wall clocks were moved by more than the time that has passed: what waits for them is to be looked at now. Who never hears it looks every few seconds. */
  | { readonly kind: 'clockMoved' }
  /** Hand the lead over, then say `stopped`. */
  | { readonly kind: 'stop' }

export interface Identity {
  readonly nodeId: NodeId
  readonly value: number
  readonly boot: number
  readonly cluster: string
  /** Unknown until the cluster is founded or joined. */
  readonly clusterId: ClusterId | undefined
  readonly generation: number
}

export interface ReplicaOutbox extends DeviceOutbox {
  datagram(to: Address, bytes: Uint8Array): void
  /** Over the link to that node, which the host opens on demand; dropped where it cannot, and then `linkDown` comes. */
  send(to: NodeId, bytes: Uint8Array): void
  /** Where a node's links are to be opened from now on. */
  address(node: NodeId, at: Address): void
  client(connection: ConnectionId, bytes: Uint8Array): void
  closeClient(connection: ConnectionId, reason: string): void
  closeLink(node: NodeId, reason: string): void
  /** The identity is durable (or has changed): only now may sockets open; HELLO carries it. */
  identity(identity: Identity): void
  /** What a node tells whoever runs it. */
  event(event: ReplicaEvent): void
  /** The process must end: a failed flush, corruption that cannot be mended, a twin. */
  halt(reason: string): void
  stopped(): void
  /** What the checkers of the simulator want to see; hosts leave it out, and then nothing is made for it. */
  observe?(observation: ReplicaObservation): void
}

export type ReplicaObservation =
  /** This copy has won the term. */
  | { readonly kind: 'leader'; readonly shard: ShardId; readonly term: Term; readonly replica: ReplicaNumber }
  /** The leader has stamped and appended an entry of its own term. */
  | { readonly kind: 'proposed'; readonly shard: ShardId; readonly index: LogIndex; readonly term: Term; readonly entry: Uint8Array }
  /** A leader has counted a quorum for the entry at `index`, which is of `entryTerm`. */
  | { readonly kind: 'committed'; readonly shard: ShardId; readonly index: LogIndex; readonly term: Term; readonly entryTerm: Term | undefined }
  /** All masters of a shard that this node leads agree that it rests. */
  | { readonly kind: 'rested'; readonly shard: ShardId }
  /** A committed entry was applied to the books; `entry` as it stands in the log. */
  | { readonly kind: 'applied'; readonly shard: ShardId; readonly index: LogIndex; readonly term: Term; readonly entry: Uint8Array }
  /** The books were replaced by a received snapshot (or one from this node's own disk) that covers the log through `index`. */
  | { readonly kind: 'restored'; readonly shard: ShardId; readonly index: LogIndex; readonly term: Term }
  /** An operator has made this copy the only master: the entries behind its snapshot, one after the other ... */
  | { readonly kind: 'reviving'; readonly shard: ShardId; readonly index: LogIndex; readonly term: Term; readonly entry: Uint8Array }
  /** ... and then: the log of `replica`, as it was, ends at `through`, and goes on behind `index`. */
  | { readonly kind: 'revived'; readonly shard: ShardId; readonly replica: ReplicaNumber; readonly through: LogIndex; readonly index: LogIndex }
  /** A hash of the books after the entry at `index`, every so many entries. */
  | { readonly kind: 'digest'; readonly shard: ShardId; readonly index: LogIndex; readonly digest: string }
  /** The copy was not found intact: from now on it counts as lost. */
  | { readonly kind: 'doubted'; readonly shard: ShardId; readonly replica: ReplicaNumber }
  /** A copy that was found at a start, before it says anything; `last` is the end of its log. */
  | { readonly kind: 'resumed'; readonly shard: ShardId; readonly replica: ReplicaNumber; readonly term: Term; readonly vote: ReplicaNumber | undefined; readonly last: LogIndex; readonly suspect: boolean; readonly isMember: boolean }
  /** From now on the copies here vote: the disk is held to be what it was. */
  | { readonly kind: 'cleared' }
  /** A copy has voted in this term, or acknowledged the log up to `match`. */
  | { readonly kind: 'claimed'; readonly shard: ShardId; readonly replica: ReplicaNumber; readonly term: Term; readonly vote: ReplicaNumber | undefined; readonly match: LogIndex }
  /** A copy's configuration has changed, or become committed; a copy that is found or born tells what it begins with. */
  | { readonly kind: 'configured'; readonly shard: ShardId; readonly epoch: Epoch; readonly committed: boolean; readonly voters: readonly ReplicaPlace[]; readonly outgoing: readonly ReplicaPlace[] | undefined; readonly learners: readonly ReplicaPlace[] }

/** What a node keeps for its clients: it has bounds, whatever they say. */
export interface ReplicaLoad {
  /** Connections of clients. */
  readonly connections: number
  /** Of each shard that is led here: open sessions, those whose connection is known, batches that one session has left unconfirmed, and what waits for a lead. */
  readonly led: readonly { readonly shard: ShardId; readonly sessions: number; readonly presences: number; readonly expected: number; readonly parkedBytes: number }[]
}

/** What the books of a shard wait for that is led here; for whoever lets idle time pass at once. */
export interface LedWaits {
  readonly shard: ShardId
  /** Of the partitions on it; a topic with several of them stands here as often. */
  readonly topics: readonly string[]
  /** When the next scheduled or retrying job is due, by the shard's wall clock; Infinity without. */
  readonly dueAt: number
  readonly leases: number
  /** Posts are unconfirmed, or time that has passed is being written down. */
  readonly isBusy: boolean
}

/** A shard and the term in which it is led. */
export interface LedSurely {
  readonly shard: ShardId
  readonly term: Term
}

export interface ReplicaPlace {
  readonly replica: ReplicaNumber
  readonly node: NodeId
}

export type ReplicaEvent =
  | { readonly kind: 'ready'; readonly ready: boolean }
  | { readonly kind: 'founded'; readonly clusterId: ClusterId }
  /** An operator has struck this node from the registry, and nothing depends on it: it is to be stopped. */
  | { readonly kind: 'left' }
  | { readonly kind: 'log'; readonly level: 'info' | 'warning' | 'error'; readonly text: string }
