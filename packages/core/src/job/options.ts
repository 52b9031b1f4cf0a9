//! What the books need to know of a job's options after its add: attempts, backoff, lease. Jobs of one kind share them, so
//! each different set is kept once and counted; set 0 are the defaults and always there.

import type { Freezer } from '../freeze.ts'
import { Backoff, type JobOptions } from '../message/command.ts'
import { MalformedMessage, type Reader, type Writer } from '../message/layout.ts'
import { Slots } from '../slots.ts'
import { ATTEMPTS_DEFAULT, BACKOFF_BASE_MS, BACKOFF_MS_MAX } from './limits.ts'

export interface OptionSet {
  readonly maxAttempts: number
  /** A `Backoff`. */
  readonly backoffKind: number
  readonly baseMs: number
  readonly maxMs: number
  /** 0: as the worker asks. */
  readonly leaseMs: number
}

export class OptionSets {
  readonly #sets: Slots<OptionSet>
  readonly #users: number[] = [0]
  readonly #ids = new Map<string, number>([[keyOf(DEFAULTS), 0]])
  /** The set used last, as the object that it was given as: one add gives the same again and again. */
  #recent: OptionSet | undefined
  #recentId = 0

  constructor(freezer?: Freezer) {
    this.#sets = new Slots(freezer)
    this.#sets.put(DEFAULTS)
  }

  get(id: number): OptionSet {
    return this.#sets.get(id)
  }

  /** The set's number; one more job uses it. */
  use(set: OptionSet): number {
    if (set === this.#recent) {
      this.#users[this.#recentId]!++
      return this.#recentId
    }
    const key = keyOf(set)
    let id = this.#ids.get(key)
    if (id === undefined) {
      id = this.#sets.put(set)
      this.#users[id] = 0
      this.#ids.set(key, id)
    }
    this.#users[id]!++
    this.#recent = set
    this.#recentId = id
    return id
  }

  /** One job less uses it. */
  drop(id: number): void {
    const users = this.#users[id]! - 1
    this.#users[id] = users
    if (users > 0 || id === 0) return
    this.#ids.delete(keyOf(this.#sets.get(id)))
    this.#recent = undefined
    this.#sets.free(id)
  }
}

/** Throws MalformedMessage for values that no job can have. */
export function optionSetOf(options: JobOptions): OptionSet {
  const backoff = options.backoff
  const set: OptionSet = {
    maxAttempts: options.maxAttempts ?? ATTEMPTS_DEFAULT,
    backoffKind: backoff?.kind ?? DEFAULTS.backoffKind,
    baseMs: backoff?.baseMs ?? DEFAULTS.baseMs,
    maxMs: backoff?.maxMs ?? DEFAULTS.maxMs,
    leaseMs: options.leaseMs ?? 0,
  }
  if (set.maxAttempts < 1 || set.backoffKind > Backoff.exponential) throw new MalformedMessage('options of a job')
  return set
}

export const isDefault = (set: OptionSet): boolean =>
  set.maxAttempts === ATTEMPTS_DEFAULT && set.leaseMs === 0 && set.backoffKind === DEFAULTS.backoffKind && set.baseMs === DEFAULTS.baseMs && set.maxMs === DEFAULTS.maxMs

export function writeOptionSet(writer: Writer, set: OptionSet): void {
  writer.u16(set.maxAttempts)
  writer.u8(set.backoffKind)
  writer.u32(set.baseMs)
  writer.u32(set.maxMs)
  writer.u32(set.leaseMs)
}

export function readOptionSet(reader: Reader): OptionSet {
  return { maxAttempts: reader.u16(), backoffKind: reader.u8(), baseMs: reader.u32(), maxMs: reader.u32(), leaseMs: reader.u32() }
}

function keyOf(set: OptionSet): string {
  return `${set.maxAttempts} ${set.backoffKind} ${set.baseMs} ${set.maxMs} ${set.leaseMs}`
}

const DEFAULTS: OptionSet = { maxAttempts: ATTEMPTS_DEFAULT, backoffKind: Backoff.exponential, baseMs: BACKOFF_BASE_MS, maxMs: BACKOFF_MS_MAX, leaseMs: 0 }
