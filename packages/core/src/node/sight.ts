//! Which other nodes a founder sees: what membership believes, sorted by what matters for founding.

import type { Member } from '../message/gossip.ts'
import type { NodeId } from '../units.ts'

export class Sight {
  readonly #members = new Map<NodeId, Member>()

  put(member: Member): void {
    this.#members.set(member.node, member)
  }

  /** Fresh nodes that may found. */
  get founders(): readonly Member[] {
    return this.#live.filter((member) => member.clusterId === undefined && member.expect > 0)
  }

  get founded(): readonly Member[] {
    return this.#live.filter((member) => member.clusterId !== undefined)
  }

  get #live(): readonly Member[] {
    return [...this.#members.values()].filter(isInSight)
  }

  clone(): Sight {
    const copy = new Sight()
    for (const member of this.#members.values()) copy.put(member)
    return copy
  }
}

export function isInSight(member: Member): boolean {
  return member.state === 'alive' || member.state === 'suspect'
}
