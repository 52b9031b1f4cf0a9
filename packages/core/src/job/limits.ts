//! What the books of a partition hold at most, and the defaults of a job. They are part of the state machine: all masters
//! of a shard must agree on them, so a change is a new version of the log, never a setting of a node.

import { name } from '../message/fields.ts'
import type { Reader, Writer } from '../message/layout.ts'

/** Different job names in a partition. They are never forgotten, so data belongs into the payload. */
export const NAMES_MAX = 65_535
/** Idempotency keys remembered at a time: below what a Map can hold (2^24). */
export const KEYS_MAX = 8_000_000
/** How long an idempotency key is remembered, whatever became of its job. */
export const KEY_WINDOW_MS = 24 * 3_600_000

/** Ended jobs are kept for an hour, but no more than this many with no more than this many bytes of results. */
export const ENDED_MS_MAX = 3_600_000
export const ENDED_COUNT_MAX = 10_000
export const ENDED_BYTES_MAX = 64 * 1024 * 1024
/** Of an error: enough for a message and a stack. */
export const ERROR_BYTES_MAX = 16 * 1024

export const ATTEMPTS_DEFAULT = 5
export const BACKOFF_BASE_MS = 1000
export const BACKOFF_MS_MAX = 300_000
export const LEASE_MS_DEFAULT = 30_000
/** A job whose lease was lost this often is dead: it may be what kills its workers. */
export const LOST_LEASES_MAX = 3

/** Jobs that become due in one tick; the rest waits for the next, so that no entry takes long to apply. */
export const PROMOTED_PER_TICK_MAX = 10_000

export const writeName = (writer: Writer, value: string): void => name.write(writer, value)
export const readName = (reader: Reader): string => name.read(reader)
