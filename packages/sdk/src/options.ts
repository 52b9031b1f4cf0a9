//! Options are checked when they are given: a name that does not exist or a value that makes no sense is told at once, with
//! what is allowed, instead of being passed over in silence.

import { Backoff, HEADERS_MAX, type JobOptions } from '@horus/core/message/command'
import { duration } from '@horus/core/units'
import { utf8Length } from '@horus/core/utf8'
import { InvalidOption } from './errors.ts'

/** A length of time: milliseconds, or a text such as '250ms', '30s', '5m', '2h', '1d'. Where nothing else is said, at most 49 days. Anything else throws InvalidOption. */
export type Duration = number | string

/** Reads one value; throws a RangeError or TypeError that says what is wanted. */
export type Check<T> = (value: unknown) => T
export type Checks = Readonly<Record<string, Check<unknown>>>
export type Checked<C extends Checks> = { readonly [K in keyof C]?: ReturnType<C[K]> }

/** Checks an options object against its table; options that are undefined count as not given. */
export function check<C extends Checks>(call: string, given: unknown, checks: C): Checked<C> {
  if (given === undefined) return {}
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw new InvalidOption(`${call}: options are wanted as an object, not ${show(given)}`)
  const checked: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(given)) {
    const rule = Object.hasOwn(checks, name) ? checks[name] : undefined
    if (rule === undefined) throw new InvalidOption(`${call}: there is no option ${JSON.stringify(name)}; allowed are ${Object.keys(checks).join(', ')}`)
    if (value === undefined) continue
    try {
      checked[name] = rule(value)
    } catch (error) {
      throw new InvalidOption(`${call}: option ${name}: ${(error as Error).message}`)
    }
  }
  return checked as Checked<C>
}

// ---- rules ---------------------------------------------------------------------------------------------------------

export const MS_MAX = 0xffff_ffff

/** In milliseconds; what is kept in four bytes ends at 49 days. */
export function ms(least = 0, most = MS_MAX): Check<number> {
  return (value) => {
    const length = duration(value as Duration)
    if (length < least || length > most) throw new RangeError(`${show(value)} is not between ${least} and ${most} ms`)
    return Math.ceil(length)
  }
}

export function whole(least: number, most: number): Check<number> {
  return (value) => {
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least || value > most) throw new RangeError(`${show(value)} is no whole number from ${least} to ${most}`)
    return value
  }
}

export function text(bytesMax = 255): Check<string> {
  return (value) => {
    if (typeof value !== 'string' || value === '') throw new TypeError(`${show(value)} is no text`)
    if (utf8Length(value) > bytesMax) throw new RangeError(`a text of ${utf8Length(value)} bytes: at most ${bytesMax} are allowed`)
    return value
  }
}

export function oneOf<T extends string>(...allowed: readonly T[]): Check<T> {
  return (value) => {
    if (!allowed.includes(value as T)) throw new TypeError(`${show(value)} is none of ${allowed.join(', ')}`)
    return value as T
  }
}

export function listOf<T>(rule: Check<T>): Check<readonly T[]> {
  return (value) => (Array.isArray(value) ? value : [value]).map((item) => rule(item))
}

export const yesOrNo: Check<boolean> = (value) => {
  if (typeof value !== 'boolean') throw new TypeError(`${show(value)} is neither true nor false`)
  return value
}

export const abortSignal: Check<AbortSignal> = (value) => {
  if (!(value instanceof AbortSignal)) throw new TypeError(`${show(value)} is no AbortSignal`)
  return value
}

/** A Date, or milliseconds since 1970. */
export const wallTime: Check<number> = (value) => {
  const time = value instanceof Date ? value.getTime() : value
  if (typeof time !== 'number' || !Number.isFinite(time)) throw new TypeError(`${show(value)} is no time: a Date or milliseconds since 1970 are wanted`)
  return time
}

/** How long active jobs may go on: true is as long as they take, false is not at all. */
export const drainTime: Check<number> = (value) => {
  if (value === true) return Infinity
  return value === false ? 0 : ms()(value)
}

export const names: Check<string> = text(255)

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}

// ---- options of a job ----------------------------------------------------------------------------------------------

export interface AddOptions {
  /** Higher goes first within a partition; 0 to 255, default 0. */
  readonly priority?: number
  /** The job does not start before that time on the cluster's wall clock: a Date, or milliseconds since 1970. */
  readonly runAt?: Date | number
  /** The job does not start before so much time has passed; of any length. With `runAt` too, the later of both counts. */
  readonly delay?: Duration
  /** Attempts before the job is dead, 1 to 65,535; default 5. */
  readonly maxAttempts?: number
  /** How long to wait between attempts; default exponential from 1 s to 5 min. An exponential wait is drawn up to a fifth to either side, but never above `max`. */
  readonly backoff?: BackoffOptions
  /** How long a worker has the job for itself without a word, at least 1 ms; default: what the worker asks for. */
  readonly lease?: Duration
  /** How long an attempt may take, at least 1 ms: then its signal aborts and the attempt has failed. Default: for ever. */
  readonly timeout?: Duration
  /** A second add with the same key gets the first job: safe to repeat. At most 255 bytes; remembered for 24 h, per topic. */
  readonly idempotencyKey?: string
  /** What a handler reads without decoding the payload; at most 64, of 8 KiB in all. */
  readonly headers?: Readonly<Record<string, string>>
  /** Ends the wait for the answer, not the add: it may still be done. */
  readonly signal?: AbortSignal
}

export interface BackoffOptions {
  /** The same wait after every attempt, or twice the one before. */
  readonly type: 'fixed' | 'exponential'
  /** The first wait. */
  readonly delay: Duration
  /** The longest wait. Default: five minutes, or `delay` if that is longer. */
  readonly max?: Duration
}

const BACKOFF_MAX_MS = 300_000
const HEADER_BYTES_MAX = 8192

const backoffChecks = { type: oneOf('fixed', 'exponential'), delay: ms(), max: ms() }

const backoff: Check<NonNullable<JobOptions['backoff']>> = (value) => {
  const { type, delay, max } = check('backoff', value, backoffChecks)
  if (type === undefined || delay === undefined) throw new TypeError(`{ type: 'fixed' | 'exponential', delay, max? } is wanted`)
  return { kind: Backoff[type], baseMs: delay, maxMs: max ?? Math.max(delay, BACKOFF_MAX_MS) }
}

const headers: Check<NonNullable<JobOptions['headers']>> = (value) => {
  if (typeof value !== 'object' || value === null) throw new TypeError('an object of texts is wanted')
  const entries = Object.entries(value)
  if (entries.length > HEADERS_MAX) throw new RangeError(`${entries.length} headers: at most ${HEADERS_MAX} are allowed`)
  let bytes = 0
  for (const [name, content] of entries) {
    if (typeof content !== 'string') throw new TypeError(`header ${JSON.stringify(name)} is no text`)
    bytes += utf8Length(name) + utf8Length(content)
  }
  if (bytes > HEADER_BYTES_MAX) throw new RangeError(`${bytes} bytes of headers: at most ${HEADER_BYTES_MAX} are allowed`)
  return entries
}

const addChecks = {
  priority: whole(0, 255), runAt: wallTime, delay: ms(0, Number.MAX_SAFE_INTEGER), maxAttempts: whole(1, 65_535), backoff, lease: ms(1), timeout: ms(1),
  idempotencyKey: text(255), headers, signal: abortSignal,
}

/** The options of an add as the cluster takes them; undefined where all are defaults. */
export function jobOptions(call: string, given: AddOptions | undefined): { readonly options: JobOptions | undefined; readonly signal: AbortSignal | undefined } {
  if (given === undefined) return NO_OPTIONS
  const { signal, lease, timeout, ...rest } = check(call, given, addChecks)
  const options: Record<string, unknown> = { ...rest }
  if (lease !== undefined) options['leaseMs'] = lease
  if (timeout !== undefined) options['timeoutMs'] = timeout
  return { options: Object.keys(options).length === 0 ? undefined : (options as JobOptions), signal }
}

const NO_OPTIONS = { options: undefined, signal: undefined } as const
