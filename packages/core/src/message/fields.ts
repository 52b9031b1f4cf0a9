//! The fields that many messages share, each with its unit in its type.

import type { Address, ClusterId, Epoch, FencingToken, JobNumber, LeaseTime, LogIndex, NodeId, PartitionId, ReplicaNumber, SessionNumber, ShardId, Term, WallTime } from '../units.ts'
import { as, f64, id128, list, record, text, u32, u53 } from './layout.ts'

export const node = id128<NodeId>()
export const cluster = id128<ClusterId>()
export const address = as<Address>(text(64))
export const shard = as<ShardId>(u32)
export const partition = as<PartitionId>(u32)
export const replica = as<ReplicaNumber>(u32)
export const term = as<Term>(u53)
export const index = as<LogIndex>(u53)
export const epoch = as<Epoch>(u53)
export const session = as<SessionNumber>(u53)
export const job = as<JobNumber>(u53)
export const token = as<FencingToken>(u53)
export const leaseTime = as<LeaseTime>(f64)
export const wallTime = as<WallTime>(f64)

/** A topic's or a job's name, at most 255 bytes. */
export const name = text(255)
export const names = list(name, 1024)

/** A master: which node holds which numbered copy of a shard's log. */
export const member = record({ replica, node })
export const members = list(member, 16)
