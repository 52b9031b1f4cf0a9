//! What nodes say to each other over UDP before and beside any link: who is there (discovery), who is alive (SWIM with
//! Lifeguard), who leads what (hints), and which cluster this is (founding).
//!
//!   datagram = envelope | one of the rows below
//!
//! The envelope says who speaks and for which cluster; it is checked once, by `node/gate.ts`, before any row is read.
//! No datagram is longer than `DATAGRAM_BYTES_MAX`, so that none is ever fragmented, sealed or not.

import type { Address, ClusterId, NodeId } from '../units.ts'
import { address, cluster, epoch, node, shard, term } from './fields.ts'
import { bool, type Field, id128, list, MalformedMessage, type MessageOf, optional, record, rest, row, Table, text, u32, u53, u8, type ValueOf } from './layout.ts'

/** 1,200 bytes pass every path that carries IPv6 unfragmented; 64 of them are left for the seal (nonce, counter, tag). */
export const DATAGRAM_BYTES_MAX = 1200 - 64

/** Raised when the envelope's layout changes; a node ignores what it does not know, and says so once. */
export const GOSSIP_FORMAT = 1

/** `network` is a hash of the cluster's name; `run` is drawn at every start, so that a twin differs from an echo of oneself. */
export const envelope = record({ format: u8, network: u53, clusterId: optional(cluster), node, run: u32 })
export type Envelope = ValueOf<typeof envelope>

// ---- members -------------------------------------------------------------------------------------------------------

const STATES = ['alive', 'suspect', 'dead', 'left'] as const
export type MemberState = (typeof STATES)[number]

const memberState: Field<MemberState> = {
  write: (w, v) => w.u8(STATES.indexOf(v)),
  read(r) {
    const state = STATES[r.u8()]
    if (state === undefined) throw new MalformedMessage('an unknown state of a member')
    return state
  },
}

/**
 * A node as others know it. Of two records of a node the higher incarnation counts; its high part is the boot counter.
 * `expect` is how many fresh nodes must agree to found a cluster, 0 for a node that never founds or no longer may.
 */
export const memberRecord = record({
  node, address, incarnation: u53, boot: u32, state: memberState, value: u53,
  zone: text(64), version: text(32), eligible: bool, expect: u8, clusterId: optional(cluster),
})
export type Member = ValueOf<typeof memberRecord>

/** `by` is who first suspected: a suspicion that more nodes confirm ends sooner (Lifeguard 3.2). */
export const update = record({ member: memberRecord, by: optional(node) })
export type Update = ValueOf<typeof update>

/** Where a shard's masters are, as somebody knows them: of two hints the higher (term, epoch) counts. Never a decision. */
export const shardHint = record({ shard, epoch, term, leader: optional(node), masters: list(node, 16) })
export type ShardHint = ValueOf<typeof shardHint>

const updates = list(update, 64)
const hints = list(shardHint, 64)

/** Is a node there? Padded, so that nobody is ever sent more than he sent. */
export const probe = row(0x01, 'probe', { nonce: u32, padding: rest })
export const probeAnswer = row(0x02, 'probeAnswer', { nonce: u32, member: memberRecord })
/** `to` is who is meant: another node that took over the address does not answer. */
export const ping = row(0x03, 'ping', { sequence: u32, to: node, updates, hints })
/** Ping `to` for me and hand its answer on. */
export const pingRequest = row(0x04, 'pingRequest', { sequence: u32, to: node, address, updates, hints })
export const pong = row(0x05, 'pong', { sequence: u32, updates, hints })
/** I live, but who was to be pinged has not answered me yet (Lifeguard 3.1). */
export const nack = row(0x06, 'nack', { sequence: u32 })
export const gossip = row(0x07, 'gossip', { updates, hints })

// ---- founding ------------------------------------------------------------------------------------------------------

/** Ballots are ordered by round, then value, then node. */
export const ballot = record({ round: u32, value: u53, node })
export type Ballot = ValueOf<typeof ballot>

/** Fields that a promise or an acceptance carries, and that the identity file keeps. */
export const decision = record({ clusterId: id128<ClusterId>(), masters: list(record({ node, address }), 3) })
export type Decision = ValueOf<typeof decision>
export const acceptedDecision = record({ ballot, decision })
export type AcceptedDecision = ValueOf<typeof acceptedDecision>

export const prepare = row(0x10, 'prepare', { ballot, expect: u8 })
export const promise = row(0x11, 'promise', { ballot, expect: u8, value: u53, eligible: bool, address, accepted: optional(acceptedDecision) })
export const accept = row(0x12, 'accept', { ballot, expect: u8, decision })
export const accepted = row(0x13, 'accepted', { ballot })
/** `reason` is a `FoundingRefusal`; `promised` is the ballot that stands in the way. */
export const refused = row(0x14, 'refused', { ballot, reason: u8, expect: u8, promised: optional(ballot) })
/** Your value is another's too, and of the two you are to draw again. */
export const redraw = row(0x15, 'redraw', { value: u53 })
export const decided = row(0x16, 'decided', { decision })
/** From a fresh node to a founded one: what was decided? */
export const inquire = row(0x17, 'inquire', {})

export const FoundingRefusal = { lowBallot: 1, otherExpect: 2, mayNotFound: 3, tooMany: 4 } as const

const foundingRows = [prepare, promise, accept, accepted, refused, redraw, decided, inquire] as const
export const gossipRows = [probe, probeAnswer, ping, pingRequest, pong, nack, gossip, ...foundingRows] as const
export type GossipMessage = MessageOf<(typeof gossipRows)[number]>
export type FoundingMessage = MessageOf<(typeof foundingRows)[number]>
export const gossipTable = new Table<(typeof gossipRows)[number]>(gossipRows)

const FOUNDING_KINDS: ReadonlySet<string> = new Set(foundingRows.map(({ kind }) => kind))

export function isFounding<Message extends { readonly kind: string }>(message: Message): message is Extract<Message, FoundingMessage> {
  return FOUNDING_KINDS.has(message.kind)
}

// ---- full sync, over a link ----------------------------------------------------------------------------------------

/** As many members and hints as one control frame of 1 MiB holds. */
export const SYNC_ITEMS_MAX = 4096
/** What a node knows is compared in so many parts, members by their ids and hints by their shards. */
export const SYNC_BUCKETS = 64
export const buckets = record({ members: list(u32, SYNC_BUCKETS), hints: list(u32, SYNC_BUCKETS) })
export type Buckets = ValueOf<typeof buckets>
/** All that I know, in short, and who I am: a sum for every bucket. Answer with what you know of those that differ. */
export const sync = row(0x18, 'sync', { self: update, sums: buckets })
/** What I know of the buckets that differ; where their numbers stand in `wanted`, answer with what you know of them. */
export const syncAnswer = row(0x19, 'syncAnswer', { wanted: buckets, updates: list(update, SYNC_ITEMS_MAX), hints: list(shardHint, SYNC_ITEMS_MAX) })

export const syncRows = [sync, syncAnswer] as const
export type SyncMessage = MessageOf<(typeof syncRows)[number]>

/** Where a datagram came from, once its envelope has been checked. */
export interface Sender {
  readonly node: NodeId
  readonly address: Address
  readonly run: number
  readonly clusterId: ClusterId | undefined
}
