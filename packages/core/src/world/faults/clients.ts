//! Faults of clients: processes of users that die.

import type { Random } from '../../random.ts'
import type { Process } from '../process.ts'
import { type FaultSource, type Hands, NOBODY, type Strike } from './source.ts'
import { every } from './swarm.ts'

export interface ClientsPlan {
  readonly clientCrashEveryMs: number
}

export const NO_CLIENT_FAULTS: ClientsPlan = { clientCrashEveryMs: 0 }

const CLIENT_DOWN_MS_MAX = 3000

export function drawClients(random: Random): ClientsPlan {
  return { clientCrashEveryMs: every(random, 0.4, 3000, 20_000) }
}

export class ClientFaults implements FaultSource {
  readonly strikes: readonly Strike[]
  readonly #hands: Hands

  constructor(hands: Hands, plan: ClientsPlan) {
    this.#hands = hands
    this.strikes = [{ name: 'clientCrash', everyMs: plan.clientCrashEveryMs, hit: (random) => this.#crash(random) }]
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
