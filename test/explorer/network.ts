//! What is under way. A message may be delivered at any time and in any order, or never: so loss, delay and reordering need no actions and no
//! bounds of their own. Duplication is an action of the model: a message is delivered and stays.
//!
//!   message ──▶ number          inbox of a node, a bag of messages ──▶ number          inbox + message, inbox - message: looked up

export interface Envelope {
  readonly from: number
  readonly to: number
  readonly bytes: Uint8Array
}

/** More messages than any scope has; an inbox and a message fit into one key. */
const MESSAGES_MAX = 1 << 20

export class Network {
  readonly #envelopes: Envelope[] = []
  readonly #numbers = new Map<string, number>()
  /** By number, each sorted; the empty one is 0. */
  readonly #inboxes: (readonly number[])[] = [[]]
  readonly #inboxNumbers = new Map<string, number>([['', 0]])
  readonly #sums = new Map<number, number>()
  readonly #differences = new Map<number, number>()

  /** The number of a message: equal ones have the same. */
  message(envelope: Envelope): number {
    let key = String.fromCharCode(envelope.from, envelope.to)
    for (const byte of envelope.bytes) key += String.fromCharCode(byte)
    let number = this.#numbers.get(key)
    if (number === undefined) {
      number = this.#envelopes.push(envelope) - 1
      if (number >= MESSAGES_MAX) throw new RangeError('too many messages')
      this.#numbers.set(key, number)
    }
    return number
  }

  envelope(message: number): Envelope {
    return this.#envelopes[message]!
  }

  /** Distinct messages that were ever sent. */
  get messages(): number {
    return this.#envelopes.length
  }

  /** What lies in an inbox. */
  in(inbox: number): readonly number[] {
    return this.#inboxes[inbox]!
  }

  /** The inbox with one message more. */
  with(inbox: number, message: number): number {
    const key = inbox * MESSAGES_MAX + message
    let sum = this.#sums.get(key)
    if (sum === undefined) {
      sum = this.#inbox([...this.#inboxes[inbox]!, message].sort((a, b) => a - b))
      this.#sums.set(key, sum)
    }
    return sum
  }

  /** The inbox after one delivery of the message. */
  without(inbox: number, message: number): number {
    const key = inbox * MESSAGES_MAX + message
    let difference = this.#differences.get(key)
    if (difference === undefined) {
      const held = this.#inboxes[inbox]!
      difference = this.#inbox(held.toSpliced(held.indexOf(message), 1))
      this.#differences.set(key, difference)
    }
    return difference
  }

  /** The inbox with those messages alone that are worth keeping. */
  only(inbox: number, keep: (bytes: Uint8Array) => boolean): number {
    return this.#inbox(this.#inboxes[inbox]!.filter((message) => keep(this.#envelopes[message]!.bytes)))
  }

  #inbox(sorted: readonly number[]): number {
    const key = sorted.join()
    let number = this.#inboxNumbers.get(key)
    if (number === undefined) {
      number = this.#inboxes.push(sorted) - 1
      this.#inboxNumbers.set(key, number)
    }
    return number
  }
}
