//! Everything that is broken in a run, side by side: nodes, workers, publishers, and the links of clients.
//!
//!   nodes       one at a time, until all shards are whole again ── kill, stop, links, disk; all at once now and then
//!   workers     one at a time ── kill, stop for longer than a lease
//!   publishers  the same
//!   links       one at a time ── cut, carrying nothing, slow: between clients and a node
//!
//! Each draws from a generator of its own, so that a seed gives each the same sequence of faults, however they interleave.

import type { Random } from '@horus/core/random'
import { delay } from '@horus/node/local/until'
import { breakClients } from './client-faults.ts'
import type { Client } from './clients.ts'
import { noCounts, tellCounts } from './counts.ts'
import type { Inquiry } from './inquiry.ts'
import type { LinkFaults } from './link-faults.ts'
import { NodeFaults, type NodeFaultsOptions } from './node-faults.ts'
import { Pace } from './pace.ts'
import { LEASE_MS } from './settings.ts'

export interface FaultsOptions extends Omit<NodeFaultsOptions, 'pace' | 'counts'> {
  readonly clients: readonly Client[]
  readonly inquiry: Inquiry
  readonly show: (fraction: number, text: string) => void
}

const WORKER_REST_MS_MAX = 2000
const PUBLISHER_REST_MS_MAX = 4000
const LINK_REST_MS_MAX = 4000

export class Faults {
  readonly #options: FaultsOptions
  readonly counts = noCounts()
  /** Times that a cluster did not become whole again. */
  stuck = 0
  #nodes: NodeFaults | undefined

  constructor(options: FaultsOptions) {
    this.#options = options
  }

  get died(): number {
    return this.#nodes?.died ?? 0
  }

  async runFor(ms: number): Promise<void> {
    const { random, clients, inquiry, say, show, links } = this.#options
    const { counts } = this
    const pace = new Pace(ms, (fraction) => show(fraction, tellCounts(counts)))
    this.#nodes = new NodeFaults({ ...this.#options, random: random.fork(), pace, counts })
    const ofRole = (role: Client['role']): readonly Client[] => clients.filter((client) => client.role === role)
    const shared = { pace, counts, inquiry, say }
    await Promise.all([
      this.#nodes.run().catch((error: unknown) => {
        this.stuck++
        say((error as Error).message)
        pace.stop()
      }),
      breakClients({ ...shared, clients: ofRole('worker'), random: random.fork(), restMsMax: WORKER_REST_MS_MAX }),
      breakClients({ ...shared, clients: ofRole('publisher'), random: random.fork(), restMsMax: PUBLISHER_REST_MS_MAX }),
      ...(links === undefined ? [] : [this.#breakClientLinks(links, random.fork(), pace)]),
    ])
  }

  async #breakClientLinks(links: LinkFaults, random: Random, pace: Pace): Promise<void> {
    while (!pace.over) {
      await pace.rest(random, LINK_REST_MS_MAX)
      const fault = links.drawForClients(random)
      if (!fault) continue
      this.#options.say(fault.text)
      this.counts[fault.kind]++
      await fault.begin()
      await delay(LEASE_MS * (0.2 + 1.5 * random.fraction()))
      await fault.end()
    }
  }
}
