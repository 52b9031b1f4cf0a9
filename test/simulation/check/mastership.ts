//! Who is a master once all is healed and quiet: as many nodes as are wanted, where so many are there. And what was drained or forgotten is
//! free: such a node is a master of nothing that another live node could take, and leads nothing that another master could lead. Whether it
//! is draining is read from the log of the registry itself, and is what the operator was told last: no wish of before that comes late.

import { isRegistryTag, registryLogTable } from '@horus/core/message/registry'
import type { ReplicaObservation } from '@horus/core/replica'
import { type NodeId, REGISTRY_SHARD, type ShardId, type Term } from '@horus/core/units'
import type { NodeProcess } from '@horus/core/world/node'
import type { History } from '../history.ts'
import type { Checker, Report } from './checker.ts'
import type { CommittedEntry, CommittedListener, CommittedLog } from './committed.ts'

/** As many as a shard is to have. */
const MASTERS = 3
/** So long before its end a run has long been quiet, and each leader has looked at least once whether it leads too much. */
const QUIET_MS = 8000
/** A learner has caught up, repairs that came before are done, and a hand-over that came to nothing was tried again. */
const MOVED_MS_MAX = 15_000

export class MastershipChecker implements Checker, CommittedListener {
  readonly #report: Report
  readonly #history: History
  readonly #log: CommittedLog
  readonly #live: () => ReadonlySet<NodeId>
  readonly #now: () => number
  /** And when. */
  readonly #admitted = new Map<NodeId, number>()
  readonly #struck = new Set<NodeId>()
  readonly #leaders = new Map<ShardId, { readonly node: NodeId; readonly term: Term }>()
  /** Where and when one was elected that had been leaving for long. */
  readonly #led = new Map<ShardId, { readonly node: NodeId; readonly at: number }>()
  /** Wishes about nodes that were done. */
  readonly #done = new Set<string>()
  /** Draining or struck, and since when. */
  readonly #leaving = new Map<NodeId, number>()

  /** `live` are the nodes that run now. */
  constructor(report: Report, history: History, log: CommittedLog, live: () => ReadonlySet<NodeId>, now: () => number) {
    this.#report = report
    this.#history = history
    this.#log = log
    this.#live = live
    this.#now = now
    log.listen(this)
  }

  observed(node: NodeProcess, observation: ReplicaObservation): void {
    if (observation.kind !== 'leader' || node.nodeId === undefined) return
    const { shard, term } = observation
    // One that stood still may learn late that it was elected, when others lead a later term.
    if (term <= (this.#leaders.get(shard)?.term ?? -1)) return
    this.#leaders.set(shard, { node: node.nodeId, term })
    if (this.#isLongLeaving(node.nodeId)) this.#led.set(shard, { node: node.nodeId, at: this.#now() })
  }

  #isLongLeaving(node: NodeId): boolean {
    return this.#now() - (this.#leaving.get(node) ?? Infinity) > MOVED_MS_MAX
  }

  committed(entry: CommittedEntry, _decoded: unknown, bytes: Uint8Array): void {
    if (entry.shard !== REGISTRY_SHARD || !isRegistryTag(bytes[0]!)) return
    const said = registryLogTable.decode(bytes)
    if (said.kind === 'admit') {
      const { node } = said.record
      if (!this.#struck.has(node) && !this.#admitted.has(node)) this.#admitted.set(node, this.#now())
      return
    }
    if ((said.kind !== 'forget' && said.kind !== 'drain') || !this.#admitted.has(said.node)) return
    // A repeat was done already.
    if (said.kind === 'drain' && this.#done.has(`${said.node} ${said.wish}`)) return
    if (said.kind === 'drain') this.#done.add(`${said.node} ${said.wish}`)
    if (said.kind === 'drain' && !said.draining) this.#leaving.delete(said.node)
    else if (!this.#leaving.has(said.node)) this.#leaving.set(said.node, this.#now())
    if (said.kind !== 'forget') return
    this.#admitted.delete(said.node)
    this.#struck.add(said.node)
  }

  finish(): void {
    for (const [node, draining] of this.#history.draining) {
      if (this.#admitted.has(node) && this.#leaving.has(node) !== draining) this.#report.broken('drain', `the operator was told last that node ${node} is ${draining ? '' : 'not '}draining, and that is not so`)
    }
    const live = this.#live()
    const others = [...this.#admitted.keys()].filter((node) => live.has(node) && !this.#leaving.has(node))
    for (const { shard, voters } of this.#log.configurations.values()) {
      const stays = voters.find(({ node }) => this.#isLongLeaving(node))
      const free = others.find((node) => !voters.some((voter) => voter.node === node))
      const reserve = others.find((node) => this.#now() - this.#admitted.get(node)! > MOVED_MS_MAX && !voters.some((voter) => voter.node === node))
      if (voters.length < MASTERS && reserve !== undefined) this.#report.broken('L1', `shard ${shard} has ${voters.length} masters, though ${reserve} could be one`)
      if (stays !== undefined && free !== undefined) this.#report.broken('drain', `node ${stays.node} was drained and is still a master of shard ${shard}, which ${free} could be`)
      const leader = this.#leaders.get(shard)?.node
      const heir = voters.find(({ node }) => others.includes(node))
      if (leader !== undefined && this.#isLongLeaving(leader) && heir !== undefined) this.#report.broken('drain', `node ${leader} was drained and still leads shard ${shard}, which ${heir.node} could lead`)
      const led = this.#led.get(shard)
      if (led !== undefined && heir !== undefined && this.#now() - led.at < QUIET_MS) this.#report.broken('drain', `node ${led.node} was drained, and was given the lead of shard ${shard} when all had long been quiet`)
    }
  }
}
