//! What the simulator runs: the replica and the client of core.

import { Client } from '@horus/core/client/client'
import { Replica } from '@horus/core/replica'
import type { Parts } from './cluster.ts'

export const PARTS: Parts = {
  replica: (options) => new Replica(options),
  client: (random, addresses) => new Client({ random, addresses }),
}
