//! A seeded generator (sfc32: 128 bits of state, passes PractRand). Actors never draw from anything else, so that a seed
//! decides a whole run; `fork` gives every user a stream of its own, so that one more draw here moves nothing there.

export class Random {
  #a: number
  #b: number
  #c: number
  #counter: number

  constructor(seed: number, stream = 0) {
    this.#a = seed >>> 0
    this.#b = Math.floor(seed / 0x1_0000_0000) >>> 0
    this.#c = stream >>> 0
    this.#counter = 1
    for (let i = 0; i < 12; i++) this.u32()
  }

  static fromWords(a: number, b: number, c: number): Random {
    const random = new Random(0)
    random.#a = a >>> 0
    random.#b = b >>> 0
    random.#c = c >>> 0
    random.#counter = 1
    for (let i = 0; i < 12; i++) random.u32()
    return random
  }

  /** A whole number from 0 to 2^32 - 1. */
  u32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum | 0
    return sum >>> 0
  }

  /** A number from 0 up to, not including, 1. */
  fraction(): number {
    return this.u32() / 0x1_0000_0000
  }

  /** A whole number from 0 up to, not including, `limit`. */
  below(limit: number): number {
    return Math.floor(this.fraction() * limit)
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1)
  }

  chance(probability: number): boolean {
    return this.fraction() < probability
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)]
    if (item === undefined) throw new RangeError('nothing to pick from')
    return item
  }

  /** `bits` random bits as lower-case hexadecimal digits; `bits` is a multiple of 32. */
  hex(bits: number): string {
    let text = ''
    for (let i = 0; i < bits; i += 32) text += this.u32().toString(16).padStart(8, '0')
    return text
  }

  fork(): Random {
    return Random.fromWords(this.u32(), this.u32(), this.u32())
  }

  clone(): Random {
    const copy = new Random(0)
    copy.#a = this.#a
    copy.#b = this.#b
    copy.#c = this.#c
    copy.#counter = this.#counter
    return copy
  }
}
