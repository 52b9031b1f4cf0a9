//! What was drained or forgotten is free: once all is healed and quiet, such a node is a master of nothing that another live node could
//! take, and leads nothing that another master could lead. Whether it is draining is read from the log of the registry itself.

import { isRegistryTag, registryLogTable } from '@horus/core/message/registry'
import { type NodeId, REGISTRY_SHARD } from '@horus/core/units'
import type { Checker, Report } from './checker.ts'
import type { CommittedEntry, CommittedListener, CommittedLog } from './committed.ts'
import type { LeadersChecker } from './leaders.ts'

/** A learner has caught up, repairs that came before are done, and a hand-over that came to nothing was tried again. */
const MOVED_MS_MAX = 15_000

export class DrainsChecker implements Checker, CommittedListener {
  readonly #report: Report
  readonly #log: CommittedLog
  readonly #leaders: LeadersChecker
  readonly #live: () => ReadonlySet<NodeId>
  readonly #now: () => number
  readonly #admitted = new Set<NodeId>()
  readonly #struck = new Set<NodeId>()
  /** Draining or struck, and since when. */
  readonly #leaving = new Map<NodeId, number>()

  /** `live` are the nodes that run now. */
  constructor(report: Report, log: CommittedLog, leaders: LeadersChecker, live: () => ReadonlySet<NodeId>, now: () => number) {
    this.#report = report
    this.#log = log
    this.#leaders = leaders
    this.#live = live
    this.#now = now
    log.listen(this)
  }

  committed(entry: CommittedEntry, _decoded: unknown, bytes: Uint8Array): void {
    if (entry.shard !== REGISTRY_SHARD || !isRegistryTag(bytes[0]!)) return
    const said = registryLogTable.decode(bytes)
    if (said.kind === 'admit') {
      if (!this.#struck.has(said.record.node)) this.#admitted.add(said.record.node)
      return
    }
    if ((said.kind !== 'forget' && said.kind !== 'drain') || !this.#admitted.has(said.node)) return
    if (said.kind === 'drain' && !said.draining) this.#leaving.delete(said.node)
    else if (!this.#leaving.has(said.node)) this.#leaving.set(said.node, this.#now())
    if (said.kind !== 'forget') return
    this.#admitted.delete(said.node)
    this.#struck.add(said.node)
  }

  finish(): void {
    const live = this.#live()
    const others = [...this.#admitted].filter((node) => live.has(node) && !this.#leaving.has(node))
    const longLeaving = new Set([...this.#leaving].filter(([, since]) => this.#now() - since > MOVED_MS_MAX).map(([node]) => node))
    for (const { shard, voters } of this.#log.configurations.values()) {
      const stays = voters.find(({ node }) => longLeaving.has(node))
      const free = others.find((node) => !voters.some((voter) => voter.node === node))
      if (stays !== undefined && free !== undefined) this.#report.broken('drain', `node ${stays.node} was drained and is still a master of shard ${shard}, which ${free} could be`)
      const leader = this.#leaders.latest.get(shard)?.nodeId
      const heir = voters.find(({ node }) => others.includes(node))
      if (leader !== undefined && longLeaving.has(leader) && heir !== undefined) this.#report.broken('drain', `node ${leader} was drained and still leads shard ${shard}, which ${heir.node} could lead`)
    }
  }
}
