//! The repeated parts of the hot messages, walked by hand over one reader, so that a batch costs no object per job.
//!
//!   add item    payload length u32 | name ordinal u16 | flags u8 | if flags & 1: options length u16, options | payload
//!   leased      token u53 | base u53 | count u32 | count x ( delta u32 | what the operation adds )     as often as there are tokens
//!                 complete: result length u32 | result      fail: mode u8 | retryAfterMs u32 | error length u32 | error
//!   delivery    delta u32 | attempt u16 | maxAttempts u16 | timeoutMs u32 | name ordinal u16 | headers length u16 | headers | payload length u32 | payload
//!
//! The cursors below are reused from job to job: read what you need before the next step.

import type { FencingToken, JobNumber } from '../units.ts'
import { FailMode, headersField, type JobOptions, Operation, readJobOptions, writeJobOptions } from './command.ts'
import { MalformedMessage, Reader, type Writer } from './layout.ts'

const HAS_OPTIONS = 1

// ---- add items -----------------------------------------------------------------------------------------------------

export function writeAddItem(writer: Writer, nameOrdinal: number, payload: Uint8Array, options?: JobOptions): void {
  writer.u32(payload.length)
  writer.u16(nameOrdinal)
  if (options === undefined) writer.u8(0)
  else {
    writer.u8(HAS_OPTIONS)
    const lengthAt = writer.claim(2)
    writeJobOptions(writer, options)
    const length = writer.at - lengthAt - 2
    if (length > 0xffff) throw new RangeError(`options of ${length} bytes: at most 65,535 fit`)
    writer.view.setUint16(lengthAt, length)
  }
  writer.raw(payload)
}

/** Steps over add items; after `next` the fields tell of the item just read, positions are into the reader's bytes. */
export class AddItemCursor {
  readonly reader: Reader
  nameOrdinal = 0
  payloadAt = 0
  payloadLength = 0
  optionsAt = 0
  /** 0 where all options are the defaults. */
  optionsLength = 0

  constructor(items: Uint8Array) {
    this.reader = new Reader(items)
  }

  next(): void {
    const reader = this.reader
    this.payloadLength = reader.u32()
    this.nameOrdinal = reader.u16()
    const flags = reader.u8()
    if (flags > HAS_OPTIONS) throw new MalformedMessage(`unknown flags ${flags} of a job`)
    this.optionsLength = flags & HAS_OPTIONS ? reader.u16() : 0
    this.optionsAt = reader.skip(this.optionsLength)
    this.payloadAt = reader.skip(this.payloadLength)
  }

  /** The options of the item just read; only the ones that were given. */
  options(): JobOptions {
    return readJobOptions(new Reader(this.reader.bytes, this.optionsAt, this.optionsAt + this.optionsLength))
  }

  payload(): Uint8Array {
    return this.reader.bytes.subarray(this.payloadAt, this.payloadAt + this.payloadLength)
  }
}

// ---- leased groups -------------------------------------------------------------------------------------------------

/** Gathers jobs of one partition for complete, fail, extend or release; jobs that share a token in a row share a group. */
export class LeasedGroupWriter {
  readonly #writer: Writer
  #token = -1
  #base = 0
  #countAt = 0
  #count = 0

  constructor(writer: Writer) {
    this.#writer = writer
  }

  get count(): number {
    return this.#count
  }

  complete(number: JobNumber, token: FencingToken, result: Uint8Array | undefined): void {
    this.#head(number, token)
    this.#writer.u32(result?.length ?? 0)
    if (result !== undefined) this.#writer.raw(result)
  }

  fail(number: JobNumber, token: FencingToken, mode: number, retryAfterMs: number, error: Uint8Array): void {
    this.#head(number, token)
    this.#writer.u8(mode)
    this.#writer.u32(retryAfterMs)
    this.#writer.u32(error.length)
    this.#writer.raw(error)
  }

  /** For extend and release. */
  plain(number: JobNumber, token: FencingToken): void {
    this.#head(number, token)
  }

  #head(number: JobNumber, token: FencingToken): void {
    const writer = this.#writer
    const delta = number - this.#base
    if (token !== this.#token || delta < 0 || delta > 0xffff_ffff) {
      writer.u53(token)
      writer.u53(number)
      this.#countAt = writer.claim(4)
      this.#token = token
      this.#base = number
      this.#count = 0
    }
    this.#count++
    writer.view.setUint32(this.#countAt, this.#count)
    writer.u32(number - this.#base)
  }
}

/** Steps over the jobs of leased groups; `next` is false at the end. */
export class LeasedCursor {
  readonly reader: Reader
  readonly #operation: Operation
  #left = 0
  #base = 0
  token = 0 as FencingToken
  number = 0 as JobNumber
  /** fail only. */
  mode = 0
  retryAfterMs = 0
  /** The result of a complete or the error of a fail. */
  bodyAt = 0
  bodyLength = 0

  constructor(groups: Uint8Array, operation: Operation) {
    this.reader = new Reader(groups)
    this.#operation = operation
  }

  next(): boolean {
    const reader = this.reader
    while (this.#left === 0) {
      if (reader.left === 0) return false
      this.token = reader.u53() as FencingToken
      this.#base = reader.u53()
      this.#left = reader.u32()
    }
    this.#left--
    this.number = (this.#base + reader.u32()) as JobNumber
    if (this.#operation === Operation.fail) {
      this.mode = reader.u8()
      if (this.mode > FailMode.retryAfter) throw new MalformedMessage(`unknown mode ${this.mode} of a failure`)
      this.retryAfterMs = reader.u32()
    }
    this.bodyLength = this.#operation === Operation.complete || this.#operation === Operation.fail ? reader.u32() : 0
    this.bodyAt = reader.skip(this.bodyLength)
    return true
  }

  body(): Uint8Array {
    return this.reader.bytes.subarray(this.bodyAt, this.bodyAt + this.bodyLength)
  }
}

/** How many jobs the groups speak of; throws MalformedMessage. */
export function countLeased(groups: Uint8Array, operation: Operation): number {
  const cursor = new LeasedCursor(groups, operation)
  let count = 0
  while (cursor.next()) count++
  return count
}

// ---- deliveries ----------------------------------------------------------------------------------------------------

export interface DeliveryHead {
  readonly attempt: number
  readonly maxAttempts: number
  /** 0: none. */
  readonly timeoutMs: number
  readonly nameOrdinal: number
}

/** `headers` are the bytes of the option as it stands in the add item; empty where there are none. */
export function writeDelivery(writer: Writer, delta: number, head: DeliveryHead, headers: Uint8Array, payload: Uint8Array): void {
  writer.u32(delta)
  writer.u16(head.attempt)
  writer.u16(head.maxAttempts)
  writer.u32(head.timeoutMs)
  writer.u16(head.nameOrdinal)
  writer.u16(headers.length)
  writer.raw(headers)
  writer.u32(payload.length)
  writer.raw(payload)
}

/** Steps over the jobs of a `deliver`; the caller knows their count. */
export class DeliveryCursor {
  readonly reader: Reader
  delta = 0
  attempt = 0
  maxAttempts = 0
  timeoutMs = 0
  nameOrdinal = 0
  headersAt = 0
  headersLength = 0
  payloadAt = 0
  payloadLength = 0

  constructor(items: Uint8Array) {
    this.reader = new Reader(items)
  }

  next(): void {
    const reader = this.reader
    this.delta = reader.u32()
    this.attempt = reader.u16()
    this.maxAttempts = reader.u16()
    this.timeoutMs = reader.u32()
    this.nameOrdinal = reader.u16()
    this.headersLength = reader.u16()
    this.headersAt = reader.skip(this.headersLength)
    this.payloadLength = reader.u32()
    this.payloadAt = reader.skip(this.payloadLength)
  }

  payload(): Uint8Array {
    return this.reader.bytes.subarray(this.payloadAt, this.payloadAt + this.payloadLength)
  }

  headers(): readonly (readonly [string, string])[] {
    if (this.headersLength === 0) return []
    return headersField.read(new Reader(this.reader.bytes, this.headersAt, this.headersAt + this.headersLength))
  }
}
