//! A guard in front of cbor-x. That decoder is fast because it trusts its input: a large bignum stalls the loop, a tag
//! builds an Error, deep nesting exhausts the stack. So the bytes are walked first, without building anything, and only
//! what JSON could say (and byte strings) gets through.
//!
//!   value = unsigned | negative | bytes | text | array of values | map of text to value | false true null undefined | float
//!
//! No tags, no indefinite lengths, no other simple values, no whole number over 2^53 - 1.

import { TransportError } from './errors.ts'

export const DEPTH_MAX = 16
export const ITEMS_MAX = 4096

/** Throws a TransportError with code `malformed` unless `bytes` are exactly one harmless value. */
export function scan(bytes: Uint8Array): void {
  const scanner = new Scanner(bytes)
  scanner.value(0)
  if (scanner.at !== bytes.length) throw evil(`${bytes.length - scanner.at} bytes too many`)
}

const MAJOR = { unsigned: 0, negative: 1, bytes: 2, text: 3, array: 4, map: 5, tag: 6 } as const

class Scanner {
  readonly #bytes: Uint8Array
  at = 0
  #items = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  value(depth: number): void {
    if (depth > DEPTH_MAX) throw evil(`nested deeper than ${DEPTH_MAX}`)
    if (++this.#items > ITEMS_MAX) throw evil(`more than ${ITEMS_MAX} items`)
    const first = this.#byte()
    const major = first >> 5
    const info = first & 31
    switch (major) {
      case MAJOR.unsigned:
      case MAJOR.negative:
        this.#argument(info)
        return
      case MAJOR.bytes:
      case MAJOR.text:
        this.#skip(this.#argument(info))
        return
      case MAJOR.array:
        for (let left = this.#argument(info); left > 0; left--) this.value(depth + 1)
        return
      case MAJOR.map:
        for (let left = this.#argument(info); left > 0; left--) {
          this.#key()
          this.value(depth + 1)
        }
        return
      case MAJOR.tag:
        throw evil('a tag')
      default:
        this.#simple(info)
    }
  }

  /** Keys become names of properties: only texts, and not the one name that reaches a prototype. */
  #key(): void {
    if (++this.#items > ITEMS_MAX) throw evil(`more than ${ITEMS_MAX} items`)
    const first = this.#byte()
    if (first >> 5 !== MAJOR.text) throw evil('a key that is no text')
    const length = this.#argument(first & 31)
    const from = this.at
    this.#skip(length)
    if (length === PROTO.length && PROTO.every((byte, i) => this.#bytes[from + i] === byte)) throw evil('a key named __proto__')
  }

  #simple(info: number): void {
    if (info >= 20 && info <= 23) return
    if (info >= 25 && info <= 27) return this.#skip(1 << (info - 24))
    throw evil(`the simple value ${info}`)
  }

  #argument(info: number): number {
    if (info < 24) return info
    if (info > 27) throw evil('an indefinite length')
    let value = 0
    for (let left = 1 << (info - 24); left > 0; left--) value = value * 256 + this.#byte()
    if (value > Number.MAX_SAFE_INTEGER) throw evil('a whole number over 2^53 - 1')
    return value
  }

  #byte(): number {
    const byte = this.#bytes[this.at]
    if (byte === undefined) throw evil('cut short')
    this.at++
    return byte
  }

  #skip(count: number): void {
    if (count > this.#bytes.length - this.at) throw evil('cut short')
    this.at += count
  }
}

const PROTO = [...'__proto__'].map((letter) => letter.charCodeAt(0))

function evil(what: string): TransportError {
  return new TransportError('malformed', `refused CBOR: ${what}`)
}
