//! Goes through the jobs of a leased command: session and token decide, nothing else does. A worker whose lease was given to
//! another holds an old token, and changes nothing.

import type { LeasedGroupsReader } from '../message/jobs.ts'
import type { FencingToken, JobNumber } from '../units.ts'
import type { LeaseGroup } from './group.ts'
import type { Leases } from './leases.ts'

export interface LostLease {
  readonly number: JobNumber
  readonly token: FencingToken
}

/** Visits the leases that the session holds under the tokens given; returns the jobs for which it holds none. */
export function eachLease(leases: Leases, session: number, groups: LeasedGroupsReader, visit: (group: LeaseGroup, position: number) => void): LostLease[] {
  const lost: LostLease[] = []
  while (groups.nextGroup()) {
    const first = leases.of(groups.token)
    const own = first !== undefined && first.session === session ? first : undefined
    while (groups.nextItem()) {
      let group = own
      let position = -1
      for (; group !== undefined; group = group.next) if ((position = group.position(groups.number)) >= 0) break
      if (group === undefined) lost.push({ number: groups.number as JobNumber, token: groups.token as FencingToken })
      else visit(group, position)
    }
  }
  return lost
}
