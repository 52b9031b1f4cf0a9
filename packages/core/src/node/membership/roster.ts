//! Every member this node has heard of, and the one rule by which news about a member beats what is known (SWIM 4.2):
//!
//!   known \ news   alive i'      suspect i'    dead i'    left i'
//!   alive i        i' > i        i' >= i       i' >= i    i' >= i
//!   suspect i      i' > i        i' > i        i' >= i    i' >= i
//!   dead i         i' > i        i' > i        i' > i     i' >= i
//!   left i         i' > i        i' > i        i' > i     i' > i

import type { Member, MemberState } from '../../message/gossip.ts'
import type { Random } from '../../random.ts'
import { type Instant, never, type NodeId } from '../../units.ts'
import type { Suspicion } from './suspicion.ts'

/** Nodes cost nothing to invent for whoever has the key; a cluster of more than this needs another design. */
export const MEMBERS_MAX = 16_384

/** The incarnation's low part; the boot counter is its high part, so a restarted node beats all that was said before. */
export const INCARNATIONS_PER_BOOT = 0x10_0000

export interface Entry {
  readonly member: Member
  readonly changedAt: Instant
  /** Only of a suspect. */
  readonly suspicion: Suspicion | undefined
}

const STRENGTH = { alive: 0, suspect: 1, dead: 2, left: 3 } as const

export function beats(news: Member, known: Member): boolean {
  return news.incarnation > known.incarnation || (news.incarnation === known.incarnation && STRENGTH[news.state] > STRENGTH[known.state])
}

/** Takes part: may be asked, told and counted. */
export const isLive = (state: MemberState): boolean => state === 'alive' || state === 'suspect'

export class Roster {
  readonly #entries = new Map<NodeId, Entry>()
  readonly #suspects = new Set<NodeId>()
  #live = 0

  get(node: NodeId): Entry | undefined {
    return this.#entries.get(node)
  }

  get entries(): readonly Entry[] {
    return [...this.#entries.values()]
  }

  get full(): boolean {
    return this.#entries.size >= MEMBERS_MAX
  }

  /** How many take part, this node not counted. */
  get live(): number {
    return this.#live
  }

  /**
   * One that takes part, one, two, four, eight ... places behind `self` in the order of ids. So a node compares what it knows with a few others
   * only, and holds links to no more, and yet what one knows reaches all in a number of steps that grows as slowly as their number's logarithm.
   */
  distant(self: NodeId, random: Random): NodeId | undefined {
    const nodes = [self]
    for (const { member } of this.#entries.values()) if (isLive(member.state)) nodes.push(member.node)
    if (nodes.length === 1) return undefined
    nodes.sort()
    const places = 2 ** random.below(Math.ceil(Math.log2(nodes.length)))
    return nodes[(nodes.indexOf(self) + places) % nodes.length]
  }

  /** When the first suspicion runs out. */
  get suspicionEndsAt(): Instant {
    let at: Instant = never
    for (const node of this.#suspects) at = Math.min(at, this.#entries.get(node)?.suspicion?.endsAt ?? never) as Instant
    return at
  }

  set(node: NodeId, entry: Entry): void {
    this.delete(node)
    this.#entries.set(node, entry)
    if (isLive(entry.member.state)) this.#live++
    if (entry.suspicion) this.#suspects.add(node)
  }

  delete(node: NodeId): void {
    const known = this.#entries.get(node)
    if (known === undefined) return
    if (isLive(known.member.state)) this.#live--
    this.#suspects.delete(node)
    this.#entries.delete(node)
  }

  clone(): Roster {
    const copy = new Roster()
    for (const [node, entry] of this.#entries) copy.set(node, { ...entry, suspicion: entry.suspicion?.clone() })
    return copy
  }
}
