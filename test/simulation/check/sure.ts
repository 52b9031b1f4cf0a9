//! I8, from the leader's side: a leader that is sure of its lead gives workers its lease clock and sends them leases. It must be
//! so for no longer than the lease clock of whoever was elected after it stands still, at rest as well as under load.

import type { LedSurely, ReplicaObservation } from '@horus/core/replica'
import { defaultMasterSettings } from '@horus/core/master/settings'
import type { ShardId, Term } from '@horus/core/units'
import type { NodeProcess } from '@horus/core/world/node'
import type { Checker, Report } from './checker.ts'

export class SureChecker implements Checker {
  readonly #report: Report
  readonly #now: () => number
  readonly #stallMs: number
  /** Of each shard its elections, in the order of their terms. */
  readonly #elections = new Map<ShardId, { readonly term: Term; readonly at: number }[]>()

  constructor(report: Report, driftMax: number, now: () => number) {
    this.#report = report
    this.#now = now
    this.#stallMs = defaultMasterSettings.leaseStallMs / (1 + driftMax)
  }

  observed(_node: NodeProcess, observation: ReplicaObservation): void {
    if (observation.kind !== 'leader') return
    const elections = this.#elections.get(observation.shard) ?? []
    elections.push({ term: observation.term, at: this.#now() })
    this.#elections.set(observation.shard, elections.sort((a, b) => a.term - b.term))
  }

  /** What a node would say of itself now. */
  claims(node: string, claims: readonly LedSurely[]): void {
    for (const { shard, term } of claims) {
      const next = this.#elections.get(shard)?.find((election) => election.term > term)
      const agoMs = next === undefined ? 0 : this.#now() - next.at
      if (agoMs > this.#stallMs) this.#report.broken('I8', `${node} is sure that it leads shard ${shard} in term ${term}, ${agoMs} ms after another was elected in term ${next!.term}`)
    }
  }
}
