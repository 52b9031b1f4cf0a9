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
  /** The last events, each a slot of all four: an object for every event would be half the trace's cost. */
  readonly #times = new Float64Array(RECENT_MAX)
  readonly #names = new Array<string>(RECENT_MAX).fill('')
  readonly #kinds = new Array<string>(RECENT_MAX).fill('')
  readonly #details = new Array<unknown>(RECENT_MAX).fill(undefined)
  readonly #codes = new Map<string, number>()
  #count = 0

  input(time: number, process: number, name: string, kind: string, detail: unknown): void {
    this.#hash.number(time).word(process).word(this.#code(kind))
    this.#remember(time, name, kind, detail)
  }

  effect(time: number, process: string, kind: string, detail: unknown): void {
    this.#hash.word(this.#code(kind))
    this.#remember(time, process, kind, detail)
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
    const records: TraceRecord[] = []
    for (let at = Math.max(0, this.#count - RECENT_MAX); at < this.#count; at++) {
      const slot = at % RECENT_MAX
      records.push({ time: this.#times[slot]!, process: this.#names[slot]!, kind: this.#kinds[slot]!, detail: this.#details[slot] })
    }
    return records
  }

  #remember(time: number, process: string, kind: string, detail: unknown): void {
    const slot = this.#count++ % RECENT_MAX
    this.#times[slot] = time
    this.#names[slot] = process
    this.#kinds[slot] = kind
    this.#details[slot] = detail
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
