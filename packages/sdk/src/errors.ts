//! What a user of Horus catches. Every error says by its `code` what happened and by `retryable` whether the same call may
//! succeed later. `Unknown` is the honest one: the call may have been done.

import type { ErrorCode, Failure } from '@horus/core/client/api'

export type HorusErrorCode = ErrorCode | 'SchemaInvalid' | 'OffsetGone' | 'InvalidOption' | 'Unreachable' | 'JobFailed' | 'JobCancelled'

export class HorusError extends Error {
  override readonly name: string = 'HorusError'
  readonly code: HorusErrorCode
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
/** The job is leased to somebody else by now, or has ended. */
export class LeaseLost extends HorusError {
  override readonly name: string = 'LeaseLost'
}
/** Too much is under way or waiting; nothing was done. */
export class Backpressure extends HorusError {
  override readonly name: string = 'Backpressure'
}
export class SessionExpired extends HorusError {
  override readonly name: string = 'SessionExpired'
}
export class PayloadTooLarge extends HorusError {
  override readonly name: string = 'PayloadTooLarge'
}
export class SchemaInvalid extends HorusError {
  override readonly name: string = 'SchemaInvalid'
  /** What the schema complained of. */
  readonly issues: readonly unknown[]

  constructor(message: string, issues: readonly unknown[]) {
    super('SchemaInvalid', message)
    this.issues = issues
  }
}
export class NotAuthorized extends HorusError {
  override readonly name: string = 'NotAuthorized'
}
export class OffsetGone extends HorusError {
  override readonly name: string = 'OffsetGone'
}
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
export class JobCancelled extends HorusError {
  override readonly name: string = 'JobCancelled'
}

/** Thrown by a handler: the job is not tried again but goes to the dead-letter queue. */
export class PermanentError extends Error {
  override readonly name: string = 'PermanentError'
}

/** Thrown by a handler: the job is tried again after `delay` (milliseconds, or a text such as '30s'). */
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
