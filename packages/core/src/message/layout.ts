//! Byte layouts as values. A message is declared once, as a row of named fields; its TypeScript type, its validation, its
//! reader and its writer all come from that row, so the four can never disagree.
//!
//!   row(0x20, 'vote', { shard, term, lastIndex: index, pre: bool })      one tag byte, then the fields in order
//!
//! Numbers are big-endian. Whoever changes a row that is already in use: only ever add a new row under a new tag; a
//! retired tag stays listed. Bytes that break the layout throw `MalformedMessage`, which transport turns into a closed link.

import { utf8Length, utf8Read, utf8Write } from '../utf8.ts'

export class MalformedMessage extends Error {
  override readonly name = 'MalformedMessage'
}

export interface Field<T> {
  write(writer: Writer, value: T): void
  read(reader: Reader): T
}

// A row takes fields of any type: the one place where `any` is the type that is meant.
export type Fields = Readonly<Record<string, Field<any>>>
export type ValueOf<F> = F extends Field<infer T> ? T : never
export type RecordOf<F> = { readonly [K in keyof F]: ValueOf<F[K]> }

export interface Row<Kind extends string, F> {
  readonly tag: number
  readonly kind: Kind
  readonly fields: F
  readonly record: Field<RecordOf<F>>
}
export type MessageOf<R> = R extends Row<infer Kind, infer F> ? { readonly kind: Kind } & RecordOf<F> : never

export function row<Kind extends string, F extends Fields>(tag: number, kind: Kind, fields: F): Row<Kind, F> {
  return { tag, kind, fields, record: record(fields) }
}

export class Writer {
  bytes: Uint8Array<ArrayBuffer>
  view: DataView<ArrayBuffer>
  at = 0

  constructor(capacity = 256) {
    this.bytes = new Uint8Array(capacity)
    this.view = new DataView(this.bytes.buffer)
  }

  /** Makes room for `count` more bytes and returns where they go. It may replace `bytes` and `view`: claim first, then reach for them. */
  claim(count: number): number {
    const at = this.at
    const end = at + count
    if (end > this.bytes.length) {
      const larger = new Uint8Array(Math.max(end, this.bytes.length * 2))
      larger.set(this.bytes.subarray(0, at))
      this.bytes = larger
      this.view = new DataView(larger.buffer)
    }
    this.at = end
    return at
  }

  u8(value: number): void {
    const at = this.claim(1)
    this.view.setUint8(at, value)
  }

  u16(value: number): void {
    const at = this.claim(2)
    this.view.setUint16(at, value)
  }

  u32(value: number): void {
    const at = this.claim(4)
    this.view.setUint32(at, value)
  }

  /** A whole number up to 2^53 - 1, in eight bytes. */
  u53(value: number): void {
    const at = this.claim(8)
    this.view.setUint32(at, Math.floor(value / 0x1_0000_0000))
    this.view.setUint32(at + 4, value >>> 0)
  }

  f64(value: number): void {
    const at = this.claim(8)
    this.view.setFloat64(at, value)
  }

  raw(value: Uint8Array): void {
    const at = this.claim(value.length)
    this.bytes.set(value, at)
  }

  /** What was written, as an array of its own size that shares nothing with the writer's next use. */
  take(): Uint8Array<ArrayBuffer> {
    return this.bytes.slice(0, this.at)
  }

  reset(): this {
    this.at = 0
    return this
  }
}

export class Reader {
  readonly bytes: Uint8Array
  at: number
  readonly end: number

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes
    this.at = at
    this.end = end
  }

  get left(): number {
    return this.end - this.at
  }

  /** Steps over `count` bytes and returns where they begin. */
  skip(count: number): number {
    const at = this.at
    if (at + count > this.end) throw new MalformedMessage(`${count} bytes wanted, ${this.end - at} left`)
    this.at = at + count
    return at
  }

  u8(): number {
    return this.bytes[this.skip(1)]!
  }

  u16(): number {
    return u16At(this.bytes, this.skip(2))
  }

  u32(): number {
    return u32At(this.bytes, this.skip(4))
  }

  u53(): number {
    const at = this.skip(8)
    const high = u32At(this.bytes, at)
    if (high >= 0x20_0000) throw new MalformedMessage('a whole number over 2^53')
    return high * 0x1_0000_0000 + u32At(this.bytes, at + 4)
  }

  f64(): number {
    const at = this.skip(8)
    words.setUint32(0, u32At(this.bytes, at))
    words.setUint32(4, u32At(this.bytes, at + 4))
    return words.getFloat64(0)
  }

  /** A view of the next `count` bytes; it shares the reader's memory. */
  raw(count: number): Uint8Array {
    const at = this.skip(count)
    return this.bytes.subarray(at, at + count)
  }
}

/** Where the halves of a float meet: a message is too short for a view of its own to pay. */
const words = new DataView(new ArrayBuffer(8))

export function u16At(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!
}

export function u32At(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
}

// ---- fields ------------------------------------------------------------------------------------------------------

export const u8: Field<number> = { write: (w, v) => w.u8(bounded(v, 0xff)), read: (r) => r.u8() }
export const u16: Field<number> = { write: (w, v) => w.u16(bounded(v, 0xffff)), read: (r) => r.u16() }
export const u32: Field<number> = { write: (w, v) => w.u32(bounded(v, 0xffff_ffff)), read: (r) => r.u32() }
export const u53: Field<number> = { write: (w, v) => w.u53(bounded(v, Number.MAX_SAFE_INTEGER)), read: (r) => r.u53() }
/** Any double but NaN. */
export const f64: Field<number> = {
  write: (w, v) => w.f64(v),
  read: (r) => {
    const value = r.f64()
    if (Number.isNaN(value)) throw new MalformedMessage('not a number')
    return value
  },
}
export const bool: Field<boolean> = {
  write: (w, v) => w.u8(v ? 1 : 0),
  read: (r) => {
    const value = r.u8()
    if (value > 1) throw new MalformedMessage(`${value} is neither true nor false`)
    return value === 1
  },
}

/** The same bytes as `field`, under a branded type. */
export function as<T>(field: Field<number> | Field<string>): Field<T> {
  return field as unknown as Field<T>
}

/** UTF-8 of at most `bytesMax` bytes (65,535 at most), behind its length in two bytes. */
export function text(bytesMax = 255): Field<string> {
  return {
    write(w, value) {
      const length = bounded(utf8Length(value), bytesMax)
      w.u16(length)
      const at = w.claim(length)
      utf8Write(value, w.bytes, at)
    },
    read(r) {
      const length = r.u16()
      if (length > bytesMax) throw new MalformedMessage(`a text of ${length} bytes where ${bytesMax} are allowed`)
      const at = r.skip(length)
      const value = utf8Read(r.bytes, at, at + length)
      if (value === undefined) throw new MalformedMessage('a text that is no UTF-8')
      return value
    },
  }
}

/** 128 bits as 32 hexadecimal digits. */
export function id128<T extends string>(): Field<T> {
  return {
    write(w, value) {
      const at = w.claim(16)
      for (let i = 0; i < 16; i++) w.bytes[at + i] = (nibble(value.charCodeAt(2 * i)) << 4) | nibble(value.charCodeAt(2 * i + 1))
    },
    read(r) {
      return idText(r.bytes, r.skip(16)) as T
    },
  }
}

function nibble(code: number): number {
  return code <= NINE ? code - ZERO : (code | LOWER_CASE) - TEN_IS_A
}

interface KnownId {
  readonly words: readonly [number, number, number, number]
  readonly text: string
}

/** The ids read last: a cluster has few, they come in almost every message, and a text made anew each time is also hashed anew. */
const known: (KnownId | undefined)[] = new Array(1024).fill(undefined)

function idText(bytes: Uint8Array, at: number): string {
  const a = u32At(bytes, at)
  const b = u32At(bytes, at + 4)
  const c = u32At(bytes, at + 8)
  const d = u32At(bytes, at + 12)
  const slot = (a ^ d) & (known.length - 1)
  const last = known[slot]
  if (last !== undefined && last.words[0] === a && last.words[1] === b && last.words[2] === c && last.words[3] === d) return last.text
  const text = [a, b, c, d].map((word) => word.toString(16).padStart(8, '0')).join('')
  known[slot] = { words: [a, b, c, d], text }
  return text
}

/** At most `bytesMax` bytes behind their length in four; reading gives a view. */
export function bytes(bytesMax: number): Field<Uint8Array> {
  return {
    write(w, value) {
      w.u32(bounded(value.length, bytesMax))
      w.raw(value)
    },
    read(r) {
      const length = r.u32()
      if (length > bytesMax) throw new MalformedMessage(`${length} bytes where ${bytesMax} are allowed`)
      return r.raw(length)
    },
  }
}

/** Whatever is left of the message; only ever the last field. Reading gives a view. */
export const rest: Field<Uint8Array> = { write: (w, v) => w.raw(v), read: (r) => r.raw(r.left) }

/** At most `most` items behind their count in two bytes (65,535 at most). */
export function list<T>(field: Field<T>, most: number): Field<readonly T[]> {
  return {
    write(w, values) {
      w.u16(bounded(values.length, most))
      for (const value of values) field.write(w, value)
    },
    read(r) {
      const count = r.u16()
      if (count > most) throw new MalformedMessage(`${count} items where ${most} are allowed`)
      const values: T[] = []
      for (let i = 0; i < count; i++) values.push(field.read(r))
      return values
    },
  }
}

export function optional<T>(field: Field<T>): Field<T | undefined> {
  return {
    write(w, value) {
      w.u8(value === undefined ? 0 : 1)
      if (value !== undefined) field.write(w, value)
    },
    read: (r) => (bool.read(r) ? field.read(r) : undefined),
  }
}

/** One of the numbers of a literal table, in one byte. */
export function oneOf<T extends number>(table: Readonly<Record<string, T>>): Field<T> {
  const known = new Set<number>(Object.values(table))
  return {
    write: (w, v) => w.u8(v),
    read(r) {
      const value = r.u8()
      if (!known.has(value)) throw new MalformedMessage(`${value} is not in the table`)
      return value as T
    },
  }
}

export function record<F extends Fields>(fields: F): Field<RecordOf<F>> {
  const names = Object.keys(fields)
  const parts = names.map((name) => fields[name] as Field<unknown>)
  return {
    write(w, value) {
      const values = value as Record<string, unknown>
      for (let i = 0; i < parts.length; i++) parts[i]!.write(w, values[names[i]!])
    },
    read(r) {
      const values: Record<string, unknown> = {}
      for (let i = 0; i < parts.length; i++) values[names[i]!] = parts[i]!.read(r)
      return values as RecordOf<F>
    },
  }
}

// ---- whole values ------------------------------------------------------------------------------------------------

/** The bytes of one value on its own. */
export function encode<T>(field: Field<T>, value: T): Uint8Array<ArrayBuffer> {
  const writer = scratch.reset()
  field.write(writer, value)
  return writer.take()
}

/** One value that must fill `bytes` exactly. Throws MalformedMessage. */
export function decode<T>(field: Field<T>, value: Uint8Array): T {
  const reader = new Reader(value)
  const result = field.read(reader)
  if (reader.left > 0) throw new MalformedMessage(`${reader.left} bytes too many`)
  return result
}

/** The same; undefined where the bytes are no such value. */
export function tryDecode<T>(field: Field<T>, value: Uint8Array): T | undefined {
  try {
    return decode(field, value)
  } catch (error) {
    if (error instanceof MalformedMessage) return undefined
    throw error
  }
}

/** A set of rows that share one tag space: reads and writes any of them. */
export class Table<R extends Row<string, any>> {
  readonly #byTag = new Map<number, R>()
  readonly #byKind = new Map<string, R>()

  constructor(rows: readonly R[]) {
    for (const entry of rows) {
      if (this.#byTag.has(entry.tag) || this.#byKind.has(entry.kind)) throw new RangeError(`tag or kind of ${entry.kind} is taken`)
      this.#byTag.set(entry.tag, entry)
      this.#byKind.set(entry.kind, entry)
    }
  }

  write(writer: Writer, message: MessageOf<R>): void {
    const entry = this.#byKind.get((message as { kind: string }).kind)
    if (!entry) throw new RangeError(`no row for ${(message as { kind: string }).kind}`)
    writer.u8(entry.tag)
    entry.record.write(writer, message)
  }

  encode(message: MessageOf<R>): Uint8Array<ArrayBuffer> {
    const writer = scratch.reset()
    this.write(writer, message)
    return writer.take()
  }

  /** Throws MalformedMessage for an unknown tag, a broken field or bytes left over. Byte fields are views of `bytes`. */
  decode(bytes: Uint8Array, from = 0, to = bytes.length): MessageOf<R> {
    const reader = new Reader(bytes, from, to)
    const tag = reader.u8()
    const entry = this.#byTag.get(tag)
    if (!entry) throw new MalformedMessage(`unknown tag ${tag}`)
    const values = entry.record.read(reader) as { kind?: string }
    if (reader.left > 0) throw new MalformedMessage(`${reader.left} bytes too many behind ${entry.kind}`)
    values.kind = entry.kind
    return values as MessageOf<R>
  }

  rowOf(kind: string): R | undefined {
    return this.#byKind.get(kind)
  }

  get rows(): readonly R[] {
    return [...this.#byTag.values()]
  }
}

const ZERO = 0x30
const NINE = 0x39
const LOWER_CASE = 0x20
const TEN_IS_A = 0x61 - 10
const scratch = new Writer(4096)

function bounded(value: number, most: number): number {
  if (!(value >= 0 && value <= most)) throw new RangeError(`${value} does not fit a field of at most ${most}`)
  return value
}
