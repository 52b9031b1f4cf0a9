//! Two clusters that meet stay two: no node of another cluster is ever master or learner here, and a node of ours never takes
//! another cluster's id.

import type { Identity, ReplicaObservation } from '@horus/core/replica'
import type { ClusterId, NodeId } from '@horus/core/units'
import type { NodeProcess } from '@horus/core/world/node'
import type { Checker, Report } from './checker.ts'

export class StrangersChecker implements Checker {
  readonly #report: Report
  readonly #strangers = new Set<NodeId>()
  #ours: ClusterId | undefined

  constructor(report: Report) {
    this.#report = report
  }

  /** What a node has said of itself; `stranger` is one that is not of ours. */
  identified(name: string, { nodeId, clusterId }: Identity, stranger: boolean): void {
    if (stranger) {
      this.#strangers.add(nodeId)
      if (clusterId !== undefined && clusterId === this.#ours) this.#report.broken('strangers', `${name} of another cluster has taken ours`)
      return
    }
    if (clusterId === undefined) return
    this.#ours ??= clusterId
    if (clusterId !== this.#ours) this.#report.broken('strangers', `${name} belongs to cluster ${clusterId}, others of the same founding to ${this.#ours}`)
  }

  observed(node: NodeProcess, observation: ReplicaObservation): void {
    if (observation.kind !== 'configured' || this.#strangers.size === 0) return
    for (const place of [...observation.voters, ...observation.learners]) {
      if (this.#strangers.has(place.node)) this.#report.broken('strangers', `${node.name} has a node of another cluster in the masters of shard ${observation.shard}`)
    }
  }
}
