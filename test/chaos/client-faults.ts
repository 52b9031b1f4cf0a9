//! Kills and stops workers and publishers, one of a role at a time.

import type { Random } from '@horus/core/random'
import { delay } from '@horus/node/local/until'
import type { Client } from './clients.ts'
import type { Counts } from './counts.ts'
import type { Inquiry } from './inquiry.ts'
import type { Pace } from './pace.ts'
import { LEASE_MS } from './settings.ts'

const BACK_MS_MAX = 1000

export interface ClientFaultsOptions {
  readonly clients: readonly Client[]
  readonly random: Random
  readonly pace: Pace
  readonly counts: Counts
  readonly inquiry: Inquiry
  readonly say: (text: string) => void
  /** Between two faults, at the most. */
  readonly restMsMax: number
}

export async function breakClients({ clients, random, pace, counts, inquiry, say, restMsMax }: ClientFaultsOptions): Promise<void> {
  while (!pace.over) {
    await pace.rest(random, restMsMax)
    const client = random.pick(clients)
    if (random.chance(0.5)) {
      say(`stop ${client.name}`)
      counts.pauses++
      client.child.pause()
      await delay(LEASE_MS * (1.2 + random.fraction()))
      client.child.resume()
    } else {
      say(`kill -9 ${client.name}`)
      counts.kills++
      const { name } = client
      await client.child.kill()
      if (client.role === 'worker') inquiry.follow(name)
      await pace.rest(random, BACK_MS_MAX)
      counts.restarts++
      client.start()
    }
  }
}
