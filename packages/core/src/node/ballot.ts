//! The order of ballots, and what a quorum's promises allow to be proposed (Lamport, Paxos Made Simple, 2.2).

import type { AcceptedDecision, Ballot, Decision } from '../message/gossip.ts'
import { MASTERS_MAX } from '../message/registry.ts'
import type { Address, ClusterId, NodeId } from '../units.ts'

/** Below 0 where `a` is the lower ballot. */
export function compareBallots(a: Ballot, b: Ballot): number {
  return a.round - b.round || a.value - b.value || (a.node < b.node ? -1 : a.node > b.node ? 1 : 0)
}

export interface Promise {
  readonly node: NodeId
  readonly address: Address
  readonly value: number
  readonly eligible: boolean
  readonly accepted: AcceptedDecision | undefined
}

/** The decision that may already have been made: that of the highest accepted ballot among the promises. */
export function standingDecision(promises: readonly Promise[]): Decision | undefined {
  let highest: AcceptedDecision | undefined
  for (const { accepted } of promises) {
    if (accepted && (highest === undefined || compareBallots(accepted.ballot, highest.ballot) > 0)) highest = accepted
  }
  return highest?.decision
}

/** Those who must draw again: of each equal value all but the highest node. */
export function tied(promises: readonly Promise[]): readonly Promise[] {
  return promises.filter((one) => promises.some((other) => other.value === one.value && other.node > one.node))
}

/** The first masters: the highest values among those who promised and may be master. */
export function firstMasters(promises: readonly Promise[], expect: number): Decision['masters'] {
  const eligible = promises.filter((promise) => promise.eligible).sort((a, b) => b.value - a.value)
  return eligible.slice(0, Math.min(MASTERS_MAX, expect)).map(({ node, address }) => ({ node, address }))
}

export function newDecision(promises: readonly Promise[], expect: number, clusterId: ClusterId): Decision {
  return { clusterId, masters: firstMasters(promises, expect) }
}
