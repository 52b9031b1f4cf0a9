//! Whether this node's disk still holds what it once held: asked of those who have seen it, before any copy here votes.
//!
//!   start ─▶ muted ──every other master has answered: nothing further seen, or the time for it is over──▶ cleared: copies vote
//!              │  ▲                                                                                           │
//!              │  └───────────────another master is met: an old copy may be older than all it knows───────────┘
//!              └──somebody has seen this journal go further──▶ forgotten: what was promised is lost
//!
//! No node can tell by itself that its disk is an old copy, or that flushes were confirmed and never made: all it finds is in good
//! order. While the other masters live they can tell, for each vote and acknowledgement was preceded by the position of the
//! journal that it rests on. Only of a leader they see too little: what it has committed last it has flushed after its last word.
//! So they let one that led them wait until they follow another, who has all that was committed without that disk. One
//! that is away cannot be waited for: an old copy beside another failure is outside the promise.

import type { Now } from '../actor.ts'
import type { WitnessMessage } from '../message/witness.ts'
import type { NodeId } from '../units.ts'

const ASK_AGAIN_MS = 50

export interface WitnessOutbox {
  send(to: NodeId, message: WitnessMessage): void
  cleared(): void
  forgotten(by: NodeId): void
}

interface Sight {
  readonly run: number
  readonly position: number
}

export class Witness {
  /** When to ask again, or to wait no longer. */
  wakeAt = Infinity
  /** No copy votes or stands for election before. */
  isCleared = true
  /** How far each node's journal was seen to go: in the run in which it went furthest, and in the next. More are never needed. */
  readonly #seen = new Map<NodeId, readonly Sight[]>()
  /** The newest run of each node that asked, and what was said. */
  readonly #said = new Map<NodeId, { readonly run: number; readonly further: boolean }>()
  /** What each node was told of this one's journal. */
  readonly #told = new Map<NodeId, number>()
  /** Who was asked in this run, and this node itself. */
  readonly #asked = new Set<NodeId>()
  /** Who has not answered yet, and until when that is waited for. */
  readonly #pending = new Map<NodeId, number>()
  #run = 0
  #position = 0
  #waitMs = 0

  /** `position`: where the journal ended that was found; `others`: who may have seen it. */
  start(now: Now, self: NodeId, run: number, position: number, others: Iterable<NodeId>, waitMs: number, out: WitnessOutbox): void {
    this.#asked.add(self)
    this.#run = run
    this.#position = position
    this.#waitMs = waitMs
    this.meet(now, others, out)
    if (this.isCleared) out.cleared()
  }

  /** Masters of a copy here, or nodes that speak to one: each is asked once a run, and none before its start. */
  meet(now: Now, nodes: Iterable<NodeId>, out: WitnessOutbox): void {
    if (this.#asked.size === 0) return
    for (const node of nodes) {
      if (this.#asked.has(node)) continue
      this.#asked.add(node)
      this.#pending.set(node, now.monotonic + this.#waitMs)
      this.isCleared = false
      this.#ask(node, out)
    }
    this.#plan(now)
  }

  hasMet(node: NodeId): boolean {
    return this.#asked.has(node)
  }

  /** Ahead of a claim to that node. */
  tell(to: NodeId, position: number, out: WitnessOutbox): void {
    if (position <= (this.#told.get(to) ?? 0)) return
    this.#told.set(to, position)
    out.send(to, { kind: 'durable', run: this.#run, position })
  }

  /** What was sent over a link that broke may be lost. */
  linkDown(node: NodeId): void {
    this.#told.delete(node)
  }

  /** `led`: who returns has led copies here that have followed nobody since; nothing else asks. */
  receive(from: NodeId, message: WitnessMessage, led: boolean, out: WitnessOutbox): void {
    switch (message.kind) {
      case 'durable':
        return this.#see(from, message)
      case 'returned': {
        const further = this.#wentFurther(from, message)
        // It asks again.
        if (further || !led) out.send(from, { kind: 'witnessed', run: message.run, further })
        return
      }
      case 'witnessed':
        if (message.run !== this.#run || !this.#pending.delete(from)) return
        if (message.further) out.forgotten(from)
        else if (this.#pending.size === 0) this.#clear(out)
        return
      default:
        message satisfies never
    }
  }

  wake(now: Now, out: WitnessOutbox): void {
    if (this.isCleared) return
    for (const [node, until] of this.#pending) {
      if (now.monotonic >= until) this.#pending.delete(node)
      else this.#ask(node, out)
    }
    if (this.#pending.size === 0) this.#clear(out)
    else this.#plan(now)
  }

  #see(from: NodeId, { run, position }: Sight): void {
    const known = this.#seen.get(from) ?? []
    if (known.some((sight) => sight.run === run && sight.position >= position)) return
    const sights = [{ run, position }, ...known.filter((sight) => sight.run !== run)]
    this.#seen.set(from, sights.sort((a, b) => b.position - a.position).slice(0, 2))
  }

  /** The answer to one run is the same however often it is asked: what that run has written since says nothing about the one before. */
  #wentFurther(from: NodeId, { run, position }: Extract<WitnessMessage, { kind: 'returned' }>): boolean {
    const said = this.#said.get(from)
    if (said?.run === run) return said.further
    const further = (this.#seen.get(from) ?? []).some((sight) => sight.run !== run && sight.position > position)
    this.#said.set(from, { run, further })
    return further
  }

  #ask(node: NodeId, out: WitnessOutbox): void {
    out.send(node, { kind: 'returned', run: this.#run, position: this.#position })
  }

  #plan(now: Now): void {
    if (this.isCleared) return
    this.wakeAt = Math.min(now.monotonic + ASK_AGAIN_MS, ...this.#pending.values())
  }

  #clear(out: WitnessOutbox): void {
    this.isCleared = true
    this.wakeAt = Infinity
    out.cleared()
  }
}
