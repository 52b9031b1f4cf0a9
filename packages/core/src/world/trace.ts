//! What happened, twice over: a running hash that says whether two runs were the same, and the last events as they were,
//! to be told when a run fails.

import { Hash, hashOf } from '../hash.ts'

/** Enough to see what led to a failure, few enough to keep. */
const RECENT_MAX = 400

export interface TraceRecord {
  readonly time: number
  readonly process: string
  readonly kind: string
  /** The input or effect itself; made into text only when somebody asks. */
  readonly detail: unknown
}

export class Trace {
  readonly #hash = new Hash()
  readonly #recent: TraceRecord[] = []
  readonly #codes = new Map<string, number>()
  #next = 0

  input(time: number, process: number, name: string, kind: string, detail: unknown): void {
    this.#hash.number(time).word(process).word(this.#code(kind))
    this.#remember({ time, process: name, kind, detail })
  }

  effect(time: number, process: string, kind: string, detail: unknown): void {
    this.#hash.word(this.#code(kind))
    this.#remember({ time, process, kind, detail })
  }

  number(value: number): void {
    this.#hash.number(value)
  }

  bytes(bytes: Uint8Array): void {
    this.#hash.bytes(bytes)
  }

  digest(): string {
    return this.#hash.digest()
  }

  /** The last events, oldest first. */
  recent(): readonly TraceRecord[] {
    return [...this.#recent.slice(this.#next), ...this.#recent.slice(0, this.#next)]
  }

  #remember(record: TraceRecord): void {
    if (this.#recent.length < RECENT_MAX) this.#recent.push(record)
    else {
      this.#recent[this.#next] = record
      this.#next = (this.#next + 1) % RECENT_MAX
    }
  }

  #code(kind: string): number {
    let code = this.#codes.get(kind)
    if (code === undefined) {
      code = hashOf(kind) >>> 0
      this.#codes.set(kind, code)
    }
    return code
  }
}
