//! What a user of Horus catches. Every error says by its `code` what happened and by `retryable` whether the same call may
//! succeed later. `Unknown` is the honest one: the call may have been done.

import type { ErrorCode, Failure } from '@horus/core/client/api'

export type HorusErrorCode = ErrorCode | 'SchemaInvalid' | 'OffsetGone' | 'InvalidOption' | 'Unreachable' | 'JobFailed' | 'JobCancelled'

/** Also the class of what has none of its own: NotFound, Refused (the cluster will not do it as things are), Closed, Malformed, Unreachable, and the reason of a signal whose job was cancelled. */
export class HorusError extends Error {
  override readonly name: string = 'HorusError'
  readonly code: HorusErrorCode
  /** The same call may succeed later. After `Unknown` it may then be done twice, unless it carries an idempotency key. */
  readonly retryable: boolean

  constructor(code: HorusErrorCode, message: string, options: { readonly retryable?: boolean; readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.retryable = options.retryable ?? false
  }
}

/** Certainly not done: no leader with a quorum took it in time. */
export class NoQuorum extends HorusError {
  override readonly name: string = 'NoQuorum'
}
/** It may have been done: no answer came in time. An add with an idempotency key can simply be repeated. */
export class Unknown extends HorusError {
  override readonly name: string = 'Unknown'
}
/** The job is leased to somebody else by now, or has ended: what the call wanted was not done. */
export class LeaseLost extends HorusError {
  override readonly name: string = 'LeaseLost'
}
/** Too much is under way or waiting; nothing was done. */
export class Backpressure extends HorusError {
  override readonly name: string = 'Backpressure'
}
/** The cluster has forgotten the session (24 h without a word); nothing was done. The client opens another by itself and repeats what is safe to. */
export class SessionExpired extends HorusError {
  override readonly name: string = 'SessionExpired'
}
/** The encoded payload or result has more bytes than `payloadBytesMax`; nothing was sent. */
export class PayloadTooLarge extends HorusError {
  override readonly name: string = 'PayloadTooLarge'
}
/** An input or output does not fit the topic's schema. Thrown by an add before anything is sent; in a worker it makes the job dead. */
export class SchemaInvalid extends HorusError {
  override readonly name: string = 'SchemaInvalid'
  /** What the schema complained of. */
  readonly issues: readonly unknown[]

  constructor(message: string, issues: readonly unknown[]) {
    super('SchemaInvalid', message)
    this.issues = issues
  }
}
/** Secret, credential or cluster are not those of the nodes. */
export class NotAuthorized extends HorusError {
  override readonly name: string = 'NotAuthorized'
}
/** A subscription's events are no longer kept. Nothing throws it yet: there are no event topics in this version. */
export class OffsetGone extends HorusError {
  override readonly name: string = 'OffsetGone'
}
/** Node and client speak different versions of the protocol: one of them is to be updated. */
export class VersionSkew extends HorusError {
  override readonly name: string = 'VersionSkew'
}
/** An option that does not exist, or a value that it cannot have. */
export class InvalidOption extends HorusError {
  override readonly name: string = 'InvalidOption'

  constructor(message: string) {
    super('InvalidOption', message)
  }
}
/** The job has used up its attempts, or a handler threw a PermanentError; `cause` is what the last handler threw. */
export class JobFailed extends HorusError {
  override readonly name: string = 'JobFailed'
}
/** `result()` of a job that was cancelled. */
export class JobCancelled extends HorusError {
  override readonly name: string = 'JobCancelled'
}

/** Thrown by a handler: the job is not tried again but goes to the dead-letter queue. */
export class PermanentError extends Error {
  override readonly name: string = 'PermanentError'
}

/** Thrown by a handler: the job is tried again after `delay` (milliseconds, or a text such as '30s'; at most 49 days), as long as it has attempts left. */
export class RetryLater extends Error {
  override readonly name: string = 'RetryLater'
  readonly delay: number | string

  constructor(delay: number | string, message = 'to be tried again later', options?: ErrorOptions) {
    super(message, options)
    this.delay = delay
  }
}

const classes: Partial<Record<HorusErrorCode, new (code: HorusErrorCode, message: string, options?: { readonly retryable?: boolean; readonly cause?: unknown }) => HorusError>> = {
  NoQuorum, Unknown, LeaseLost, Backpressure, SessionExpired, PayloadTooLarge, NotAuthorized, VersionSkew,
}

export function errorOf(failure: Failure): HorusError {
  return new (classes[failure.code] ?? HorusError)(failure.code, failure.detail, { retryable: failure.retryable })
}
