//! The leader's part in changing who the masters are. One change at a time, and none before an entry of the own term is
//! committed: an uncommitted change of an earlier leader could otherwise be counted by the wrong majority (the single-server
//! bug of the Raft thesis). Whoever leads when a joint configuration is committed also leads out of it.

import type { Now } from '../actor.ts'
import type { Configuration } from '../message/command.ts'
import type { ConfigurationChange, MasterOutbox, Peer } from './boundary.ts'
import { changed, holds, isMember, isVoter, left, othersOf } from './configuration.ts'
import { Progress } from './progress.ts'
import { gatherConfiguration } from './proposal.ts'
import { follow, type MasterState, send } from './state.ts'
import { endTransfer, successor } from './transfer.ts'

/** Whether a configuration was gathered, so that the caller ships it. */
export function reconfigure(m: MasterState, now: Now, out: MasterOutbox, change: ConfigurationChange): boolean {
  const refusal = whyNot(m) ?? whyNotThese(m, change)
  const next = refusal ?? changed(m.configuration, change)
  if (typeof next === 'string') {
    out.log(`no change of masters: ${next}`)
    return false
  }
  apply(m, now, out, next)
  return true
}

/** More has been committed: leave a joint configuration, or go where the new one is without this copy. Whether something was gathered. */
export function afterCommit(m: MasterState, now: Now, out: MasterOutbox): boolean {
  const { configuration, history } = m
  if (!history.isCommitted || m.commitIndex < m.lead!.firstOfTerm) return false
  if (configuration.outgoing !== undefined) {
    const leaving = configuration.outgoing
    apply(m, now, out, left(configuration))
    m.leaving = leaving.filter((member) => !isMember(m.configuration, member))
    return true
  }
  // The rest of the cluster can go on without them, so they may as well know at once.
  for (const peer of m.leaving) if (peer.replica !== m.self.replica) send(m, out, peer, { kind: 'removed', epoch: configuration.epoch })
  m.leaving = []
  if (!isVoter(configuration, m.self)) {
    const next = successor(m, now)
    if (next !== undefined) send(m, out, next, { kind: 'timeoutNow', lastIndex: m.commitIndex })
    follow(m, now, out, m.term, undefined)
  }
  return false
}

/** The peers are those of the configuration in force; what is known of the ones that stay is kept. */
export function syncPeers(m: MasterState, now: Now): void {
  const lead = m.lead!
  const { configuration } = m
  lead.peers = othersOf(configuration, m.self).map((peer: Peer) => {
    const learner = !isVoter(configuration, peer)
    const known = lead.peer(peer)
    if (known === undefined) return new Progress(peer, learner, m.log.last, now.monotonic)
    known.learner = learner
    return known
  })
  if (lead.transfer !== undefined && !holds(configuration.voters, lead.transfer.to)) endTransfer(m)
}

function whyNot(m: MasterState): string | undefined {
  if (m.lead === undefined) return 'this copy does not lead'
  if (m.commitIndex < m.lead.firstOfTerm) return 'nothing of this term is committed yet'
  if (!m.history.isCommitted) return 'one is under way'
  return m.lead.transfer === undefined ? undefined : 'the lead is being handed over'
}

/** A copy that does not know itself to be a member does not vote, so it would be a voter in name only. */
function whyNotThese(m: MasterState, change: ConfigurationChange): string | undefined {
  if (change.kind !== 'replace') return undefined
  for (const voter of change.voters) {
    const peer = m.lead!.peer(voter)
    if (peer?.learner && (peer.suspect || peer.match < m.history.currentIndex)) return `replica ${voter.replica} is not caught up`
  }
  return undefined
}

function apply(m: MasterState, now: Now, out: MasterOutbox, next: Configuration): void {
  gatherConfiguration(m, now, out, next)
  syncPeers(m, now)
}
