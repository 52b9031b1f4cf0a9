//! What the users of one run share: what they know for certain, where the cluster is, and how wild they may be.

import type { Actor } from '@horus/core/actor'
import type { ClientInput, ClientOutbox } from '@horus/core/client/api'
import type { Random } from '@horus/core/random'
import type { Address } from '@horus/core/units'
import type { History } from './history.ts'

export type MakeClient = (random: Random, seeds: readonly Address[]) => Actor<ClientInput, ClientOutbox>

export interface Topic {
  readonly name: string
  readonly partitions: number
}

export interface Workload {
  readonly topics: readonly Topic[]
  /** Where jobs of those topics go when they are dead; users add nothing to it themselves. */
  readonly deadLetter: Topic | undefined
  /** Mean time between two adds of one publisher. */
  readonly addEveryMs: number
  readonly batchMax: number
  readonly keyChance: number
  readonly optionsChance: number
  readonly payloadMax: number
  readonly leaseMs: number
  readonly concurrency: number
  /** How long a worker takes for a job. */
  readonly workMsMax: number
  /** Part of the leases that a worker does not simply complete. */
  readonly mischief: number
  readonly timeoutMs: number
  /** Scheduled and retrying jobs come back within the run, since no wall clock is far off. */
  readonly wallTrusted: boolean
}

export interface Scene {
  readonly history: History
  readonly workload: Workload
  readonly seeds: readonly Address[]
  readonly makeClient: MakeClient
  /** The faults are over: users stop making new work and finish what there is. */
  calm: boolean
  /** Nobody adds anything for now, so that shards come to rest. */
  lull: boolean
  /** Calm, and every publisher has its answers: nothing is added any more. */
  quiet: boolean
  /** What a user does that is in the catalogue of faults. */
  readonly struck: (fault: string, client: string) => void
}
