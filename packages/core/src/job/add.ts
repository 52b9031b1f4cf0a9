//! Reads the items of an add into segments: stretches of jobs that the books treat alike. A batch of default jobs of one
//! name is one segment however long it is; nothing is remembered of a job that is only that. The whole body is read
//! before anything changes, so a malformed add leaves no trace.

import type { JobOptions } from '../message/command.ts'
import type { AddItemReader } from '../message/jobs.ts'
import { MalformedMessage } from '../message/layout.ts'
import { isDefault, type OptionSet, optionSetOf } from './options.ts'

export interface Segment {
  /** Of its first item in the add. */
  readonly ordinal: number
  count: number
  readonly nameOrdinal: number
  readonly priority: number
  /** Undefined: defaults. */
  readonly set: OptionSet | undefined
  readonly runAt: number
  readonly delay: number
  readonly key: string | undefined
}

/** Throws MalformedMessage. */
export function readSegments(items: AddItemReader): Segment[] {
  const segments: Segment[] = []
  let current: Segment | undefined
  let options: JobOptions = NO_OPTIONS
  let set: OptionSet | undefined
  let readAt = 0
  let readLength = 0
  while (items.next()) {
    if (items.optionsLength === 0) {
      if (current !== undefined && current.nameOrdinal === items.nameOrdinal && isPlain(current)) current.count++
      else segments.push((current = segmentOf(items.ordinal, items.nameOrdinal, NO_OPTIONS, undefined)))
      continue
    }
    // Jobs of one add mostly have the same options: bytes that were just read are not read again.
    if (items.optionsLength !== readLength || !isSame(items.bytes, items.optionsAt, readAt, readLength)) {
      options = items.options
      set = optionSetOf(options)
      if (isDefault(set)) set = undefined
      readAt = items.optionsAt
      readLength = items.optionsLength
    }
    const segment = segmentOf(items.ordinal, items.nameOrdinal, options, set)
    if (current !== undefined && current.nameOrdinal === segment.nameOrdinal && current.priority === segment.priority && isSharable(current) && isSharable(segment)) current.count++
    else segments.push((current = segment))
  }
  return segments
}

/** When the jobs of a segment may start; at or before `wallNow` is now. */
export function dueAt(segment: Segment, wallNow: number): number {
  return Math.max(segment.runAt, segment.delay > 0 ? wallNow + segment.delay : 0)
}

function segmentOf(ordinal: number, nameOrdinal: number, options: JobOptions, set: OptionSet | undefined): Segment {
  return {
    ordinal, count: 1, nameOrdinal, priority: options.priority ?? 0, set,
    runAt: timeOf(options.runAt), delay: timeOf(options.delay), key: options.idempotencyKey,
  }
}

const isPlain = (segment: Segment): boolean => segment.priority === 0 && isSharable(segment)

/** Priority is the lane's, headers and time-out stay in the entry: jobs that differ in no more than these share a segment. */
const isSharable = (segment: Segment): boolean => segment.set === undefined && segment.runAt === 0 && segment.delay === 0 && segment.key === undefined

function isSame(bytes: Uint8Array, at: number, other: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (bytes[at + i] !== bytes[other + i]) return false
  return true
}

function timeOf(value: number | undefined): number {
  if (value === undefined) return 0
  if (!(value >= 0 && value <= TIME_MAX)) throw new MalformedMessage(`${value} is no time`)
  return value
}

/** The last millisecond that a Date can hold. */
const TIME_MAX = 8.64e15
const NO_OPTIONS: JobOptions = {}
