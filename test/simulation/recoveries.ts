//! What an operator does when two of three masters are lost for ever: at each node that has the last copy of a shard the very reading and
//! deciding that `horus recover` does. And what is known of who comes back though it was declared destroyed.

import { Random } from '@horus/core/random'
import type { ReplicaObservation } from '@horus/core/replica'
import { type CopyFinding, decisionOf, remainingOf, Salvage } from '@horus/core/replica/salvage'
import { type Epoch, type Instant, type NodeId, REGISTRY_SHARD, type ShardId, type WallTime } from '@horus/core/units'
import type { NodeProcess } from '@horus/core/world/node'
import type { Report } from './check/checker.ts'
import type { CommittedLog } from './check/committed.ts'
import type { RecoveryChecker } from './check/recovery.ts'

type Configured = Extract<ReplicaObservation, { kind: 'configured' }>

export class Recoveries {
  readonly #log: CommittedLog
  readonly #checker: RecoveryChecker
  readonly #report: Report
  /** The newest configuration that each node's copy of a shard has, committed or not. */
  readonly #known = new Map<NodeProcess, Map<ShardId, Configured>>()
  readonly #returned = new Set<NodeProcess>()
  /** Every set of masters that the registry ever had. */
  readonly #registries = new Map<string, readonly NodeId[]>()

  constructor(log: CommittedLog, checker: RecoveryChecker, report: Report) {
    this.#log = log
    this.#checker = checker
    this.#report = report
  }

  observed(node: NodeProcess, observation: ReplicaObservation): void {
    if (observation.kind !== 'configured') return
    if (observation.shard === REGISTRY_SHARD) {
      for (const set of [observation.voters, observation.outgoing ?? observation.voters]) this.#registries.set(set.map((voter) => voter.node).sort().join(), set.map((voter) => voter.node))
    }
    let known = this.#known.get(node)
    if (known === undefined) this.#known.set(node, (known = new Map()))
    known.set(observation.shard, observation)
  }

  /** Two masters of a shard; none while there is nothing to lose. */
  choose(random: Random): readonly NodeId[] {
    const { configurations } = this.#log
    if (configurations.size === 0) return []
    const { voters } = configurations.get(random.pick([...configurations.keys()]))!
    if (voters.length < 3) return []
    const spared = random.pick(voters)
    return voters.filter((voter) => voter !== spared).map(({ node }) => node)
  }

  /** Whether everybody is there, and whoever is left of any shard without a quorum knows that it is. */
  bears(lost: readonly NodeId[], nodes: readonly NodeProcess[], nodeOf: (id: NodeId) => NodeProcess | undefined): boolean {
    if (nodes.some((node) => node.state !== 'up' || node.identified?.clusterId === undefined)) return false
    for (const { shard, voters: all, outgoing, epoch } of this.#log.configurations.values()) {
      const left = all.filter(({ node }) => !lost.includes(node))
      if (outgoing !== undefined || left.length === 0) return false
      // A change that is under way, or one that the last copy has not heard of, would leave it in doubt who else is a master.
      if (left.length * 2 <= all.length && !left.every(({ node }) => this.#knows(nodeOf(node), shard, epoch))) return false
      if ([...this.#known.values()].some((known) => (known.get(shard)?.epoch ?? 0) > epoch)) return false
    }
    return true
  }

  #knows(node: NodeProcess | undefined, shard: ShardId, epoch: Epoch): boolean {
    return node !== undefined && this.#known.get(node)?.get(shard)?.epoch === epoch
  }

  /** Returns the nodes at which something was recovered; they are down. */
  recover(lost: readonly NodeId[], nodes: readonly NodeProcess[], idOf: (node: NodeProcess) => NodeId | undefined): readonly NodeProcess[] {
    const orphaned = [...this.#log.configurations.values()].filter(({ voters }) => voters.filter(({ node }) => lost.includes(node)).length * 2 >= voters.length)
    const stopped: NodeProcess[] = []
    for (const node of nodes) {
      const id = idOf(node)
      const shards = orphaned.filter(({ voters }) => voters.some((voter) => voter.node === id && !lost.includes(voter.node))).map(({ shard }) => shard)
      if (id === undefined || shards.length === 0) continue
      node.restartAfterMs = undefined
      node.crash('killed')
      stopped.push(node)
      const decided = decideAt(node, lost)
      for (const shard of shards) {
        if (typeof decided === 'string') this.#report.broken('recovery', `${node.name} has the last copy of shard ${shard}, and the operator is told: ${decided}`)
        else if (!decided.chosen.some((copy) => copy.shard === shard)) this.#report.broken('recovery', `${node.name} has the last copy of shard ${shard}, and it cannot be recovered: ${JSON.stringify(decided.copies.find((copy) => copy.shard === shard))}`)
        else this.#checker.decided(shard)
      }
    }
    return stopped
  }

  returns(node: NodeProcess): void {
    this.#returned.add(node)
  }

  mayEnd(node: NodeProcess): boolean {
    return this.#returned.has(node)
  }

  mayBeAlone(nodes: readonly NodeId[]): boolean {
    return [...this.#registries.values()].every((voters) => voters.filter((node) => nodes.includes(node)).length * 2 < voters.length)
  }

  foundOut(nodes: readonly NodeProcess[]): void {
    for (const node of nodes) {
      if (node.running) this.#report.broken('recovery', `${node.name} was declared destroyed, has come back, and still runs`)
      this.#returned.delete(node)
    }
  }
}

interface Decided {
  readonly copies: readonly CopyFinding[]
  readonly chosen: readonly CopyFinding[]
}

/** What the command does, on a disk that answers at once; a reason where it cannot. */
function decideAt(node: NodeProcess, destroyed: readonly NodeId[]): Decided | string {
  const { disk } = node
  const salvage = new Salvage({ random: new Random(node.index, 0x5a1) })
  const now = { monotonic: 0 as Instant, wall: 0 as WallTime }
  const answers: (() => void)[] = []
  let outcome: Decided | string = 'nothing was said'
  const outbox: Parameters<Salvage['receive']>[2] = {
    device: (request) => {
      const answer = disk.execute(request)
      answers.push(() => {
        disk.complete(request)
        salvage.receive(now, { kind: 'device', answer }, outbox)
      })
    },
    found: ({ copies }) => {
      const chosen = copies.filter((copy) => copy.obstacle === undefined && remainingOf(copy, destroyed).length === 0)
      outcome = { copies, chosen }
      if (chosen.length > 0) salvage.receive(now, { kind: 'decide', decision: decisionOf(chosen, destroyed) }, outbox)
    },
    decided: () => {},
    failed: (reason) => {
      outcome = reason
    },
  }
  salvage.receive(now, { kind: 'start' }, outbox)
  for (let answer = answers.shift(); answer !== undefined; answer = answers.shift()) answer()
  return outcome
}
