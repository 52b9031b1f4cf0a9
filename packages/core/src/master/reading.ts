//! Linearizable reads without a log entry (Raft thesis 6.4): the commit index of the moment is good for a read once a
//! quorum has answered a round that began after the read came: until then nobody else can have led.

import type { MasterOutbox } from './boundary.ts'
import { reachedByQuorum } from './quorum.ts'
import type { MasterState } from './state.ts'
import type { LogIndex } from '../units.ts'

export function onRead(m: MasterState, out: MasterOutbox, id: number): void {
  if (m.lead === undefined || m.lead.reads.ids.length >= m.settings.readsMax) return out.readRefused(id)
  m.lead.reads.ids.push(id)
}

/** Whether reads wait for a round that has not begun; they get their index now, and the round is the next one. */
export function takeReads(m: MasterState): boolean {
  const lead = m.lead!
  const { ids, indexes, rounds } = lead.reads
  if (ids.length === rounds.length) return false
  // Before an entry of the own term is committed, a leader does not know how far the commit index is.
  if (m.commitIndex < lead.firstOfTerm) return false
  while (rounds.length < ids.length) {
    indexes.push(m.commitIndex)
    rounds.push(lead.round + 1)
  }
  return true
}

export function answerReads(m: MasterState, out: MasterOutbox): void {
  const lead = m.lead!
  const { ids, indexes, rounds } = lead.reads
  if (rounds.length === 0) return
  const confirmed = reachedByQuorum(m.configuration, m.self, lead.round, lead.peers, 'round')
  let count = 0
  while (count < rounds.length && rounds[count]! <= confirmed) {
    out.readable(ids[count]!, indexes[count]! as LogIndex)
    count++
  }
  ids.splice(0, count)
  indexes.splice(0, count)
  rounds.splice(0, count)
}
