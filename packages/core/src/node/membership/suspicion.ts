//! A suspicion (Lifeguard 3.2): it begins patient and grows short as independent nodes confirm it. Whoever is suspected
//! has that long to refute.

import type { Instant, NodeId } from '../../units.ts'

export interface SuspicionLimits {
  readonly leastMs: number
  readonly mostMs: number
  /** This many confirmations make it as short as it gets. */
  readonly confirmations: number
}

/** A suspicion that nobody confirms lasts so many times the least one. */
const PATIENCE = 6

export function suspicionLimits(members: number, probeIntervalMs: number, factor: number): SuspicionLimits {
  const leastMs = factor * Math.max(1, Math.log10(Math.max(1, members))) * probeIntervalMs
  // Where there are not enough others to confirm, waiting for them would only make it late.
  const confirmations = Math.max(0, factor - 2)
  return members - 2 < confirmations ? { leastMs, mostMs: leastMs, confirmations: 0 } : { leastMs, mostMs: PATIENCE * leastMs, confirmations }
}

export class Suspicion {
  readonly #limits: SuspicionLimits
  readonly #from: NodeId[]
  #began: Instant

  constructor(limits: SuspicionLimits, began: Instant, from: NodeId) {
    this.#limits = limits
    this.#began = began
    this.#from = [from]
  }

  get endsAt(): Instant {
    const { leastMs, mostMs, confirmations } = this.#limits
    if (confirmations === 0) return (this.#began + leastMs) as Instant
    const share = Math.log(this.#from.length) / Math.log(confirmations + 1)
    return (this.#began + Math.max(leastMs, mostMs - share * (mostMs - leastMs))) as Instant
  }

  /** True where this is news worth passing on: one of the first few independent confirmations. */
  confirm(from: NodeId): boolean {
    if (this.#from.length > this.#limits.confirmations || this.#from.includes(from)) return false
    this.#from.push(from)
    return true
  }

  /** The process stood still for so long: that time does not count. */
  shift(ms: number): void {
    this.#began = (this.#began + ms) as Instant
  }

  clone(): Suspicion {
    const copy = new Suspicion(this.#limits, this.#began, this.#from[0]!)
    copy.#from.push(...this.#from.slice(1))
    return copy
  }
}
