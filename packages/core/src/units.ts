//! Branded ids and units: a term is never passed where an index belongs, and the constructor checks what it is given.

declare const brand: unique symbol
type Branded<Base, Name extends string> = Base & { readonly [brand]: Name }

/** A length of time in milliseconds. */
export type Milliseconds = Branded<number, 'Milliseconds'>
/** A reading of a node's monotonic clock in milliseconds; comparable only within one run of one process. */
export type Instant = Branded<number, 'Instant'>
/** Milliseconds since 1970 by some wall clock. */
export type WallTime = Branded<number, 'WallTime'>
/** A reading of a shard's lease clock in milliseconds: enters only through the log, and only ever rises. */
export type LeaseTime = Branded<number, 'LeaseTime'>
/** 128 random bits as 32 lower-case hexadecimal digits: the identity of a node, kept in its data directory. */
export type NodeId = Branded<string, 'NodeId'>
/** 128 random bits as 32 lower-case hexadecimal digits: drawn once, when a cluster is founded. */
export type ClusterId = Branded<string, 'ClusterId'>
/** `host:port`, the host an IPv4 address. */
export type Address = Branded<string, 'Address'>
export type ShardId = Branded<number, 'ShardId'>
export type PartitionId = Branded<number, 'PartitionId'>
/** The number of a copy of a shard's log; a copy that was lost or doubted comes back under a new number. */
export type ReplicaNumber = Branded<number, 'ReplicaNumber'>
export type Term = Branded<number, 'Term'>
export type LogIndex = Branded<number, 'LogIndex'>
export type Epoch = Branded<number, 'Epoch'>
/** A session's number: the log index of the entry that opened it; 0 is none. */
export type SessionNumber = Branded<number, 'SessionNumber'>
/** Dense within a partition, assigned when the add is applied, from 1. */
export type JobNumber = Branded<number, 'JobNumber'>
/** Rises with every lease of a job: the log index of the entry that leased it. */
export type FencingToken = Branded<number, 'FencingToken'>
/** A TCP connection of a client, numbered by the node that accepted it. */
export type ConnectionId = Branded<number, 'ConnectionId'>

export const never = Infinity as Instant

export const milliseconds = (value: number): Milliseconds => nonNegative(value, 'milliseconds') as Milliseconds
export const shardId = (value: number): ShardId => whole(value, 'shard') as ShardId
export const partitionId = (value: number): PartitionId => whole(value, 'partition') as PartitionId
export const replicaNumber = (value: number): ReplicaNumber => whole(value, 'replica number') as ReplicaNumber
export const term = (value: number): Term => whole(value, 'term') as Term
export const logIndex = (value: number): LogIndex => whole(value, 'log index') as LogIndex
export const epoch = (value: number): Epoch => whole(value, 'epoch') as Epoch
export const sessionNumber = (value: number): SessionNumber => whole(value, 'session') as SessionNumber
export const jobNumber = (value: number): JobNumber => whole(value, 'job number') as JobNumber
export const fencingToken = (value: number): FencingToken => whole(value, 'fencing token') as FencingToken
export const nodeId = (value: string): NodeId => hex128(value, 'node id') as NodeId
export const clusterId = (value: string): ClusterId => hex128(value, 'cluster id') as ClusterId

export const REGISTRY_SHARD = 0 as ShardId

/** `1500` or `'30s'`, `'5m'`, `'2h'`, `'1d'`, `'250ms'` to milliseconds. Throws a RangeError that names the accepted forms. */
export function duration(value: number | string): Milliseconds {
  if (typeof value === 'number') {
    if (Number.isFinite(value) && value >= 0) return value as Milliseconds
  } else {
    const parts = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(value.trim())
    if (parts) return (Number(parts[1]) * UNIT_MS[parts[2] as keyof typeof UNIT_MS]) as Milliseconds
  }
  throw new RangeError(`${JSON.stringify(value)} is no duration: give milliseconds as a number, or a text such as '250ms', '30s', '5m', '2h', '1d'`)
}

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

function whole(value: number, what: string): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is no ${what}: a whole number from 0 is wanted`)
  return value
}

function nonNegative(value: number, what: string): number {
  if (!(value >= 0)) throw new RangeError(`${value} is no length in ${what}: a number from 0 is wanted`)
  return value
}

function hex128(value: string, what: string): string {
  if (!/^[0-9a-f]{32}$/.test(value)) throw new RangeError(`${JSON.stringify(value)} is no ${what}: 32 lower-case hexadecimal digits are wanted`)
  return value
}
