//! The parts of messages that repeat once a job: added items, groups of leased jobs, deliveries. A batch may hold
//! thousands, so these are cursors over bytes, not lists of objects: `next` steps, and the fields say where things are.
//!
//!   add       payload length u32 | name ordinal u16 | flags u8 | flags & 1: options length u16, options | payload
//!   leased    token u53 | base u53 | count u32 | count times: delta u32, then what the operation adds
//!   delivery  delta u32 | attempt u16 | maxAttempts u16 | timeoutMs u32 | name ordinal u16 | headers length u16 | headers | payload length u32 | payload

import type { FencingToken, JobNumber, PartitionId } from '../units.ts'
import { PAYLOAD_BYTES_MAX } from './client.ts'
import { addBody, COMMAND_BODY_AT, FailMode, jobHeaders, type JobOptions, Operation, OptionKey, post, POST_BODY_AT, readJobOptions, writeJobOptions } from './command.ts'
import { job, token } from './fields.ts'
import { decode, MalformedMessage, Reader, u16At, u32At, Writer } from './layout.ts'
import { DEAD_LETTER_ADD_AT } from './posts.ts'

/** Items in one add or one leased command: the answer's lists count in two bytes. */
export const ITEMS_MAX = 65_535

// ---- add -----------------------------------------------------------------------------------------------------------

export function writeAddItem(writer: Writer, nameOrdinal: number, payload: Uint8Array, options?: JobOptions): void {
  writer.u32(payload.length)
  writer.u16(nameOrdinal)
  if (options === undefined) writer.u8(0)
  else {
    writer.u8(1)
    const lengthAt = writer.claim(2)
    writeJobOptions(writer, options)
    const length = writer.at - lengthAt - 2
    if (length > OPTIONS_BYTES_MAX) throw new RangeError(`options of ${length} bytes where ${OPTIONS_BYTES_MAX} are allowed`)
    writer.view.setUint16(lengthAt, length)
  }
  writer.raw(payload)
}

/** Steps over the items of an add; the fields speak of the item with number `ordinal`. */
export class AddItemReader {
  readonly bytes: Uint8Array
  readonly count: number
  ordinal = -1
  nameOrdinal = 0
  optionsAt = 0
  /** 0 where the item has only defaults. */
  optionsLength = 0
  payloadAt = 0
  payloadLength = 0
  readonly #reader: Reader
  readonly #names: number

  constructor(items: Uint8Array, count: number, names: number) {
    if (count > ITEMS_MAX) throw new MalformedMessage(`${count} items where ${ITEMS_MAX} are allowed`)
    this.bytes = items
    this.count = count
    this.#names = names
    this.#reader = new Reader(items)
  }

  /** Whether there was another item. Throws MalformedMessage where it, or what follows the last one, breaks the layout. */
  next(): boolean {
    const reader = this.#reader
    if (this.ordinal + 1 >= this.count) {
      if (reader.left > 0) throw new MalformedMessage(`${reader.left} bytes behind the last item`)
      return false
    }
    this.ordinal++
    const at = reader.skip(7)
    const { bytes } = reader
    this.payloadLength = u32At(bytes, at)
    this.nameOrdinal = u16At(bytes, at + 4)
    const flags = bytes[at + 6]!
    if (flags > 1 || this.nameOrdinal >= this.#names || this.payloadLength > PAYLOAD_BYTES_MAX) throw new MalformedMessage('an item of an add')
    this.optionsLength = flags === 0 ? 0 : reader.u16()
    this.optionsAt = this.optionsLength === 0 ? reader.at : reader.skip(this.optionsLength)
    this.payloadAt = reader.skip(this.payloadLength)
    return true
  }

  /** Goes to an item: forward at no more than a step an item, backward from the start. */
  seek(ordinal: number): boolean {
    if (ordinal < this.ordinal) {
      this.#reader.at = 0
      this.ordinal = -1
    }
    while (this.ordinal < ordinal) if (!this.next()) return false
    return true
  }

  get payload(): Uint8Array {
    return this.bytes.subarray(this.payloadAt, this.payloadAt + this.payloadLength)
  }

  get options(): JobOptions {
    if (this.optionsLength === 0) return NO_OPTIONS
    return readJobOptions(new Reader(this.bytes, this.optionsAt, this.optionsAt + this.optionsLength))
  }
}

/** The add inside a log entry: for whoever sends the payloads of its jobs. */
export interface AddEntry {
  readonly partition: PartitionId
  readonly names: readonly string[]
  readonly items: AddItemReader
}

/** Throws MalformedMessage where the entry's body is none of an add, nor of a post that adds. */
export function readAddEntry(entry: Uint8Array): AddEntry {
  const body = decode(addBody, entry.subarray(entry[0] === post.tag ? POST_BODY_AT + DEAD_LETTER_ADD_AT : COMMAND_BODY_AT))
  return { partition: body.partition, names: body.names, items: new AddItemReader(body.items, body.count, body.names.length) }
}

// ---- leased groups -------------------------------------------------------------------------------------------------

/** Builds the `groups` of complete, fail, extend or release: `group` opens one, then one call a job. */
export class LeasedGroupsWriter {
  readonly #writer: Writer
  #base = 0
  #countAt = -1
  #count = 0
  /** Jobs in all groups so far. */
  size = 0

  constructor(writer = new Writer(1024)) {
    this.#writer = writer
  }

  /** `base` is at most the smallest number in the group, which spans less than 2^32. */
  group(of: FencingToken, base: JobNumber): void {
    token.write(this.#writer, of)
    job.write(this.#writer, base)
    this.#countAt = this.#writer.claim(4)
    this.#base = base
    this.#count = 0
    this.#writer.view.setUint32(this.#countAt, 0)
  }

  complete(number: JobNumber, result: Uint8Array): void {
    this.leased(number)
    this.#writer.u32(result.length)
    this.#writer.raw(result)
  }

  /** `mode` is a FailMode. */
  fail(number: JobNumber, mode: number, retryAfterMs: number, error: Uint8Array): void {
    this.leased(number)
    this.#writer.u8(mode)
    this.#writer.u32(retryAfterMs)
    this.#writer.u32(error.length)
    this.#writer.raw(error)
  }

  /** A job of extend or release. */
  leased(number: JobNumber): void {
    const delta = number - this.#base
    if (!(delta >= 0 && delta <= 0xffff_ffff) || this.#countAt < 0 || this.size >= ITEMS_MAX) throw new RangeError(`job ${number} does not fit the group from ${this.#base}`)
    this.#writer.u32(delta)
    this.#writer.view.setUint32(this.#countAt, ++this.#count)
    this.size++
  }

  take(): Uint8Array<ArrayBuffer> {
    return this.#writer.take()
  }

  reset(): this {
    this.#writer.reset()
    this.#countAt = -1
    this.size = 0
    return this
  }
}

/** Steps over leased groups: `nextGroup`, then `nextItem` until it says no. */
export class LeasedGroupsReader {
  readonly bytes: Uint8Array
  readonly operation: Operation
  token = 0
  base = 0
  /** Jobs in the group. */
  count = 0
  number = 0
  mode = 0
  retryAfterMs = 0
  /** Where the result or the error lies. */
  dataAt = 0
  dataLength = 0
  readonly #reader: Reader
  #left = 0

  constructor(groups: Uint8Array, operation: Operation) {
    this.bytes = groups
    this.operation = operation
    this.#reader = new Reader(groups)
  }

  nextGroup(): boolean {
    const reader = this.#reader
    if (reader.left === 0) return false
    this.token = reader.u53()
    this.base = reader.u53()
    this.count = reader.u32()
    this.#left = this.count
    return true
  }

  nextItem(): boolean {
    if (this.#left === 0) return false
    this.#left--
    const reader = this.#reader
    this.number = this.base + reader.u32()
    if (this.operation === Operation.complete) {
      this.dataLength = reader.u32()
      this.dataAt = reader.skip(this.dataLength)
    } else if (this.operation === Operation.fail) {
      this.mode = reader.u8()
      this.retryAfterMs = reader.u32()
      this.dataLength = reader.u32()
      this.dataAt = reader.skip(this.dataLength)
    }
    return true
  }

  /** Back to the first group. */
  rewind(): this {
    this.#reader.at = 0
    this.#left = 0
    return this
  }
}

/** The groups of a body, read to their end once, so that nothing can break off in the middle. Throws MalformedMessage. */
export function readGroups(bytes: Uint8Array, operation: Operation): LeasedGroupsReader {
  const groups = new LeasedGroupsReader(bytes, operation)
  let items = 0
  while (groups.nextGroup()) {
    items += groups.count
    if (items > ITEMS_MAX) throw new MalformedMessage(`${items} jobs where ${ITEMS_MAX} are allowed`)
    while (groups.nextItem()) if (groups.mode > FailMode.retryAfter || groups.dataLength > PAYLOAD_BYTES_MAX) throw new MalformedMessage('what became of a job')
  }
  return groups.rewind()
}

// ---- deliveries ----------------------------------------------------------------------------------------------------

/** Builds the `names`, `count` and `items` of a `deliver` from the add entries that hold the payloads. */
export class DeliveryWriter {
  readonly #writer: Writer
  #names: string[] = []
  base = 0
  count = 0

  constructor(writer = new Writer(4096)) {
    this.#writer = writer
  }

  /** `base` is at most the smallest number that will be written. */
  begin(base: JobNumber): this {
    this.#writer.reset()
    this.#names = []
    this.base = base
    this.count = 0
    return this
  }

  /** The job is the one that `entry.items` stands at. */
  add(number: JobNumber, attempt: number, maxAttempts: number, entry: AddEntry): void {
    const items = entry.items
    const writer = this.#writer
    const at = writer.claim(14)
    const view = writer.view
    view.setUint32(at, number - this.base)
    view.setUint16(at + 4, attempt)
    view.setUint16(at + 6, maxAttempts)
    view.setUint32(at + 8, 0)
    view.setUint16(at + 12, this.#nameOrdinal(entry.names[items.nameOrdinal]!))
    if (items.optionsLength === 0) writer.u16(0)
    else this.#options(at + 8, items)
    writer.u32(items.payloadLength)
    const payloadAt = writer.claim(items.payloadLength)
    writer.bytes.set(items.payload, payloadAt)
    this.count++
  }

  get names(): readonly string[] {
    return this.#names
  }

  /** The bytes of all items; they share nothing with the writer's next use. */
  take(): Uint8Array<ArrayBuffer> {
    return this.#writer.take()
  }

  /** Copies what a worker needs of a job's options: the time-out into its place, the headers as they are. */
  #options(timeoutAt: number, items: AddItemReader): void {
    const writer = this.#writer
    const reader = new Reader(items.bytes, items.optionsAt, items.optionsAt + items.optionsLength)
    const lengthAt = writer.claim(2)
    writer.view.setUint16(lengthAt, 0)
    while (reader.left > 0) {
      const key = reader.u8()
      const value = reader.raw(reader.u16())
      if (key === OptionKey.timeoutMs) writer.view.setUint32(timeoutAt, new Reader(value).u32())
      else if (key === OptionKey.headers) {
        writer.at = lengthAt + 2
        writer.raw(value)
        writer.view.setUint16(lengthAt, value.length)
      }
    }
  }

  #nameOrdinal(name: string): number {
    const known = this.#names.indexOf(name)
    return known >= 0 ? known : this.#names.push(name) - 1
  }
}

/** Steps over the items of a `deliver`. Throws MalformedMessage. */
export class DeliveryReader {
  readonly bytes: Uint8Array
  number = 0
  attempt = 0
  maxAttempts = 0
  timeoutMs = 0
  nameOrdinal = 0
  headersAt = 0
  headersLength = 0
  payloadAt = 0
  payloadLength = 0
  readonly #reader: Reader
  readonly #base: number
  readonly #names: number
  #left: number

  constructor(items: Uint8Array, base: JobNumber, count: number, names: number) {
    this.bytes = items
    this.#reader = new Reader(items)
    this.#base = base
    this.#left = count
    this.#names = names
  }

  next(): boolean {
    const reader = this.#reader
    if (this.#left === 0) {
      if (reader.left > 0) throw new MalformedMessage(`${reader.left} bytes behind the last delivery`)
      return false
    }
    this.#left--
    const at = reader.skip(16)
    const { bytes } = reader
    this.number = this.#base + u32At(bytes, at)
    this.attempt = u16At(bytes, at + 4)
    this.maxAttempts = u16At(bytes, at + 6)
    this.timeoutMs = u32At(bytes, at + 8)
    this.nameOrdinal = u16At(bytes, at + 12)
    if (this.nameOrdinal >= this.#names) throw new MalformedMessage('a delivery whose name is not listed')
    this.headersLength = u16At(bytes, at + 14)
    this.headersAt = reader.skip(this.headersLength)
    this.payloadLength = reader.u32()
    this.payloadAt = reader.skip(this.payloadLength)
    return true
  }

  get payload(): Uint8Array {
    return this.bytes.subarray(this.payloadAt, this.payloadAt + this.payloadLength)
  }

  get headers(): readonly (readonly [string, string])[] {
    if (this.headersLength === 0) return []
    return jobHeaders.read(new Reader(this.bytes, this.headersAt, this.headersAt + this.headersLength))
  }
}

const NO_OPTIONS: JobOptions = {}
/** Its length is written in two bytes. */
export const OPTIONS_BYTES_MAX = 65_535
