//! A toy for the explorer itself: nodes that hand a token on over a ring. With the bug planted, a node that gets the token again while it has it takes
//! it for a second one; only a message that arrives twice shows it.

import { Hash } from '@horus/core/hash'
import type { Fact, Input, Laws, Move, Participant, Send } from './participant.ts'
import { Breach } from './search.ts'

export class Holder implements Participant {
  readonly index: number
  readonly isBeyond = false
  readonly #size: number
  readonly #isBuggy: boolean
  /** How often the token was handed on; the message says so, and an old one is no token. */
  #seen: number
  tokens: number

  constructor(index: number, size: number, isBuggy: boolean, tokens = index === 0 ? 1 : 0, seen = 0) {
    this.index = index
    this.#size = size
    this.#isBuggy = isBuggy
    this.tokens = tokens
    this.#seen = seen
  }

  clone(): this {
    return new Holder(this.index, this.#size, this.#isBuggy, this.tokens, this.#seen) as this
  }

  digest(): string {
    return new Hash().word(this.index).word(this.tokens).word(this.#seen).digest()
  }

  ignores(bytes: Uint8Array): boolean {
    return !this.#isBuggy && bytes[0]! <= this.#seen
  }

  moves(): readonly Move[] {
    return this.tokens > 0 ? [{ kind: 'hand on', argument: 0, cost: 'hand on' }] : []
  }

  take(input: Input, send: Send): void {
    if (input.kind === 'move') {
      this.tokens--
      send((this.index + 1) % this.#size, Uint8Array.of(this.#seen + 1))
    } else if (this.#isBuggy || input.bytes[0]! > this.#seen) {
      this.#seen = Math.max(this.#seen, input.bytes[0]!)
      this.tokens++
    }
  }

  tell(): string {
    return `has ${this.tokens}`
  }
}

export const ringLaws: Laws<Holder, Fact, number> = {
  memory: 0,
  facts: () => [],
  remember: (memory) => memory,
  one: (node) => {
    if (node.tokens > 1) throw new Breach('a node has two tokens')
  },
  pair: (a, b) => {
    if (a.tokens > 0 && b.tokens > 0) throw new Breach('two nodes have the token')
  },
}
