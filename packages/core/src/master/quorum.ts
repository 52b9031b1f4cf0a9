//! Majorities. In a joint configuration both sets must agree, so what a quorum has reached is the smaller of what a
//! majority of each has.

import type { Configuration } from '../message/command.ts'
import type { Peer } from './boundary.ts'
import type { Progress } from './progress.ts'

export function majorityOf(count: number): number {
  return (count >> 1) + 1
}

/** What a leader counts: how far the copy is, the newest round it answered, when that round began. */
export type Measure = 'match' | 'round' | 'heardAt'

/** The greatest value that a quorum has reached; `own` is the leader's, which counts only where it is a voter. */
export function reachedByQuorum(configuration: Configuration, self: Peer, own: number, peers: readonly Progress[], measure: Measure): number {
  const reached = reachedByMajority(configuration.voters, self, own, peers, measure)
  if (configuration.outgoing === undefined) return reached
  return Math.min(reached, reachedByMajority(configuration.outgoing, self, own, peers, measure))
}

function reachedByMajority(members: readonly Peer[], self: Peer, own: number, peers: readonly Progress[], measure: Measure): number {
  let count = 0
  for (const member of members) {
    const value = member.replica === self.replica ? own : valueOf(member, peers, measure)
    // Kept sorted from the greatest to the smallest; a handful of members, so insertion is the cheapest way.
    let at = count++
    while (at > 0 && scratch[at - 1]! < value) {
      scratch[at] = scratch[at - 1]!
      at--
    }
    scratch[at] = value
  }
  return count === 0 ? -Infinity : scratch[majorityOf(count) - 1]!
}

function valueOf(member: Peer, peers: readonly Progress[], measure: Measure): number {
  for (const peer of peers) if (peer.replica === member.replica) return peer.suspect ? -Infinity : peer[measure]
  return -Infinity
}

const scratch = new Float64Array(16)

export type Outcome = 'won' | 'lost' | 'open'

/** How a vote stands, given who granted and who refused. */
export function outcomeOf(configuration: Configuration, granted: readonly number[], refused: readonly number[]): Outcome {
  const voters = outcomeAmong(configuration.voters, granted, refused)
  if (configuration.outgoing === undefined) return voters
  const outgoing = outcomeAmong(configuration.outgoing, granted, refused)
  if (voters === 'lost' || outgoing === 'lost') return 'lost'
  return voters === 'won' && outgoing === 'won' ? 'won' : 'open'
}

function outcomeAmong(members: readonly Peer[], granted: readonly number[], refused: readonly number[]): Outcome {
  const needed = majorityOf(members.length)
  let yes = 0
  let no = 0
  for (const member of members) {
    if (granted.includes(member.replica)) yes++
    else if (refused.includes(member.replica)) no++
  }
  if (yes >= needed) return 'won'
  return members.length - no < needed ? 'lost' : 'open'
}
