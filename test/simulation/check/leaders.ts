//! I5: a term of a shard has at most one leader.

import type { ReplicaObservation } from '@horus/core/replica'
import type { NodeProcess } from '@horus/core/world/node'
import type { Checker, Report } from './checker.ts'

export class LeadersChecker implements Checker {
  readonly #report: Report
  readonly #leaders = new Map<string, string>()
  /** Shard to the node that led it last. */
  readonly latest = new Map<number, NodeProcess>()
  elections = 0

  constructor(report: Report) {
    this.#report = report
  }

  observed(node: NodeProcess, observation: ReplicaObservation): void {
    if (observation.kind !== 'leader') return
    const key = `${observation.shard}/${observation.term}`
    const leader = `${node.name} (replica ${observation.replica})`
    const known = this.#leaders.get(key)
    if (known !== undefined && known !== leader) this.#report.broken('I5', `shard ${observation.shard} has both ${known} and ${leader} as leaders of term ${observation.term}`)
    this.#leaders.set(key, leader)
    this.latest.set(observation.shard, node)
    this.elections++
  }
}
