//! A connection between two processes, as TCP gives it: what is sent arrives in order, or the connection breaks. It may
//! break for one side long before the other notices (half open), and what is sent meanwhile is gone.
//!
//!   dialling ──accepted──▶ up ──cut, crash, close──▶ down      each side by itself: 'down' comes to it as an input

import type { ConnectionId, NodeId } from '../units.ts'
import type { Process } from './process.ts'

/**
 * How a run ends. A killed process's system closes its connections and keeps what was written; a machine that loses its
 * power tells nobody and loses what was not flushed; one that restarts at once loses that too, but answers whoever asks.
 */
export type Death = 'killed' | 'restarted' | 'unreachable'

/** What a side sends before it is up waits here; more is dropped, as a host would. */
const QUEUED_MAX = 4096

export class LinkEnd {
  readonly process: Process
  /** The run of the process that this end belongs to; a later run knows nothing of it. */
  readonly run: number
  /** What the process calls the other side. */
  readonly peer: NodeId | ConnectionId
  state: 'dialling' | 'up' | 'down' = 'dialling'
  /** Nothing that was sent to this end later may arrive earlier. */
  lastArrival = 0
  /** A client that reads slowly takes nothing before this. */
  readsAt = 0
  /** Bytes sent to this end, of a client, and not read by it yet. */
  waiting = 0
  readonly queued: Uint8Array[] = []
  readonly link: Link

  constructor(link: Link, process: Process, peer: NodeId | ConnectionId) {
    this.link = link
    this.process = process
    this.run = process.run
    this.peer = peer
  }

  get alive(): boolean {
    return this.process.run === this.run && this.state !== 'down'
  }

  queue(bytes: Uint8Array): void {
    if (this.queued.length < QUEUED_MAX) this.queued.push(bytes)
  }
}

export class Link {
  readonly dialler: LinkEnd
  /** Unknown until somebody accepts. */
  acceptor: LinkEnd | undefined
  /** Between two nodes, where an adversary may be at work, or from a client. */
  readonly between: 'nodes' | 'client'
  /** No byte passes any more, whether or not the ends have noticed. */
  cut = false
  /** Nothing arrives before this: a short break of the network that the connection outlives. */
  stalledUntil = 0

  constructor(process: Process, peer: NodeId | ConnectionId, between: 'nodes' | 'client') {
    this.between = between
    this.dialler = new LinkEnd(this, process, peer)
  }

  other(end: LinkEnd): LinkEnd | undefined {
    return end === this.dialler ? this.acceptor : this.dialler
  }
}
