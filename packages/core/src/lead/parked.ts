//! What clients said to a copy that is about to lead, or that leads and does not know yet all that earlier leaders committed. It waits here
//! in order, so that a hand-over costs clients the time that it takes and no more: nobody is turned away to ask again somewhere else.

import type { Endpoint } from './endpoint.ts'

/** Enough for what comes in while two disks write down a vote; who says more is turned away. */
export const PARKED_BYTES_MAX = 16 * 1024 * 1024
/** What an entry costs beside its bytes. */
const OVERHEAD_BYTES = 64

export interface Saying {
  readonly from: Endpoint
  readonly bytes: Uint8Array
}

export class Parked {
  #sayings: Saying[] = []
  #bytes = 0

  get size(): number {
    return this.#sayings.length
  }

  get bytes(): number {
    return this.#bytes
  }

  /** False where there is no room. The bytes are copied: they may be a view of what a socket read. */
  add(from: Endpoint, bytes: Uint8Array): boolean {
    const cost = bytes.length + OVERHEAD_BYTES
    if (this.#bytes + cost > PARKED_BYTES_MAX) return false
    this.#bytes += cost
    this.#sayings.push({ from, bytes: bytes.slice() })
    return true
  }

  /** Takes all out, the oldest first. */
  take(): readonly Saying[] {
    const sayings = this.#sayings
    this.#sayings = []
    this.#bytes = 0
    return sayings
  }

  /** Whose connection has gone is not waited for. What it said may be done all the same: it was not refused. */
  gone(endpoint: Endpoint): void {
    this.#sayings = this.#sayings.filter((saying) => saying.from !== endpoint)
    this.#bytes = this.#sayings.reduce((sum, { bytes }) => sum + bytes.length + OVERHEAD_BYTES, 0)
  }
}
