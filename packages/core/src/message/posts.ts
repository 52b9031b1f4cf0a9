//! What shards say to each other: posts, from the leader of one to the leader of another, and how far they were taken.
//!
//!   sender's log ── a job dies ──▶ outbox ──posts──▶ receiver's leader ──▶ post in its log ──▶ inbox, and the job is there
//!   drops them ◀── postsConfirmed in its log ◀── sender's leader ◀──postsTaken──────┘
//!
//! `sender` and `receiver` are shards. A sender's posts to one receiver are numbered from 1 without a gap, in each of its recovery epochs anew.
//! Whoever changes a row: new rows under new tags, sent to nodes alone whose HELLO says that they know them (message/layout.ts).

import { name, partition, job, shard } from './fields.ts'
import { type Field, bytes, f64, list, type MessageOf, optional, record, rest, row, u32, u53, u8, type ValueOf } from './layout.ts'
import { PARTITIONS_MAX } from './registry.ts'
import type { JobNumber, LogIndex, PartitionId } from '../units.ts'

/** Posts in one message, and bytes in it beyond which no other post is put: the rest follows when these were taken. */
export const POSTS_MAX = 256
export const POSTS_BYTES = 256 * 1024
/** As much as an entry may take on a link. */
const POST_BYTES_MAX = 32 * 1024 * 1024

/** `lowest` is the first post that the sender keeps: all before were confirmed in its log. `posts` are numbered from there on. */
export const posts = row(0x31, 'posts', { sender: shard, receiver: shard, recovery: u32, lowest: u53, posts: list(record({ kind: u8, body: bytes(POST_BYTES_MAX) }), POSTS_MAX) })
/** All through `through` are in the receiver's committed log. `own` is the receiver's recovery epoch. */
export const postsTaken = row(0x32, 'postsTaken', { receiver: shard, sender: shard, recovery: u32, through: u53, own: u32 })

export const postRows = [posts, postsTaken] as const
export type PostMessage = MessageOf<(typeof postRows)[number]>
export type Posts = MessageOf<typeof posts>
export type PostsTaken = MessageOf<typeof postsTaken>

// ---- what a post may be --------------------------------------------------------------------------------------------

export const PostKind = { deadLetter: 1 } as const

/**
 * A job of partition `origin` is dead: it becomes a job of partition `partition`. From `partition` on the body is that of an add of one item,
 * so that its payload is read out of the receiver's entry like any other.
 */
export const deadLetter = record({ origin: partition, number: job, addedAt: f64, partition, names: list(name, 1), count: u32, items: rest })
export type DeadLetter = ValueOf<typeof deadLetter>
/** Where the add begins in the body. */
export const DEAD_LETTER_ADD_AT = 20

/** The same in the sender's books, before its payload is read: a job of `origin` is dead, and is to become one of `partition`. */
export interface DeadJob {
  readonly origin: PartitionId
  readonly number: JobNumber
  readonly addedAt: number
  /** Where its payload is. */
  readonly entryIndex: LogIndex
  readonly ordinal: number
  readonly partition: PartitionId
  readonly reason: Uint8Array
}

/** As it lies in the outbox. */
export interface Post extends DeadJob {
  readonly sequence: number
}

/** Headers of the job in the dead-letter topic, before those that the original had. */
export const DeadLetterHeader = {
  topic: 'horus-dead-topic',
  /** `partition-number`, as users know it. */
  id: 'horus-dead-id',
  /** The bytes of the last error, one character each: what the worker gave, or the cluster's own words about lost leases. */
  reason: 'horus-dead-reason',
} as const
/** Of an error in a header: a character takes two bytes at most there. */
export const REASON_BYTES_MAX = 4096

// ---- settings of a topic -------------------------------------------------------------------------------------------

/**
 * What the registry keeps of a topic beside its partitions; no bytes at all are all defaults. To add a setting: append a field that may be missing,
 * and read it only where bytes are left.
 *   deadLetter   the topic that a job is added to when one of this topic is dead
 */
const settingsRecord = record({ deadLetter: optional(name) })
export type TopicSettings = ValueOf<typeof settingsRecord>
export const topicSettings: Field<TopicSettings> = {
  write: (writer, value) => settingsRecord.write(writer, value),
  read: (reader) => (reader.left === 0 ? { deadLetter: undefined } : settingsRecord.read(reader)),
}

/** A partition and the shard that it is on, for ever. */
export const place = record({ partition, shard })
export type Place = ValueOf<typeof place>

/**
 * What a shard is told of the settings when a partition is opened or they change: `version` is the index of the registry's entry that made them, and
 * the partitions of another topic stand for its name, since a shard's books know no registry. No bytes at all are all defaults.
 */
const partitionRecord = record({ version: u53, deadLetters: list(place, PARTITIONS_MAX) })
export type PartitionSettings = ValueOf<typeof partitionRecord>
export const partitionSettings: Field<PartitionSettings> = {
  write: (writer, value) => partitionRecord.write(writer, value),
  read: (reader) => (reader.left === 0 ? { version: 0, deadLetters: [] } : partitionRecord.read(reader)),
}
