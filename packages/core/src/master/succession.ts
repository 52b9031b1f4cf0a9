//! The moments at which the lead begins and ends.

import type { Now } from '../actor.ts'
import type { Instant, LogIndex } from '../units.ts'
import type { MasterOutbox } from './boundary.ts'
import { isVoter, othersOf } from './configuration.ts'
import { Leadership } from './leadership.ts'
import { Progress } from './progress.ts'
import { gatherNoop } from './proposal.ts'
import { reachedByQuorum } from './quorum.ts'
import { ship } from './replication.ts'
import { takeProofs } from './rest.ts'
import { follow, type MasterState } from './state.ts'

/** The election is won: a no-op of the own term goes out at once, and with it everybody hears of the leader. */
export function takeLead(m: MasterState, now: Now, out: MasterOutbox): void {
  const { monotonic } = now
  const lead = new Leadership(monotonic)
  m.role = 'leader'
  m.leader = m.lastLeader = m.self
  m.heir = undefined
  m.campaign = undefined
  m.receiving = undefined
  m.hastyUntil = -Infinity as Instant
  m.lead = lead
  // What a disk could not give a follower is asked for again: a leader that holds back an entry must find out about it itself.
  if (m.unreadableThrough > m.commitIndex) m.unreadableThrough = 0 as LogIndex
  const { log, configuration } = m
  lead.shipped = log.last
  for (const peer of othersOf(configuration, m.self)) {
    const progress = new Progress(peer, !isVoter(configuration, peer), (log.last + 1) as LogIndex, monotonic)
    const reading = m.readings.find((each) => each.replica === peer.replica)
    if (reading !== undefined) {
      progress.wall = reading.wall
      progress.wallAt = reading.at
    }
    lead.peers.push(progress)
  }
  m.readings = []
  m.leaseClock.lead(monotonic, m.settings)
  m.wallClock.lead()
  m.stampsAt = -Infinity as Instant
  lead.beginRound(monotonic)
  lead.heartbeatAt = (monotonic + m.settings.heartbeatMs) as Instant
  lead.firstOfTerm = (log.last + 1) as LogIndex
  gatherNoop(m, now, out)
  ship(m, now, out)
}

/**
 * A quorum has answered a round that began so lately that a next leader, elected after that at the earliest, still lets its lease clock
 * stand. One that was cut off, or stood still, could otherwise tell workers a time that is behind that of its successor. An eighth is
 * left for clocks that drift. That it was elected proves nothing: it may have stood still between its votes' leaving and their coming.
 */
export function leadsSurely(m: MasterState, now: Now): boolean {
  takeProofs(m)
  const lead = m.lead!
  if (reachedByQuorum(m.configuration, m.self, lead.round, lead.peers, 'round') === 0) return false
  const heardAt = reachedByQuorum(m.configuration, m.self, now.monotonic, lead.peers, 'heardAt')
  return (now.monotonic - heardAt) * 8 < m.settings.leaseStallMs * 7
}

/** A leader that no quorum hears could be outdated without knowing it; one whose shard was recovered from another copy is. Whether it has stepped down. */
export function checkQuorum(m: MasterState, now: Now, out: MasterOutbox): boolean {
  const lead = m.lead!
  if (!m.isEntitled(m.term)) {
    out.log(`steps down in term ${m.term}: the registry does not stand behind this copy`)
    follow(m, now, out, m.term, undefined)
    return true
  }
  const heardAt = reachedByQuorum(m.configuration, m.self, now.monotonic, lead.peers, 'heardAt')
  if (now.monotonic < Math.max(heardAt + m.settings.electionMs, lead.graceUntil)) return false
  out.log(`steps down in term ${m.term}: no quorum was heard for ${m.settings.electionMs} ms`)
  follow(m, now, out, m.term, undefined)
  return true
}
