//! How good the network is at the moment: delays, losses, and which process does not reach which. The faults turn these
//! knobs; the network asks.

import type { Random } from '../random.ts'
import { quantize } from './clock.ts'

export interface NetworkSettings {
  readonly delayMsMin: number
  readonly delayMsMax: number
  /** Of datagrams; links never lose anything while they stand, except for an adversary. */
  readonly lossChance: number
  readonly duplicateChance: number
  /** A delay that is now and then much longer. */
  readonly spikeChance: number
  readonly spikeMsMax: number
  /** Single messages of a link between nodes lost, doubled or out of order: worse than TCP, as bad as consensus must bear. */
  readonly adversaryChance: number
  /** Only messages with a first byte from here on and below are hit: what counts on the order of a link is left alone. */
  readonly adversaryTagMin: number
  readonly adversaryTagMax: number
}

export const QUIET_NETWORK: NetworkSettings = { delayMsMin: 0.1, delayMsMax: 0.5, lossChance: 0, duplicateChance: 0, spikeChance: 0, spikeMsMax: 0, adversaryChance: 0, adversaryTagMin: 0, adversaryTagMax: 255 }

/** More processes than any world has, so that a pair makes one number. */
const PROCESSES_MAX = 65_536

export class NetworkConditions {
  settings: NetworkSettings
  /** Delays that were spikes. */
  spikes = 0
  readonly #random: Random
  /** (from, to) to the time at which the way is free again. */
  readonly #blockedUntil = new Map<number, number>()

  constructor(settings: NetworkSettings, random: Random) {
    this.settings = settings
    this.#random = random
  }

  delay(): number {
    const { delayMsMin, delayMsMax, spikeChance, spikeMsMax } = this.settings
    let ms = delayMsMin + this.#random.fraction() * (delayMsMax - delayMsMin)
    if (spikeChance > 0 && this.#random.chance(spikeChance)) {
      ms += this.#random.fraction() * spikeMsMax
      this.spikes++
    }
    return quantize(ms)
  }

  lost(): boolean {
    return this.settings.lossChance > 0 && this.#random.chance(this.settings.lossChance)
  }

  duplicated(): boolean {
    return this.settings.duplicateChance > 0 && this.#random.chance(this.settings.duplicateChance)
  }

  /** What happens to one message of a link. */
  adversary(tag: number): 'none' | 'lose' | 'double' | 'reorder' {
    const { adversaryChance, adversaryTagMin, adversaryTagMax } = this.settings
    if (adversaryChance === 0 || tag < adversaryTagMin || tag > adversaryTagMax || !this.#random.chance(adversaryChance)) return 'none'
    return ADVERSITIES[this.#random.below(ADVERSITIES.length)]!
  }

  /** Nothing sent by `from` arrives at `to` before `until`; one direction only. */
  block(from: number, to: number, until: number): void {
    const key = from * PROCESSES_MAX + to
    this.#blockedUntil.set(key, Math.max(until, this.#blockedUntil.get(key) ?? 0))
  }

  blockedUntil(from: number, to: number): number {
    return this.#blockedUntil.size === 0 ? 0 : this.#blockedUntil.get(from * PROCESSES_MAX + to) ?? 0
  }

  heal(): void {
    this.#blockedUntil.clear()
  }
}

const ADVERSITIES = ['lose', 'double', 'reorder'] as const
