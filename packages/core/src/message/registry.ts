//! Shard 0's log, and what nodes say to each other about it. Like every log entry these begin with a tag and the two
//! times that the leader stamps in. Every command can be repeated (a node is known by its id, a topic by its name), so
//! none needs a session: `origin` and `request` only say to whom the outcome is told.

import { address, cluster, index, leaseTime, name, node, shard, wallTime } from './fields.ts'
import { bool, bytes, list, type MessageOf, optional, record, rest, row, Table, text, u16, u32, u53, u8, type ValueOf } from './layout.ts'

const stamps = { leaseNow: leaseTime, wallNow: wallTime }
const asked = { origin: node, request: u32 }

export const SETTINGS_BYTES_MAX = 65_536
export const PARTITIONS_MAX = 4096
export const MASTERS_MAX = 3
/** Nodes that one recovery may declare destroyed. */
export const DESTROYED_MAX = 32

/** What the registry keeps of an admitted node. */
export const nodeRecord = record({ node, address, value: u53, zone: text(64), version: text(32), eligible: bool })
export type NodeRecord = ValueOf<typeof nodeRecord>

const masters = list(node, MASTERS_MAX)
/** A shard with those who are to be its first masters, chosen by the leader among live, eligible, admitted nodes. */
export const birth = record({ shard, masters })
export type Birth = ValueOf<typeof birth>

// ---- the log of shard 0 --------------------------------------------------------------------------------------------

/** The first entry: which cluster this is. */
export const founded = row(0x50, 'founded', { ...stamps, clusterId: cluster, generation: u32, masters: list(record({ node, address }), MASTERS_MAX) })
export const admit = row(0x51, 'admit', { ...stamps, ...asked, record: nodeRecord })
/** The node is struck: it will not come back, and is not let in again. `force` also where it lives, or is still a master; that is for the desk of the leader, which sees both. */
export const forget = row(0x52, 'forget', { ...stamps, ...asked, node, force: bool })
/**
 * `births` are masters for the shards that the leader expects to be born by this entry; one that it did not foresee is born by `shardBorn`. `settings` are
 * `topicSettings`; a topic that exists takes them too, unless there are none at all: then it is only to be there.
 */
export const createTopic = row(0x53, 'createTopic', { ...stamps, ...asked, topic: name, partitions: u16, settings: bytes(SETTINGS_BYTES_MAX), births: list(birth, PARTITIONS_MAX) })
export const configureTopic = row(0x54, 'configureTopic', { ...stamps, ...asked, topic: name, settings: bytes(SETTINGS_BYTES_MAX) })
/** Masters for a shard that topics were already placed on. */
export const shardBorn = row(0x55, 'shardBorn', { ...stamps, birth })
/**
 * The node is to be master of nothing that another can take, until the contrary is said. `wish` is drawn by whoever wants it and the same in
 * every repeat: one that comes late, when the contrary has been said, was done already and does nothing.
 */
export const drain = row(0x56, 'drain', { ...stamps, ...asked, node, draining: bool, wish: u32 })

/**
 * An operator has made `node` the only master of the shard, from the one copy that was left: its recovery epoch is `recovery` from now on, and
 * whatever copy is of an earlier one has no say any more. The nodes `destroyed` are struck.
 */
export const shardRecovered = row(0x57, 'shardRecovered', { ...stamps, ...asked, shard, recovery: u32, node, destroyed: list(node, DESTROYED_MAX) })

export const registryLogRows = [founded, admit, forget, createTopic, configureTopic, shardBorn, drain, shardRecovered] as const
export type RegistryEntry = MessageOf<(typeof registryLogRows)[number]>
export const registryLogTable = new Table<(typeof registryLogRows)[number]>(registryLogRows)
/** Tags of shard 0's own entries; all others in its log are the masters' (no-op, tick, configuration). */
export const isRegistryTag = (tag: number): boolean => tag >= 0x50 && tag <= 0x5f

/** What may be asked of the registry by a node; the rest its leader writes itself. */
export type RegistryRequest = Extract<RegistryEntry, { kind: 'admit' | 'forget' | 'createTopic' | 'configureTopic' | 'drain' | 'shardRecovered' }>
/** Distributes over the kinds, which `Omit` alone does not. */
type Unasked<T> = T extends unknown ? Omit<T, 'origin' | 'request' | 'leaseNow' | 'wallNow'> : never
/** A request without who asks and when. */
export type RegistryWish = Unasked<RegistryRequest>

/** Outcomes that only the registry knows; the others are those of `Code`. */
export const RegistryCode = {
  /** The value is another admitted node's: draw again. */
  tie: 64,
  /** The topic exists with another number of partitions, which never changes. */
  differs: 65,
  /** The registry does not know yet which cluster it is of: ask again in a moment. */
  notFounded: 66,
  malformed: 67,
  /** No more nodes or topics fit. */
  full: 68,
  /** The node was struck from the registry, and is not let in again. */
  struck: 69,
  /** Not forgotten: the node lives, and is not draining. Or not recovered: a node that is said to be destroyed lives. */
  lives: 70,
  /** Not forgotten: the node is still a master of a shard. */
  master: 71,
  /** Not recovered: another copy was, or the epoch is none that follows. */
  outdated: 72,
  /** Not let in again: the node was declared destroyed, and nobody counts on its copies. */
  destroyed: 73,
  /** The dead-letter topic does not exist. */
  noDeadLetter: 74,
  /** Jobs would go from one dead-letter topic to another: the topic names itself, or one that has a dead-letter topic, or is one itself. */
  deadLetterChain: 75,
} as const

/** Body of the answer to `admit`. */
export const admitted = record({ clusterId: cluster, generation: u32 })
/** Body of the answers to `createTopic` and `configureTopic`: shards in the order of the partitions. */
export const topicAnswer = record({ shards: list(shard, PARTITIONS_MAX) })

/** A feed stays well below a control frame of 1 MiB. */
export const FEED_BYTES_MAX = 512 * 1024
export const FEED_ENTRIES_MAX = 1024

// ---- between nodes -------------------------------------------------------------------------------------------------

/** `entry` is the encoded log entry that is asked for. Who does not lead hands it on to the leader, once (`relayed`). */
export const registryCommand = row(0x80, 'registryCommand', { request: u32, relayed: bool, entry: rest })
/** `code` is a `Code` or a `RegistryCode`; with notLeader `leader` says who does, where known. */
export const registryAnswer = row(0x81, 'registryAnswer', { request: u32, code: u8, leader: optional(node), body: rest })

/** Asks a master of the registry for everything behind `from`, and to go on telling for a while. */
export const registryFollow = row(0x82, 'registryFollow', { from: index })
/** Entries `first`.. in their order; none when there is nothing new. `applied` is how far the sender itself is. */
export const registryFeed = row(0x83, 'registryFeed', { applied: index, first: index, entries: list(bytes(FEED_BYTES_MAX), FEED_ENTRIES_MAX) })
/** A piece of the state at `index`; the pieces come in order. */
export const registryImage = row(0x84, 'registryImage', { index, part: u16, parts: u16, bytes: rest })

export const registryRows = [registryCommand, registryAnswer, registryFollow, registryFeed, registryImage] as const
export type RegistryMessage = MessageOf<(typeof registryRows)[number]>
export type RegistryFeedMessage = MessageOf<typeof registryFeed | typeof registryImage>
export const registryTable = new Table<(typeof registryRows)[number]>(registryRows)
