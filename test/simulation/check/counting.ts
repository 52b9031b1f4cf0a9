//! The rule that keeps a committed entry for ever (Raft 5.4.2): a leader counts a quorum only for entries of its own term, and those
//! of earlier terms are committed by them. What comes of a breach needs a rare order of falls to show as two different logs; the
//! breach itself shows at once.

import type { ReplicaObservation } from '@horus/core/replica'
import type { NodeProcess } from '@horus/core/world/node'
import type { Checker, Report } from './checker.ts'

export class CountingChecker implements Checker {
  readonly #report: Report

  constructor(report: Report) {
    this.#report = report
  }

  observed(node: NodeProcess, observation: ReplicaObservation): void {
    if (observation.kind !== 'committed' || observation.entryTerm === observation.term) return
    this.#report.broken('I4', `${node.name} leads shard ${observation.shard} in term ${observation.term} and counts a quorum for entry ${observation.index}, which is of term ${observation.entryTerm}`)
  }
}
