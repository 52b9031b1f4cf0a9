//! Faults of clients: users whose processes die, that read late, repeat themselves, send garbage, are careless with their leases, and all
//! at once have nothing to do.

import type { Random } from '../../random.ts'
import type { Process } from '../process.ts'
import { type FaultSource, type Hands, NOBODY, type Strike } from './source.ts'
import { every } from './swarm.ts'

export interface ClientsPlan {
  readonly clientCrashEveryMs: number
  /** A client that takes nothing from one of its connections for a time. */
  readonly slowReadEveryMs: number
  readonly slowReadMsMax: number
  /** What a node's host keeps for such a client, in bytes; then it closes the connection. */
  readonly slowReadBytesMax: number
  /** A client that says once more what it has said before. */
  readonly repeatEveryMs: number
  /** A client of its own that sends bytes that are no message, and messages that make no sense. */
  readonly garbageEveryMs: number
  /** Part of the leases that a worker does not simply complete: it fails them, falls silent, completes under a token that is stale. */
  readonly staleTokenChance: number
  /** Nobody adds anything for a time. */
  readonly lullEveryMs: number
  readonly lullMsMax: number
}

export const NO_CLIENT_FAULTS: ClientsPlan = { clientCrashEveryMs: 0, slowReadEveryMs: 0, slowReadMsMax: 0, slowReadBytesMax: Infinity, repeatEveryMs: 0, garbageEveryMs: 0, staleTokenChance: 0, lullEveryMs: 0, lullMsMax: 0 }

const CLIENT_DOWN_MS_MAX = 3000

export function drawClients(random: Random): ClientsPlan {
  return {
    clientCrashEveryMs: every(random, 0.4, 3000, 20_000),
    slowReadEveryMs: every(random, 0.3, 1000, 10_000),
    slowReadMsMax: random.between(500, 8000),
    slowReadBytesMax: random.pick([256 * 1024, 1024 * 1024]),
    repeatEveryMs: every(random, 0.3, 50, 1000),
    garbageEveryMs: every(random, 0.25, 20, 1000),
    staleTokenChance: random.pick([0, 0.1, 0.4]),
    lullEveryMs: every(random, 0.25, 3000, 10_000),
    lullMsMax: random.between(3000, 10_000),
  }
}

export class ClientFaults implements FaultSource {
  readonly strikes: readonly Strike[]
  readonly #hands: Hands
  readonly #plan: ClientsPlan

  constructor(hands: Hands, plan: ClientsPlan) {
    this.#hands = hands
    this.#plan = plan
    this.strikes = [
      { name: 'clientCrash', everyMs: plan.clientCrashEveryMs, hit: (random) => this.#crash(random) },
      { name: 'slowRead', everyMs: plan.slowReadEveryMs, hit: (random) => this.#readLate(random) },
      { name: 'repeat', everyMs: plan.repeatEveryMs, hit: (random) => this.#repeat(random) },
      { name: 'lull', everyMs: plan.lullEveryMs, hit: (random) => hands.guard.lull(random.fraction() * plan.lullMsMax) },
    ]
  }

  begin(): void {
    this.#hands.world.network.clientBytesMax = this.#plan.slowReadEveryMs > 0 ? this.#plan.slowReadBytesMax : Infinity
  }

  heal(): void {
    this.#hands.world.network.clientBytesMax = Infinity
  }

  #readLate(random: Random): readonly Process[] {
    const { network } = this.#hands.world
    const links = network.standing().filter((link) => link.between === 'client' && link.acceptor !== undefined)
    if (links.length === 0) return NOBODY
    const link = random.pick(links)
    network.readLate(link, random.fraction() * this.#plan.slowReadMsMax)
    return [link.dialler.process]
  }

  #repeat(random: Random): readonly Process[] {
    const { clients } = this.#hands
    if (clients.length === 0) return NOBODY
    const client = random.pick(clients)
    return client.repeat(random) ? [client] : NOBODY
  }

  #crash(random: Random): readonly Process[] {
    const { clients } = this.#hands
    if (clients.length === 0) return NOBODY
    const client = random.pick(clients)
    client.restartAfterMs = random.fraction() * CLIENT_DOWN_MS_MAX
    client.crash()
    return [client]
  }
}
