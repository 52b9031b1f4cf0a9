//! I11: what a node keeps for its clients has bounds, whatever they say: no more than the connections that stand, the sessions that
//! are open, and a fixed number of unconfirmed batches a session. What it keeps for one that does not read the world bounds itself.

import { PARKED_BYTES_MAX } from '@horus/core/lead/parked'
import { EXPECTED_PER_SESSION_MAX } from '@horus/core/lead/receipts'
import type { ReplicaLoad } from '@horus/core/replica'
import type { Report } from './checker.ts'

/** A node as far as its memory is looked at. */
export interface Loaded {
  readonly name: string
  readonly clientCount: number
  readonly actor: { readonly load?: ReplicaLoad } | undefined
}

export function checkBounds(nodes: readonly Loaded[], report: Report): void {
  for (const { name, clientCount, actor } of nodes) {
    const load = actor?.load
    if (load === undefined) continue
    if (load.connections > clientCount) report.broken('I11', `${name} remembers ${load.connections} connections of clients, and ${clientCount} stand`)
    for (const { shard, sessions, presences, expected, parkedBytes } of load.led) {
      if (presences > sessions) report.broken('I11', `${name} remembers where ${presences} sessions of shard ${shard} are, and ${sessions} are open`)
      if (expected > EXPECTED_PER_SESSION_MAX) report.broken('I11', `${name} waits for word of ${expected} batches of one session of shard ${shard}`)
      if (parkedBytes > PARKED_BYTES_MAX) report.broken('I11', `${name} keeps ${parkedBytes} bytes for shard ${shard} until it leads that`)
    }
  }
}
