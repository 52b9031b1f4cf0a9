//! What clients and nodes say to each other outside the log: where a topic lives, demand, deliveries, answers, queries.

import { address, job, leaseTime, name, names, node, partition, session, shard, token } from './fields.ts'
import { bool, bytes, f64, list, type MessageOf, optional, record, rest, row, text, u16, u32, u53, u8 } from './layout.ts'

/** 16 MiB: what `PayloadTooLarge` can be raised to; 1 MiB is the default. */
export const PAYLOAD_BYTES_MAX = 16 * 1024 * 1024

/** Asks any node where a topic's partitions are; `create` makes the topic with `partitions` (0: the default) when it is unknown. */
export const locate = row(0x60, 'locate', { request: u32, topic: name, create: bool, partitions: u16 })
export const shardLeader = record({ shard, leader: optional(node), address: optional(address) })
/** `code` is a `Code`; partitions are in their order. Leaders are as this node knows them. */
export const located = row(0x61, 'located', { request: u32, code: u8, partitions: list(record({ partition, shard }), 4096), leaders: list(shardLeader, 4096) })

/**
 * The outcome of a command. `stamp` is the newest one received from the session, `leaseClock` the shard's lease clock when it came.
 * Where `code` is notLeader, `body` is `redirect`. Sequence 0 is about no command: a leader that has lost its lead tells whoever
 * is connected, and a resume or beat that a node cannot serve is refused so. The answer to an open carries the open's own
 * sequence; its session is the new one, or 0 where it failed.
 */
export const answer = row(0x62, 'answer', { shard, session, sequence: u53, code: u8, stamp: f64, leaseClock: leaseTime, body: rest })
export const redirect = shardLeader

/**
 * A worker's standing demand on a partition: an absolute grant (how many leases the session may hold there), numbered, so that
 * of two the later counts. No names means all names. A grant of 0 asks for nothing; a worker that repeats it keeps a place among the
 * registered ones, since it wants to hear how long the partition's jobs wait. A worker says its demand again every second.
 */
export const demand = row(0x63, 'demand', { shard, partition, session, number: u32, grant: u32, leaseMs: u32, stamp: f64, names })
/** `held` counts leases and acquires under way: until it has fallen to a lowered grant, the difference is not free. `oldestWaitingMs` is for choosing among partitions. */
export const demandAnswer = row(0x64, 'demandAnswer', { shard, partition, session, number: u32, code: u8, held: u32, oldestWaitingMs: f64, body: rest })

/**
 * Leased jobs on their way to their worker. `items` are `count` times, walked by `readDelivery` in the client:
 *   delta u32 (number - base) | attempt u16 | maxAttempts u16 | timeoutMs u32 | name ordinal u16 | headers length u16 | headers | payload length u32 | payload
 */
export const deliver = row(0x65, 'deliver', { shard, partition, session, token, deadline: leaseTime, leaseMs: u32, stamp: f64, leaseClock: leaseTime, names, base: job, count: u32, items: rest })
/** Sent when a session reaches a leader over a new connection: every lease it believes in, with unanswered completes too. The leader sends again what is missing. */
export const resume = row(0x66, 'resume', { shard, session, stamp: f64, leases: list(record({ partition, number: job, token }), 65_535) })
/** Leases that the session no longer has; `reason` is a `LostReason`. */
export const lost = row(0x67, 'lost', { shard, session, partition, reason: u8, jobs: list(record({ number: job, token }), 65_535) })
/**
 * A delivery under this token, up to the job `number` in the order of its start, is in the worker's process: said before its handlers run, so
 * that a lease which then runs out may speak against the job. It says nothing of deliveries that were put aside because they came too late.
 */
export const received = row(0x6d, 'received', { shard, session, token, number: job })
/** Keeps a worker's lease bound fresh while nothing else is said. */
export const beat = row(0x68, 'beat', { shard, session, stamp: f64 })
export const beatAnswer = row(0x69, 'beatAnswer', { shard, session, stamp: f64, leaseClock: leaseTime })

/** A linearizable read of a shard's books. `operation` is a `Query`. */
export const query = row(0x6a, 'query', { request: u32, shard, partition, operation: u8, body: rest })
export const queryAnswer = row(0x6b, 'queryAnswer', { request: u32, code: u8, body: rest })
/** What a node knows of the cluster; the answer's body is `statusBody`. */
export const status = row(0x6c, 'status', { request: u32 })
/**
 * What an operator wants of a node: `wish` is a `NodeWish`; `force` also where it is unwise. Any node is asked, puts it to the registry, and
 * says in a `queryAnswer` what came of it: a `Code`, or a `RegistryCode`. It can be repeated under the same `id`, which the client draws.
 */
export const nodeWish = row(0x6e, 'nodeWish', { request: u32, id: u32, wish: u8, node, force: bool })
export const NodeWish = { drain: 1, undrain: 2, forget: 3 } as const
export type NodeWish = (typeof NodeWish)[keyof typeof NodeWish]

/**
 * What an operator wants of a topic: that it is there, with so many partitions, and has these `topicSettings`. Asked and answered like `nodeWish`; of
 * two wishes about one topic that come at the same time either may be the last.
 */
export const topicWish = row(0x6f, 'topicWish', { request: u32, topic: name, partitions: u16, settings: bytes(65_536) })

export const LostReason = { expired: 1, cancelled: 2, unknown: 3 } as const

// ---- queries -------------------------------------------------------------------------------------------------------

export const Query = { job: 1, jobs: 2, counts: 3 } as const

export const JobState = { scheduled: 1, blocked: 2, waiting: 3, active: 4, retrying: 5, completed: 6, cancelled: 7, dead: 8 } as const
export type JobState = (typeof JobState)[keyof typeof JobState]

export const jobQuery = record({ number: job })
/** Jobs of the given states (none: all) with numbers from `from` up, at most `limit`. */
export const jobsQuery = record({ states: list(u8, 8), name: optional(name), from: job, limit: u16 })

/** Times are wall times in ms, 0 where not reached. `result` and `error` are the bytes that the worker gave. */
export const jobView = record({
  number: job, name, state: u8, attempt: u16, maxAttempts: u16, lostLeases: u16, priority: u8, token,
  addedAt: f64, dueAt: f64, endedAt: f64, result: optional(bytes(PAYLOAD_BYTES_MAX)), error: optional(bytes(PAYLOAD_BYTES_MAX)), payload: optional(bytes(PAYLOAD_BYTES_MAX)),
})
export const jobsAnswer = record({ jobs: list(jobView, 1000), next: job })
/** `posting`: of those that are dead, or were, so many are on their way to the dead-letter topic. */
export const countsAnswer = record({ scheduled: u53, blocked: u53, waiting: u53, active: u53, retrying: u53, completed: u53, cancelled: u53, dead: u53, posting: u53 })

export const statusBody = record({
  cluster: text(255), clusterId: text(32), quorum: bool, self: node,
  nodes: list(record({ id: node, address, state: text(16), value: u53, zone: text(64), version: text(32), eligible: bool, draining: bool, admitted: bool }), 4096),
  shards: list(record({ shard, leader: optional(node), masters: list(node, 16), term: u53, epoch: u53, commitIndex: u53 }), 4096),
  topics: list(record({ topic: name, partitions: list(record({ partition, shard }), 4096) }), 4096),
})

// ---- relays --------------------------------------------------------------------------------------------------------

/** Node to node: a client of mine says this to a shard that you lead; the connection's number is mine. */
export const relay = row(0x70, 'relay', { connection: u53, message: rest })
/** The answer on its way back. */
export const relayed = row(0x71, 'relayed', { connection: u53, message: rest })
/** The client's connection has gone; whatever was for it can be dropped. */
export const relayClosed = row(0x72, 'relayClosed', { connection: u53 })

export type ClientMessage = MessageOf<(typeof clientRows)[number]>
export const clientRows = [locate, located, answer, demand, demandAnswer, deliver, resume, lost, received, beat, beatAnswer, query, queryAnswer, status, nodeWish, topicWish, relay, relayed, relayClosed] as const
