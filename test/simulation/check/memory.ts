//! What a copy has promised it knows after every start, or it counts as lost: the term, its vote there, and the entries that it
//! acknowledged. And a copy that was found doubtful promises nothing any more, and stays doubtful under its number.

import type { ReplicaObservation } from '@horus/core/replica'
import type { LogIndex, ReplicaNumber, ShardId, Term } from '@horus/core/units'
import type { NodeProcess } from '@horus/core/world/node'
import type { Checker, Report, Violation } from './checker.ts'

type Resumed = Extract<ReplicaObservation, { kind: 'resumed' }>
type Claimed = Extract<ReplicaObservation, { kind: 'claimed' }>

/** Of the newest term in which it claimed anything. */
interface Promised {
  readonly term: Term
  vote: ReplicaNumber | undefined
  match: LogIndex
}

interface Forgotten {
  readonly violation: Violation
  readonly isMember: boolean
}

export class MemoryChecker implements Checker {
  readonly #report: Report
  readonly #promised = new Map<string, Promised>()
  readonly #doubtful = new Set<string>()
  /** What the copies of each node had forgotten when they were found at its start: broken only if they may vote all the same. */
  readonly #forgotten = new Map<NodeProcess, readonly Forgotten[]>()

  constructor(report: Report) {
    this.#report = report
  }

  started(node: NodeProcess): void {
    this.#forgotten.delete(node)
  }

  observed(node: NodeProcess, observation: ReplicaObservation): void {
    switch (observation.kind) {
      case 'resumed':
        this.#resumed(node, observation)
        return
      case 'cleared':
        this.#cleared(node, this.#forgotten.get(node) ?? [])
        return
      case 'claimed':
        this.#claimed(node, observation)
    }
  }

  /** A copy that does not know yet who the masters are has nobody to ask and no vote: it is cleared once more when it has met one. */
  #cleared(node: NodeProcess, forgotten: readonly Forgotten[]): void {
    for (const { violation, isMember } of forgotten) if (isMember) this.#report.broken(violation.invariant, violation.text)
    this.#forgotten.set(node, forgotten.filter(({ isMember }) => !isMember).map(({ violation }) => ({ violation, isMember: true })))
  }

  #claimed(node: NodeProcess, { shard, replica, term, vote, match }: Claimed): void {
    const key = keyOf(node, shard, replica)
    if (this.#doubtful.has(key)) this.#report.broken('doubt', `replica ${replica} of shard ${shard} on ${node.name} was found doubtful, and has voted or acknowledged something`)
    const promised = this.#promised.get(key)
    if (promised === undefined || promised.term < term) this.#promised.set(key, { term, vote, match })
    else if (promised.term === term) {
      if (vote !== undefined && promised.vote !== undefined && vote !== promised.vote) this.#report.broken('I5', `replica ${replica} of shard ${shard} on ${node.name} has voted for replicas ${promised.vote} and ${vote} in term ${term}`)
      promised.vote ??= vote
      if (match > promised.match) promised.match = match
    }
  }

  #resumed(node: NodeProcess, resumed: Resumed): void {
    const key = keyOf(node, resumed.shard, resumed.replica)
    if (resumed.suspect) this.#doubtful.add(key)
    else {
      const who = `replica ${resumed.replica} of shard ${resumed.shard} on ${node.name}`
      const violation = this.#doubtful.has(key) ? { invariant: 'doubt', text: `${who} was found doubtful, and after another start it counts again` } : forgottenBy(who, resumed, this.#promised.get(key))
      if (violation !== undefined) this.#forgotten.set(node, [...(this.#forgotten.get(node) ?? []), { violation, isMember: resumed.isMember }])
    }
  }
}

/** A term that is higher than any promise says nothing about the log: a leader may have cut it. */
function forgottenBy(who: string, { term, vote, last }: Resumed, promised: Promised | undefined): Violation | undefined {
  if (promised === undefined || term > promised.term) return undefined
  if (term < promised.term) return { invariant: 'memory', text: `${who} counts after a start with term ${term}, and has promised something in term ${promised.term}` }
  if (promised.vote !== undefined && vote !== promised.vote) return { invariant: 'memory', text: `${who} counts after a start without its vote for replica ${promised.vote} in term ${term}` }
  return last < promised.match ? { invariant: 'memory', text: `${who} counts after a start with a log that ends at ${last}, and has acknowledged ${promised.match} in term ${term}` } : undefined
}

/** A change that is lost with its leader may have given a node the number that the next change gives to another. */
function keyOf(node: NodeProcess, shard: ShardId, replica: ReplicaNumber): string {
  return `${node.nodeId}/${shard}/${replica}`
}
