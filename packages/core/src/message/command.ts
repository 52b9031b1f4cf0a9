//! What a shard's log consists of. Every entry begins alike, so that the leader stamps a received command in place and
//! appends the very bytes that it received:
//!
//!   tag u8 | leaseNow f64 | wallNow f64 | fields of the row
//!
//! A client's command carries its session and sequence; the other entries are written by the leader itself.

import type { LeaseTime, WallTime } from '../units.ts'
import { epoch, job, leaseTime, members, name, names, partition, replica, session, shard, token, wallTime } from './fields.ts'
import { bytes, f64, type Field, id128, list, MalformedMessage, type MessageOf, optional, record, rest, row, Table, text, u16, u32, u53, u8, type Reader, type Writer } from './layout.ts'

const stamps = { leaseNow: leaseTime, wallNow: wallTime }

/** What a client asks of a shard. `stamp` is the client's own monotonic time; `lowest` its lowest unanswered sequence. */
export const command = row(0x40, 'command', { ...stamps, shard, session, sequence: u53, lowest: u53, stamp: f64, operation: u8, body: rest })
/** A leader's first entry in its term: only after it may earlier terms' entries count as committed. */
export const noop = row(0x41, 'noop', stamps)
/** Leases at most `count` jobs to a session that may hold `grant` on the partition; no names means all names. */
export const acquire = row(0x42, 'acquire', { ...stamps, partition, session, count: u32, grant: u32, leaseMs: u32, names })
/**
 * Time passes: leases expire whose deadline `expireThrough` has reached, what `wallNow` has made due becomes waiting. `expireThrough` lies
 * behind `leaseNow` by the turn of the loop in which every socket was read once more: an extension may have been there.
 * A lease that ends so counts against its job only where the leader knows that a worker had it: under a token from `knownFrom` through
 * `knownThrough`, and not listed as `unreceived`.
 */
export const tick = row(0x43, 'tick', { ...stamps, expireThrough: leaseTime, knownFrom: token, knownThrough: token, unreceived: list(record({ number: job, token }), 65_535) })
/** A shard's masters. While `outgoing` is there the configuration is joint: both sets must agree. `nextReplica` was never used by any copy of this shard. */
export const configuration = row(0x44, 'configuration', { ...stamps, epoch, nextReplica: replica, voters: members, outgoing: optional(members), learners: members })
/** The first entry that speaks of a partition, once the registry has placed it here; and again when its topic's settings have changed. `settings` are `partitionSettings`. */
export const partitionOpen = row(0x45, 'partitionOpen', { ...stamps, partition, topic: name, settings: bytes(65_536) })
/** A post of another shard, or of this one: `kind` is a `PostKind`, `recovery` the sender's epoch, `lowest` the first that it still keeps (message/posts.ts). */
export const post = row(0x46, 'post', { ...stamps, sender: shard, recovery: u32, lowest: u53, sequence: u53, postKind: u8, body: rest })
/** The receiver has everything through `through` that this shard has sent it in recovery epoch `recovery`: it is kept no longer. */
export const postsConfirmed = row(0x47, 'postsConfirmed', { ...stamps, receiver: shard, recovery: u32, through: u53 })

export const logRows = [command, noop, acquire, tick, configuration, partitionOpen, post, postsConfirmed] as const
export type LogEntry = MessageOf<(typeof logRows)[number]>
export type Command = MessageOf<typeof command>
export type PostEntry = MessageOf<typeof post>
export type Configuration = MessageOf<typeof configuration>
export const logTable = new Table<(typeof logRows)[number]>(logRows)

/** Writes the two times that every entry carries into the bytes of one. */
export function stampEntry(entry: Uint8Array, leaseNow: LeaseTime, wallNow: WallTime): void {
  const view = new DataView(entry.buffer, entry.byteOffset, 17)
  view.setFloat64(1, leaseNow)
  view.setFloat64(9, wallNow)
}

export function entryTimes(entry: Uint8Array): { leaseNow: LeaseTime; wallNow: WallTime } {
  const view = new DataView(entry.buffer, entry.byteOffset, 17)
  return { leaseNow: view.getFloat64(1) as LeaseTime, wallNow: view.getFloat64(9) as WallTime }
}

/** Where a command's fixed fields end: tag, two times, shard, session, sequence, lowest, stamp; then operation and body. */
export const COMMAND_OPERATION_AT = 53
export const COMMAND_BODY_AT = 54
/** And those of a post: tag, two times, sender, recovery, lowest, sequence, kind. */
export const POST_BODY_AT = 42

// ---- operations of a command ---------------------------------------------------------------------------------------

export const Operation = { open: 1, add: 2, complete: 3, fail: 4, extend: 5, release: 6, cancel: 7, close: 8 } as const
export type Operation = (typeof Operation)[keyof typeof Operation]

/** How a command ended; anything but ok changed nothing. */
export const Code = {
  ok: 0,
  /** Not appended: this node does not lead the shard. The answer's body is `redirect`. */
  notLeader: 1,
  /** Not appended: no quorum is in reach, or fewer masters than `minMasters`. */
  noQuorum: 2,
  /** The session was never opened here or was forgotten after 24 h idle. */
  sessionExpired: 3,
  /** The sequence is below the lowest unanswered one that the session itself has named: dropped. */
  stale: 4,
  backpressure: 5,
  payloadTooLarge: 6,
  malformed: 7,
  /** The partition is not (or not yet) on this shard. */
  unknownPartition: 8,
  notAuthorized: 9,
  versionSkew: 10,
  notFound: 11,
  /** Appended, but this node lost the lead before it knew the outcome: repeat under the same sequence. */
  unknown: 12,
} as const
export type Code = (typeof Code)[keyof typeof Code]

/** `client` is random, so that a log tells clients apart. Answer: the session's number. */
export const openBody = record({ client: id128<string>() })
export const openAnswer = record({ session })

/**
 * `items` are `count` times, walked by `readAddItem`:
 *   payload length u32 | name ordinal u16 | flags u8 | if flags & 1: options length u16, options | payload
 */
export const addBody = record({ partition, names, count: u32, items: rest })
/** The jobs that are no duplicates are numbered from `first` in their order; a duplicate names the job it repeats. */
export const addAnswer = record({ first: job, added: u32, duplicates: list(record({ ordinal: u32, number: job }), 65_535) })

/**
 * Jobs of one partition by lease; `groups` are walked by the readers below:
 *   token u53 | base u53 | count u32 | count times: delta u32, then what the operation adds
 * complete adds result length u32 | result; fail adds mode u8 | retryAfterMs u32 | error length u32 | error; extend and release add nothing.
 */
export const leasedBody = record({ partition, groups: rest })
/** `leaseMs` 0 repeats the lease that the job was acquired with. */
export const extendBody = record({ partition, leaseMs: u32, groups: rest })
export const cancelBody = record({ partition, jobs: list(job, 65_535) })
/** The jobs for which the token no longer held; everything else was done. */
export const leasedAnswer = record({ lost: list(record({ number: job, token }), 65_535) })
/** `deadline` on the shard's lease clock, for all that were not lost. */
export const extendAnswer = record({ deadline: leaseTime, lost: list(record({ number: job, token }), 65_535) })
/** The jobs that could not be cancelled, since they are unknown or have ended; rising. */
export const cancelAnswer = record({ missed: list(job, 65_535) })

export const FailMode = { retry: 0, permanent: 1, retryAfter: 2 } as const

// ---- options of a job ----------------------------------------------------------------------------------------------

/** Options that differ from the topic's defaults: key u8 | length u16 | value. An unknown key is skipped. */
export const OptionKey = { priority: 1, runAt: 2, delay: 3, maxAttempts: 4, backoff: 5, leaseMs: 6, timeoutMs: 7, idempotencyKey: 8, headers: 9 } as const

export const Backoff = { fixed: 0, exponential: 1 } as const

export interface JobOptions {
  /** Higher goes first within a partition; 0 to 255, default 0. */
  readonly priority?: number
  /** Wall time before which the job does not start. */
  readonly runAt?: number
  /** Milliseconds after the add's own time before which the job does not start. */
  readonly delay?: number
  /** Attempts before the job is dead, 1 to 65,535; default 5. */
  readonly maxAttempts?: number
  /** Default: exponential from 1 s to 5 min. */
  readonly backoff?: { readonly kind: number; readonly baseMs: number; readonly maxMs: number }
  readonly leaseMs?: number
  readonly timeoutMs?: number
  /** A second add with the same key inside `keyWindow` gets the first job's number. At most 255 bytes. */
  readonly idempotencyKey?: string
  readonly headers?: readonly (readonly [string, string])[]
}

const backoffField = record({ kind: u8, baseMs: u32, maxMs: u32 })
const headerText = text(8192)
export const HEADERS_MAX = 64
/** The value of a job's `headers`, as its bytes lie in options and in deliveries. */
export const jobHeaders: Field<readonly (readonly [string, string])[]> = list({ write: (w: Writer, v: readonly [string, string]) => (headerText.write(w, v[0]), headerText.write(w, v[1])), read: (r: Reader) => [headerText.read(r), headerText.read(r)] as const }, HEADERS_MAX)
const optionFields = {
  [OptionKey.priority]: ['priority', u8],
  [OptionKey.runAt]: ['runAt', f64],
  [OptionKey.delay]: ['delay', f64],
  [OptionKey.maxAttempts]: ['maxAttempts', u16],
  [OptionKey.backoff]: ['backoff', backoffField],
  [OptionKey.leaseMs]: ['leaseMs', u32],
  [OptionKey.timeoutMs]: ['timeoutMs', u32],
  [OptionKey.idempotencyKey]: ['idempotencyKey', name],
  [OptionKey.headers]: ['headers', jobHeaders],
} as const

export function writeJobOptions(writer: Writer, options: JobOptions): void {
  for (const key of Object.values(OptionKey)) {
    const [property, field] = optionFields[key]
    const value = options[property]
    if (value === undefined) continue
    writer.u8(key)
    const lengthAt = writer.claim(2)
    ;(field as { write(w: Writer, v: unknown): void }).write(writer, value)
    writer.view.setUint16(lengthAt, writer.at - lengthAt - 2)
  }
}

export function readJobOptions(reader: Reader): JobOptions {
  const options: Record<string, unknown> = {}
  while (reader.left > 0) {
    const key = reader.u8() as keyof typeof optionFields
    const length = reader.u16()
    const end = reader.at + length
    const known = optionFields[key]
    if (known) options[known[0]] = known[1].read(reader)
    else reader.skip(length)
    if (reader.at > end) throw new MalformedMessage(`option ${key} is longer than its length`)
    if (reader.at < end) reader.skip(end - reader.at)
  }
  return options as JobOptions
}
