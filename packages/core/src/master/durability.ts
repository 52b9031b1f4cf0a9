//! What this copy has handed to its journal, and what of it is on the disk. Tickets rise, and the journal's disk keeps
//! their order, so one number tells it all. A message that claims something durable waits here for its ticket.

import { assert } from '../assert.ts'
import type { Hash } from '../hash.ts'
import type { ConsensusMessage } from '../message/consensus.ts'
import type { LogIndex, NodeId } from '../units.ts'

interface Deferred {
  readonly ticket: number
  readonly to: NodeId
  readonly message: ConsensusMessage
}

/** Answers to vote requests that wait for the disk: a few a term, unless a disk hangs and terms pass. The oldest go first. */
const DEFERRED_MAX = 256

export class Durability {
  #next = 1
  #durable = 0
  #index = 0
  /** Appends on their way to the disk: ticket and last index of each. */
  #tickets: number[] = []
  #lasts: number[] = []
  #deferred: Deferred[] = []

  /** `index`: how far the log on the disk goes. */
  constructor(index: LogIndex) {
    this.#index = index
  }

  /** The log is durable up to here. */
  get index(): LogIndex {
    return this.#index as LogIndex
  }

  take(): number {
    return this.#next++
  }

  takeAppend(lastIndex: LogIndex): number {
    this.#tickets.push(this.#next)
    this.#lasts.push(lastIndex)
    return this.#next++
  }

  has(ticket: number): boolean {
    return ticket <= this.#durable
  }

  /** Everything up to `ticket` is on the disk. Returns the messages that may leave now. */
  reached(ticket: number): readonly Deferred[] {
    assert(ticket < this.#next, 'the journal only flushes what it was given')
    if (ticket <= this.#durable) return []
    this.#durable = ticket
    let count = 0
    while (count < this.#tickets.length && this.#tickets[count]! <= ticket) {
      this.#index = Math.max(this.#index, this.#lasts[count++]!)
    }
    this.#tickets.splice(0, count)
    this.#lasts.splice(0, count)
    let ready = 0
    while (ready < this.#deferred.length && this.#deferred[ready]!.ticket <= ticket) ready++
    return this.#deferred.splice(0, ready)
  }

  /** The message leaves with `reached`; the caller has seen to it that `ticket` is not durable yet. */
  defer(ticket: number, to: NodeId, message: ConsensusMessage): void {
    // Whoever asks again gets one answer.
    if (this.#deferred.some((other) => other.ticket === ticket && other.to === to && other.message.kind === message.kind)) return
    if (this.#deferred.length === DEFERRED_MAX) this.#deferred.shift()
    // A repeated request waits for an older ticket than the newest, so the order is made here.
    let at = this.#deferred.length
    while (at > 0 && this.#deferred[at - 1]!.ticket > ticket) at--
    this.#deferred.splice(at, 0, { ticket, to, message })
  }

  /** Entries from `from` on are superseded: they never count, though their bytes may still reach the disk. */
  truncate(from: LogIndex): void {
    this.#index = Math.min(this.#index, from - 1)
    for (let i = 0; i < this.#lasts.length; i++) this.#lasts[i] = Math.min(this.#lasts[i]!, from - 1)
  }

  /** The log restarts behind a snapshot that is durable. */
  restart(index: LogIndex): void {
    this.#index = index
    this.#tickets = []
    this.#lasts = []
  }

  clone(): Durability {
    const copy = new Durability(this.index)
    copy.#next = this.#next
    copy.#durable = this.#durable
    copy.#tickets = this.#tickets.slice()
    copy.#lasts = this.#lasts.slice()
    copy.#deferred = this.#deferred.slice()
    return copy
  }

  /** How many tickets are in front of this one and not durable, itself among them; 0 where it is. */
  pending(ticket: number): number {
    return Math.max(0, ticket - this.#durable)
  }

  /** Tickets count from the last durable one: how many there ever were decides nothing. */
  mix(hash: Hash): void {
    hash.number(this.pending(this.#next)).number(this.#index)
    for (let i = 0; i < this.#tickets.length; i++) hash.number(this.pending(this.#tickets[i]!)).number(this.#lasts[i]!)
    for (const { ticket, to, message } of this.#deferred) hash.number(this.pending(ticket)).text(to).text(message.kind).number(message.term).number(message.to)
  }
}
