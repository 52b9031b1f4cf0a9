//! A fast running hash (not for security): traces, digests of books, rendezvous placement. Two 32-bit lanes, so 64 bits
//! in all, mixed with the finaliser of MurmurHash3.

export class Hash {
  #a = 0x9e3779b9 | 0
  #b = 0x85ebca6b | 0

  number(value: number): this {
    scratch.setFloat64(0, value === 0 ? 0 : value)
    return this.word(scratch.getInt32(0)).word(scratch.getInt32(4))
  }

  /** Mixes in the low 32 bits of a whole number. */
  word(value: number): this {
    this.#a = mix(this.#a ^ value)
    this.#b = mix((this.#b + value + this.#a) | 0)
    return this
  }

  text(value: string): this {
    this.word(value.length)
    for (let i = 0; i < value.length; i++) this.word(value.charCodeAt(i))
    return this
  }

  bytes(value: Uint8Array): this {
    const { length } = value
    this.word(length)
    // Both lanes in hand: most of what is hashed comes this way.
    let a = this.#a
    let b = this.#b
    let i = 0
    for (; i + 4 <= length; i += 4) {
      const word = value[i]! | (value[i + 1]! << 8) | (value[i + 2]! << 16) | (value[i + 3]! << 24)
      a = mix(a ^ word)
      b = mix((b + word + a) | 0)
    }
    for (; i < length; i++) {
      a = mix(a ^ value[i]!)
      b = mix((b + value[i]! + a) | 0)
    }
    this.#a = a
    this.#b = b
    return this
  }

  /** 16 hexadecimal digits. */
  digest(): string {
    return (this.#a >>> 0).toString(16).padStart(8, '0') + (this.#b >>> 0).toString(16).padStart(8, '0')
  }

  /** 53 bits as a whole number. */
  value(): number {
    return (this.#a >>> 0) * 0x20_0000 + ((this.#b >>> 0) >>> 11)
  }

  clone(): Hash {
    const copy = new Hash()
    copy.#a = this.#a
    copy.#b = this.#b
    return copy
  }

  /** The two lanes, for a snapshot; `restore` takes them back. */
  lanes(): readonly [number, number] {
    return [this.#a >>> 0, this.#b >>> 0]
  }

  static restore(lanes: readonly [number, number]): Hash {
    const hash = new Hash()
    hash.#a = lanes[0] | 0
    hash.#b = lanes[1] | 0
    return hash
  }
}

export function hashOf(...parts: readonly (string | number)[]): number {
  const hash = new Hash()
  for (const part of parts) typeof part === 'number' ? hash.number(part) : hash.text(part)
  return hash.value()
}

const scratch = new DataView(new ArrayBuffer(8))

function mix(value: number): number {
  let v = value | 0
  v = Math.imul(v ^ (v >>> 16), 0x85ebca6b)
  v = Math.imul(v ^ (v >>> 13), 0xc2b2ae35)
  return v ^ (v >>> 16)
}
