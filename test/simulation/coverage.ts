//! Which fault hit whom, and when: every fault of the catalogue by the role of its victim and by what the cluster was about.
//!
//!   fault 'crash' ─▶ of a leader, a follower, a learner, a bystander or a client
//!                 ─▶ while it was forming, changing masters, filling a learner, without a leader, or at rest
//!
//! Where several phases hold at once the rarest counts. What is not observed (a vote under way) belongs to none of them.

import type { ReplicaObservation } from '@horus/core/replica'
import type { NodeId, ShardId } from '@horus/core/units'
import { ClientProcess } from '@horus/core/world/client'
import type { NodeProcess } from '@horus/core/world/node'
import type { Process } from '@horus/core/world/process'

const ROLES = ['leader', 'follower', 'learner', 'bystander', 'client'] as const
export type Role = (typeof ROLES)[number]
const PHASES = ['forming', 'joint change', 'catching up', 'election', 'steady'] as const
export type Phase = (typeof PHASES)[number]

type Configured = Extract<ReplicaObservation, { kind: 'configured' }>

/** What the watcher of the cluster knows. */
export interface Known {
  /** Who won the newest term of each shard. */
  readonly leaders: ReadonlyMap<number, NodeProcess>
  identityOf(node: NodeProcess): NodeId | undefined
}

export class FaultCoverage {
  readonly #known: Known
  /** The newest of each shard, committed or not. */
  readonly #configurations = new Map<ShardId, Configured>()
  readonly #counts = new Map<string, number[]>()

  constructor(known: Known) {
    this.#known = known
  }

  observed(observation: ReplicaObservation): void {
    if (observation.kind !== 'configured') return
    const newest = this.#configurations.get(observation.shard)
    if (newest === undefined || observation.epoch >= newest.epoch) this.#configurations.set(observation.shard, observation)
  }

  struck(process: Process, fault: string): void {
    let counts = this.#counts.get(fault)
    if (counts === undefined) this.#counts.set(fault, (counts = new Array<number>(ROLES.length * PHASES.length).fill(0)))
    const at = ROLES.indexOf(this.roleOf(process)) * PHASES.length + PHASES.indexOf(this.phaseWithout(process))
    counts[at]!++
  }

  /** `fault name/role/phase` and how often, but for what never was. */
  *entries(): IterableIterator<[string, number]> {
    for (const [fault, counts] of this.#counts) {
      for (let at = 0; at < counts.length; at++) {
        if (counts[at]! > 0) yield [`fault ${fault}/${ROLES[Math.floor(at / PHASES.length)]!}/${PHASES[at % PHASES.length]!}`, counts[at]!]
      }
    }
  }

  /** The highest of its roles, where it has several. */
  roleOf(process: Process): Role {
    if (process instanceof ClientProcess) return 'client'
    for (const leader of this.#known.leaders.values()) if (leader === process) return 'leader'
    const id = this.#known.identityOf(process as NodeProcess)
    if (id === undefined) return 'bystander'
    let role: Role = 'bystander'
    for (const { voters, learners } of this.#configurations.values()) {
      if (voters.some((place) => place.node === id)) return 'follower'
      if (learners.some((place) => place.node === id)) role = 'learner'
    }
    return role
  }

  /** What the cluster was about before the fault hit `struck`: whether that one lives now says nothing. */
  phaseWithout(struck: Process): Phase {
    const { leaders } = this.#known
    if (leaders.size === 0) return 'forming'
    let catchingUp = false
    for (const { outgoing, learners } of this.#configurations.values()) {
      if (outgoing !== undefined) return 'joint change'
      if (learners.length > 0) catchingUp = true
    }
    if (catchingUp) return 'catching up'
    for (const leader of leaders.values()) if (leader !== struck && leader.state !== 'up') return 'election'
    return 'steady'
  }
}
