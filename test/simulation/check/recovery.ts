//! Recovery by force loses what only the lost masters had, and no more; and from then on nobody of before has a say:
//!
//!   nothing that the last copy had acknowledged, of what was committed, is lost
//!   a recovered shard is led only once an entry of the registry has confirmed its epoch
//!   nobody leads in an earlier epoch, nor commits anything

import { isRegistryTag, registryLogTable } from '@horus/core/message/registry'
import type { ReplicaObservation } from '@horus/core/replica'
import { type LogIndex, REGISTRY_SHARD, type ShardId, type Term } from '@horus/core/units'
import type { NodeProcess } from '@horus/core/world/node'
import type { Checker, Report } from './checker.ts'
import type { CommittedLog, Recovery } from './committed.ts'

/** Terms of one recovery epoch (docs/decisions/recovery.md). */
const TERMS_SPAN = 2 ** 32
const epochOf = (term: Term): number => Math.floor(term / TERMS_SPAN)

interface Claim {
  readonly term: Term
  readonly match: LogIndex
}

export class RecoveryChecker implements Checker {
  readonly #report: Report
  /** `node/shard/replica` to what it acknowledged, the most in each term. */
  readonly #claims = new Map<string, Map<Term, LogIndex>>()
  /** By shard, how far which term's leader had committed, in the order in which it came. */
  readonly #commits = new Map<ShardId, Claim[]>()
  readonly #confirmed = new Map<ShardId, number>()
  readonly #epochs = new Map<ShardId, number>()
  /** Decided, and not led again. */
  readonly #waiting = new Set<ShardId>()
  recoveries = 0

  constructor(report: Report, log: CommittedLog) {
    this.#report = report
    log.onRecovery((recovery) => this.#recovered(recovery))
  }

  decided(shard: ShardId): void {
    this.#waiting.add(shard)
  }

  get isOver(): boolean {
    return this.#waiting.size === 0
  }

  observed(node: NodeProcess, observation: ReplicaObservation): void {
    switch (observation.kind) {
      case 'claimed': {
        const key = `${node.name}/${observation.shard}/${observation.replica}`
        let claims = this.#claims.get(key)
        if (claims === undefined) this.#claims.set(key, (claims = new Map()))
        if (observation.match > (claims.get(observation.term) ?? 0)) claims.set(observation.term, observation.match)
        return
      }
      case 'applied':
        if (observation.shard === REGISTRY_SHARD && isRegistryTag(observation.entry[0]!)) this.#registry(observation.entry)
        return
      case 'committed':
        this.#committed(node, observation)
        return
      case 'leader':
        this.#leads(node, observation)
        return
      default:
    }
  }

  #registry(entry: Uint8Array): void {
    const decoded = registryLogTable.decode(entry)
    if (decoded.kind === 'shardRecovered') this.#confirmed.set(decoded.shard, Math.max(decoded.recovery, this.#confirmed.get(decoded.shard) ?? 0))
  }

  #committed(node: NodeProcess, { shard, index, term }: Extract<ReplicaObservation, { kind: 'committed' }>): void {
    const epoch = this.#epochs.get(shard) ?? 0
    if (epochOf(term) < epoch) this.#report.broken('recovery', `${node.name} commits entry ${index} of shard ${shard} in term ${term}, though that was recovered ${epoch} times`)
    const commits = this.#commits.get(shard)
    if (commits === undefined) this.#commits.set(shard, [{ term, match: index }])
    else commits.push({ term, match: index })
  }

  #leads(node: NodeProcess, { shard, term }: Extract<ReplicaObservation, { kind: 'leader' }>): void {
    const epoch = this.#epochs.get(shard) ?? 0
    if (epochOf(term) < epoch) this.#report.broken('recovery', `${node.name} leads shard ${shard} in term ${term}, though that was recovered ${epoch} times`)
    if (shard !== REGISTRY_SHARD && epochOf(term) > (this.#confirmed.get(shard) ?? 0)) this.#report.broken('recovery', `${node.name} leads shard ${shard} in recovery epoch ${epochOf(term)}, which the registry has not confirmed`)
    if (epochOf(term) > 0) this.#waiting.delete(shard)
  }

  #recovered({ shard, node, replica, lost }: Recovery): void {
    this.recoveries++
    this.#epochs.set(shard, (this.#epochs.get(shard) ?? 0) + 1)
    const claims = [...(this.#claims.get(`${node.name}/${shard}/${replica}`) ?? [])]
    for (const index of lost) {
      // Whoever agrees with a leader of the term in which it was committed, or a later one, through this entry has it on its disk.
      const committed = this.#commits.get(shard)?.find(({ match }) => match >= index)
      if (committed === undefined) continue
      const claim = claims.find(([term, match]) => term >= committed.term && match >= index)
      if (claim !== undefined) this.#report.broken('recovery', `entry ${index} of shard ${shard} is lost, and ${node.name}, from which that was recovered, had acknowledged it in term ${claim[0]}`)
    }
    // What is told of the log from now on has other indexes.
    this.#commits.delete(shard)
  }
}
