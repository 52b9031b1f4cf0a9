//! Handing the lead over (Raft thesis 3.10). The leader goes on until its successor was sent all there is, then takes nothing more and
//! tells it to stand at once: the message follows the entries on the same link, so the successor writes both down with one flush.
//!
//!   propose ... all sent ──▶ stand! ──▶ entries + own vote durable ──▶ vote for me ──▶ votes durable ──▶ leads
//!                              └── told to nobody else, and no answer in an election time-out: the old leader goes on
//!
//! Whoever knows who was told to stand sends clients there: it lets them wait until it leads.

import type { Now } from '../actor.ts'
import type { Instant, ReplicaNumber } from '../units.ts'
import type { MasterOutbox } from './boundary.ts'
import { holds } from './configuration.ts'
import type { Progress } from './progress.ts'
import { type MasterState, send } from './state.ts'

/** Part of an election time-out for which a leader goes on while its successor catches up. */
const OPEN_PART = 1 / 4

export function beginTransfer(m: MasterState, now: Now, out: MasterOutbox, to: ReplicaNumber | undefined): void {
  if (m.lead === undefined) return out.log('no transfer: this copy does not lead')
  // Two that stand at once could both fail.
  if (m.lead.transfer?.asked) return out.log('no transfer: one is under way')
  const peer = to === undefined ? successor(m, now) : m.lead.peers.find((each) => each.replica === to)
  if (peer === undefined || !holds(m.configuration.voters, peer) || peer.suspect) return out.log('no transfer: nobody is there to take the lead')
  const { electionMs } = m.settings
  m.lead.transfer = { to: peer, closedFrom: (now.monotonic + electionMs * OPEN_PART) as Instant, until: (now.monotonic + electionMs) as Instant, asked: false, confirmed: false }
  stepTransfer(m, now, out)
}

/** Called whenever more was sent, whenever a peer has come further, and by the timer. */
export function stepTransfer(m: MasterState, now: Now, out: MasterOutbox): void {
  const lead = m.lead!
  const { transfer } = lead
  if (transfer === undefined) return
  const peer = lead.peer(transfer.to)
  if (peer === undefined || peer.suspect || now.monotonic >= transfer.until) return endTransfer(m)
  // A change of masters that is committed meanwhile would add an entry that the successor lacks.
  if (!transfer.asked && (!m.history.isCommitted || m.configuration.outgoing !== undefined)) return
  const isDurable = peer.match >= m.log.last
  if (transfer.asked ? transfer.confirmed || !isDurable : peer.stage !== 'replicate' || peer.next <= m.log.last) return
  transfer.asked = true
  transfer.confirmed = isDurable
  m.heir = { replica: peer.replica, node: peer.node }
  send(m, out, peer, { kind: 'timeoutNow', lastIndex: m.log.last })
}

/** It came to nothing: this leader goes on. */
export function endTransfer(m: MasterState): void {
  m.lead!.transfer = undefined
  m.heir = undefined
}

/** The voter that is furthest and was heard lately. */
export function successor(m: MasterState, now: Now): Progress | undefined {
  let best: Progress | undefined
  for (const peer of m.lead!.peers) {
    if (peer.suspect || now.monotonic - peer.heardAt >= m.settings.electionMs || !holds(m.configuration.voters, peer)) continue
    if (best === undefined || peer.match > best.match) best = peer
  }
  return best
}
