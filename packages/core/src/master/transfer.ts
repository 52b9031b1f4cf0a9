//! Handing the lead over (Raft thesis 3.10): nothing more is proposed, the successor gets what it lacks, then it is told to
//! stand at once. It wins in a round trip; where it does not, the old leader goes on after one election time-out.

import type { Now } from '../actor.ts'
import type { Instant, ReplicaNumber } from '../units.ts'
import type { MasterOutbox } from './boundary.ts'
import { holds } from './configuration.ts'
import type { Progress } from './progress.ts'
import { type MasterState, send } from './state.ts'

export function beginTransfer(m: MasterState, now: Now, out: MasterOutbox, to: ReplicaNumber | undefined): void {
  if (m.lead === undefined) return out.log('no transfer: this copy does not lead')
  const peer = to === undefined ? successor(m, now) : m.lead.peers.find((each) => each.replica === to)
  if (peer === undefined || !holds(m.configuration.voters, peer) || peer.suspect) return out.log('no transfer: nobody is there to take the lead')
  m.lead.transfer = { to: peer, until: (now.monotonic + m.settings.electionMs) as Instant, asked: false }
  stepTransfer(m, now, out)
}

/** Called whenever a peer has come further, and by the timer. */
export function stepTransfer(m: MasterState, now: Now, out: MasterOutbox): void {
  const lead = m.lead!
  const { transfer } = lead
  if (transfer === undefined) return
  const peer = lead.peer(transfer.to)
  if (peer === undefined || now.monotonic >= transfer.until) {
    lead.transfer = undefined
    return
  }
  if (transfer.asked || peer.match < m.log.last) return
  transfer.asked = true
  send(m, out, peer, { kind: 'timeoutNow' })
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
