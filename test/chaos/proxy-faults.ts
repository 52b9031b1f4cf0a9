//! Faults of links that the proxy makes.

import type { Random } from '@horus/core/random'
import type { Protocol } from './gate.ts'
import { type LinkFault, type LinkFaults, weighted } from './link-faults.ts'
import { CLIENTS, type Proxy } from './proxy.ts'

const ALL: readonly Protocol[] = ['tcp', 'udp']
const STREAMS: readonly Protocol[] = ['tcp']
const DELAY_MS_MAX = 400

/** From where to where. */
type Way = readonly [from: number, to: number]

export class ProxyFaults implements LinkFaults {
  readonly #proxy: Proxy
  readonly #nodes: number

  constructor(proxy: Proxy, nodes: number) {
    this.#proxy = proxy
    this.#nodes = nodes
  }

  draw(random: Random, node: number): LinkFault {
    const others = Array.from({ length: this.#nodes }, (_, other) => other).filter((other) => other !== node)
    const name = `node ${node + 1}`
    // Now and then its clients see it no more either, or still see it while the other nodes do not.
    const peers = random.chance(0.5) ? [...others, CLIENTS] : others
    const out = peers.map((peer): Way => [node, peer])
    const into = peers.map((peer): Way => [peer, node])
    switch (weighted(random, [['cut', 2], ['halfOpen', 3], ['partition', 2], ['oneWay', 2], ['delay', 1]] as const)) {
      case 'cut':
        return this.#cut(`all connections of ${name}`, (pipe) => pipe.source === node || pipe.target === node)
      case 'halfOpen': {
        if (random.chance(0.4)) {
          const other = random.pick(others)
          return this.#shut('halfOpens', `connections of ${name} and node ${other + 1} carry nothing`, STREAMS, [[node, other], [other, node]])
        }
        if (random.chance(0.3)) return this.#shut('halfOpens', `connections carry nothing to ${name}`, STREAMS, into)
        if (random.chance(0.4)) return this.#shut('halfOpens', `connections carry nothing from ${name}`, STREAMS, out)
        return this.#shut('halfOpens', `connections of ${name} carry nothing`, STREAMS, [...out, ...into])
      }
      case 'partition':
        return this.#shut('partitions', `${name} is alone`, ALL, [...out, ...into])
      case 'oneWay':
        return random.chance(0.5) ? this.#shut('oneWays', `${name} is not heard`, ALL, out) : this.#shut('oneWays', `${name} hears nothing`, ALL, into)
      case 'delay':
        return this.#delay(`all links of ${name} are slow`, random.between(20, DELAY_MS_MAX), [...out, ...into])
    }
  }

  drawForClients(random: Random): LinkFault | undefined {
    const pipes = this.#proxy.pipes().filter((pipe) => pipe.source === CLIENTS)
    if (pipes.length === 0) return undefined
    const victim = random.pick(pipes)
    const { target } = victim
    const name = `node ${target + 1}`
    switch (weighted(random, [['cut', 3], ['halfOpen', 2], ['delay', 1]] as const)) {
      case 'cut':
        return random.chance(0.5) ? this.#cut(`a client's connection to ${name}`, (pipe) => pipe === victim) : this.#cut(`clients' connections to ${name}`, (pipe) => pipe.source === CLIENTS && pipe.target === target)
      case 'halfOpen': {
        const ways: Way[] = random.chance(0.5) ? [[CLIENTS, target], [target, CLIENTS]] : [random.chance(0.5) ? [CLIENTS, target] : [target, CLIENTS]]
        return this.#shut('halfOpens', `clients' connections carry nothing ${ways.length === 2 ? 'to and from' : ways[0]![0] === CLIENTS ? 'to' : 'from'} ${name}`, STREAMS, ways)
      }
      case 'delay':
        return this.#delay(`clients' links to ${name} are slow`, random.between(20, DELAY_MS_MAX), [[CLIENTS, target], [target, CLIENTS]])
    }
  }

  close(): Promise<void> {
    return this.#proxy.close()
  }

  // ---- kinds ---------------------------------------------------------------------------------------------------------

  #cut(text: string, which: (pipe: ReturnType<Proxy['pipes']>[number]) => boolean): LinkFault {
    return {
      kind: 'cuts', text: `cut ${text}`,
      begin: () => {
        for (const pipe of this.#proxy.pipes()) if (which(pipe)) pipe.cut()
      },
      end: () => {},
    }
  }

  #shut(kind: LinkFault['kind'], text: string, protocols: readonly Protocol[], ways: readonly Way[]): LinkFault {
    const gates = ways.map(([from, to]) => this.#proxy.gate(from, to))
    return {
      kind, text,
      begin: () => {
        for (const gate of gates) gate.shut(protocols)
      },
      end: () => {
        for (const gate of gates) gate.open()
      },
    }
  }

  #delay(text: string, ms: number, ways: readonly Way[]): LinkFault {
    const gates = ways.map(([from, to]) => this.#proxy.gate(from, to))
    return {
      kind: 'delays', text: `${text}, ${ms} ms`,
      begin: () => {
        for (const gate of gates) gate.delayMs = ms
      },
      end: () => {
        for (const gate of gates) gate.open()
      },
    }
  }
}
