//! Keeps the damage to disks within what is promised: never on two nodes at a time, and never beside a master whose disk was
//! lost and that is not replaced yet. And it knows when a node may end itself: when its disk has failed it, and then it must.

import type { ReplicaObservation } from '@horus/core/replica'
import type { NodeId, ReplicaNumber, ShardId } from '@horus/core/units'
import type { NodeProcess } from '@horus/core/world/node'
import type { Report } from './check/checker.ts'
import type { CommittedLog } from './check/committed.ts'

interface Doubted {
  readonly node: NodeProcess
  readonly id: NodeId | undefined
  readonly shard: ShardId
  readonly replica: ReplicaNumber
}

/** A slow disk answers late, and a node may stand still. */
const FAILED_WRITE_MS_MAX = 10_000

export class DiskGuard {
  readonly #log: CommittedLog
  /** Identities whose disk is lost: as long as one of them is a master by a committed configuration, no second disk may go. */
  readonly #destroyed = new Set<NodeId>()
  readonly #identities = new Map<NodeProcess, NodeId>()
  readonly #damaged: { readonly node: NodeProcess; readonly lasts: () => boolean }[] = []
  readonly #doubted: Doubted[] = []
  /** Nodes whose disks have forgotten something. */
  readonly #forgetful = new Set<NodeProcess>()
  readonly #failed = new Map<NodeProcess, { readonly run: number; readonly writes: number; since: number | undefined }>()

  constructor(log: CommittedLog) {
    this.#log = log
  }

  /** A node that comes back under another identity has given up what it held. */
  identified(node: NodeProcess, id: NodeId): void {
    const before = this.#identities.get(node)
    if (before !== undefined && before !== id) this.#destroyed.add(before)
    // One that comes back with an old copy of its disk is given new numbers, or found out.
    this.#destroyed.delete(id)
    this.#identities.set(node, id)
  }

  /** Identities that nobody has any more. */
  get destroyed(): ReadonlySet<NodeId> {
    return this.#destroyed
  }

  /** The newest one that it has told; nodes that lie dead keep it. */
  identityOf(node: NodeProcess): NodeId | undefined {
    return this.#identities.get(node)
  }

  observed(node: NodeProcess, observation: ReplicaObservation): void {
    if (observation.kind === 'doubted') this.#doubted.push({ node, id: this.#identities.get(node), shard: observation.shard, replica: observation.replica })
  }

  mayWipe(node: NodeProcess): boolean {
    return this.#isWhole(undefined) && this.#identities.has(node) && !this.#othersDamaged(node)
  }

  wiped(node: NodeProcess): void {
    const id = this.#identities.get(node)
    if (id !== undefined) this.#destroyed.add(id)
  }

  mayDamage(node: NodeProcess): boolean {
    const id = this.#identities.get(node)
    return id !== undefined && this.#isWhole(id) && !this.#othersDamaged(node)
  }

  damaged(node: NodeProcess, lasts: () => boolean): void {
    this.#damaged.push({ node, lasts })
  }

  /** No change of masters is under way that still counts on somebody who has nothing yet. */
  mayForget(node: NodeProcess): boolean {
    return this.#identities.has(node) && this.#isWhole(undefined)
  }

  forgets(node: NodeProcess): void {
    this.#forgetful.add(node)
  }

  /** Its disk has forgotten something, or what stands there is damaged: an entry that no other master has may be lost with it. */
  mayEnd(node: NodeProcess): boolean {
    return this.#forgetful.has(node) || this.#damaged.some((each) => each.node === node && each.lasts())
  }

  /** Whether every shard still has a majority without this node, however the damage that is still there comes to light. */
  isDispensable(node: NodeProcess): boolean {
    const id = this.#identities.get(node)
    // A doubted copy is made anew where it is, or there may be nobody who takes its place.
    if (id === undefined || this.#othersDamaged(node) || this.#doubted.some((each) => this.#counts(each))) return false
    const dead = new Set<NodeId>([id, ...this.#destroyed])
    for (const { voters, outgoing } of this.#log.configurations.values()) {
      // Who was lost has to be made anew, perhaps just there.
      if (voters.some((member) => this.#destroyed.has(member.node))) return false
      for (const set of outgoing === undefined ? [voters] : [voters, outgoing]) {
        if (set.filter((member) => !dead.has(member.node)).length * 2 <= set.length) return false
      }
    }
    return true
  }

  /** A node whose flush failed has ended itself: nobody can tell what of its writes will be on the disk. */
  audit(now: number, nodes: readonly NodeProcess[], report: Report): void {
    for (const node of nodes) {
      const failed = this.#failed.get(node)
      if (failed?.run === node.run) {
        if (node.state === 'up' && node.disk.failedWrites > failed.writes && now > (failed.since ??= now) + FAILED_WRITE_MS_MAX) report.broken('fsync', `${node.name} has gone on for ${FAILED_WRITE_MS_MAX} ms after a write to its disk failed`)
      } else this.#failed.set(node, { run: node.run, writes: node.disk.failedWrites, since: undefined })
    }
  }

  /** The run is over and was healed: whatever was lost has been made anew. */
  finish(report: Report): void {
    for (const doubted of this.#doubted) {
      if (this.#counts(doubted)) report.broken('L1', `replica ${doubted.replica} of shard ${doubted.shard} on ${doubted.node.name} was found doubtful, and is still a master`)
    }
    for (const { shard, voters } of this.#log.configurations.values()) {
      const lost = voters.find((member) => this.#destroyed.has(member.node))
      if (lost !== undefined) report.broken('L1', `replica ${lost.replica} of shard ${shard} was lost with its disk, and is still a master`)
    }
  }

  /** Every shard has three masters, none of them lost but perhaps `except`. */
  #isWhole(except: NodeId | undefined): boolean {
    const { configurations } = this.#log
    if (configurations.size === 0) return false
    for (const { voters, outgoing } of configurations.values()) {
      if (outgoing !== undefined || voters.length < 3 || voters.some((member) => member.node !== except && this.#destroyed.has(member.node))) return false
    }
    return true
  }

  #othersDamaged(node: NodeProcess): boolean {
    for (let at = this.#damaged.length; --at >= 0; ) if (!this.#damaged[at]!.lasts()) this.#damaged.splice(at, 1)
    return this.#damaged.some((each) => each.node !== node) || this.#doubted.some((each) => each.node !== node && this.#counts(each))
  }

  /** A doubtful copy is still among the masters that its shard counts on; a number may be another node's, after a change that was lost with its leader. */
  #counts({ id, shard, replica }: Doubted): boolean {
    const configuration = this.#log.configurations.get(shard)
    return configuration !== undefined && [...configuration.voters, ...(configuration.outgoing ?? [])].some((member) => member.replica === replica && member.node === id)
  }
}
