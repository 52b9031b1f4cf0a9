//! How an entry gets into the leader's log: stamped in place, numbered, gathered. What a turn has gathered goes to the
//! journal and to the followers as one batch (`ship` in replication).

import type { Now } from '../actor.ts'
import { present } from '../assert.ts'
import { type Configuration, logTable, stampEntry } from '../message/command.ts'
import type { LeaseTime, WallTime } from '../units.ts'
import type { MasterOutbox } from './boundary.ts'
import { encodeConfiguration } from './configuration.ts'
import { noteEntry, persist, type MasterState, stampsNow } from './state.ts'

export type Proposable = 'yes' | 'notLeader' | 'noQuorum'

export function proposable(m: MasterState): Proposable {
  const { lead, settings } = m
  if (lead === undefined) return m.leader === undefined ? 'noQuorum' : 'notLeader'
  const { transfer } = lead
  if (transfer?.asked) return 'notLeader'
  // What is proposed on and on would hold up a successor that has yet to come to the end of the log.
  if (transfer !== undefined && m.calledAt >= transfer.closedFrom) return 'noQuorum'
  if (m.log.last - m.commitIndex >= settings.uncommittedMax || lead.uncommitted.total + lead.gatheredBytes >= settings.uncommittedBytesMax) return 'noQuorum'
  return 'yes'
}

/** Stamps and gathers an entry of the leader's. */
export function gather(m: MasterState, now: Now, out: MasterOutbox, bytes: Uint8Array, configuration?: Configuration): void {
  const lead = present(m.lead, 'only a leader gathers')
  const { leaseNow, wallNow } = stampsNow(m, now)
  stampEntry(bytes, leaseNow, wallNow)
  const index = m.log.push(m.term)
  m.stampedAt = index
  lead.gathered.push({ index, term: m.term, bytes })
  lead.gatheredBytes += bytes.length
  if (configuration === undefined) return
  noteEntry(m, now, out, index, m.term, bytes, configuration)
  // In front of the entry itself: an entry that is on the disk after a crash is never unknown to its hard state.
  persist(m, now, out)
}

export function gatherNoop(m: MasterState, now: Now, out: MasterOutbox): void {
  gather(m, now, out, logTable.encode({ kind: 'noop', leaseNow: 0 as LeaseTime, wallNow: 0 as WallTime }))
}

export function gatherConfiguration(m: MasterState, now: Now, out: MasterOutbox, configuration: Configuration): void {
  gather(m, now, out, encodeConfiguration(configuration), configuration)
}
