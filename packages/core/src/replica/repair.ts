//! What a copy does about entries that its own disk cannot give back: it asks the other masters, one after the other, and answers
//! those that ask it.
//!
//!   unreadable ─▶ wanted ──asked──▶ given ─▶ here again, under the same index
//!                    └─ nobody had it, all have been asked often enough ─▶ given up: deliveries pass it over, until it is wanted again
//!
//! A committed entry is the same on all masters for ever, so the first answer is as good as any. Of one that is not committed
//! yet, only the same term's is the same.

import type { Now } from '../actor.ts'
import type { Peer } from '../master/boundary.ts'
import type { EntryGiven, EntryWanted, RepairMessage } from '../message/repair.ts'
import type { LogIndex, NodeId, ReplicaNumber, ShardId, Term } from '../units.ts'

/** Between two questions about one entry: longer than a disk usually takes, since whoever is asked may have to read it. */
const ASK_AGAIN_MS = 100
/** After so many questions without an answer an entry is given up. */
const QUESTIONS_MAX = 30
/** Entries wanted at a time: what is more is asked for when one of these has come. */
const WANTED_MAX = 64
/** Entries that are read for others at a time. */
const ASKED_MAX = 64

export interface RepairHost {
  readonly shard: ShardId
  readonly self: Peer
  /** The voters but this copy. */
  readonly others: readonly Peer[]
  readonly committed: LogIndex
  send(to: NodeId, message: RepairMessage): void
  /** In memory. */
  entry(index: LogIndex): Uint8Array | undefined
  /** 0 where it is not known. */
  termOf(index: LogIndex): Term
  fetch(index: LogIndex): void
  /** The entry is here again. */
  mended(index: LogIndex, term: Term, bytes: Uint8Array): void
  givenUp(index: LogIndex): void
}

export class Repair {
  readonly #host: RepairHost
  readonly #wanted = new Map<LogIndex, { questions: number; askAt: number }>()
  readonly #asked: { readonly index: LogIndex; readonly entryTerm: Term; readonly by: Peer }[] = []

  constructor(host: RepairHost) {
    this.#host = host
  }

  get wakeAt(): number {
    let at = Infinity
    for (const { askAt } of this.#wanted.values()) at = Math.min(at, askAt)
    return at
  }

  wants(index: LogIndex): boolean {
    return this.#wanted.has(index)
  }

  /** False where there is nobody to ask. */
  want(now: Now, index: LogIndex): boolean {
    if (this.#wanted.has(index)) return true
    if (this.#host.others.length === 0 || this.#wanted.size >= WANTED_MAX) return false
    const wanted = { questions: 0, askAt: 0 }
    this.#wanted.set(index, wanted)
    this.#ask(now, index, wanted)
    return true
  }

  receive(from: NodeId, message: RepairMessage): void {
    if (message.to !== this.#host.self.replica) return
    const by = { replica: message.from, node: from }
    if (message.kind === 'entryGiven') this.#given(by, message)
    else if (this.#isOther(by) && this.#isSame(message.index, message.entryTerm)) this.#answer(message, by)
  }

  /** Something was read into memory. */
  loaded(): void {
    for (const asked of this.#asked.splice(0)) {
      // What was not committed may have become another meanwhile.
      if (this.#isSame(asked.index, asked.entryTerm) && !this.#give(asked.index, asked.by)) this.#asked.push(asked)
    }
  }

  /** It cannot be read here either: whoever asked hears nothing, and asks somebody else. */
  unreadable(index: LogIndex): void {
    for (let at = this.#asked.length; --at >= 0; ) if (this.#asked[at]!.index === index) this.#asked.splice(at, 1)
  }

  wake(now: Now): void {
    for (const [index, wanted] of this.#wanted) {
      if (wanted.askAt > now.monotonic) continue
      if (wanted.questions < QUESTIONS_MAX && this.#host.others.length > 0) this.#ask(now, index, wanted)
      else {
        this.#wanted.delete(index)
        this.#host.givenUp(index)
      }
    }
  }

  /** The books are others now. */
  clear(): void {
    this.#wanted.clear()
  }

  #ask(now: Now, index: LogIndex, wanted: { questions: number; askAt: number }): void {
    const { shard, self, others } = this.#host
    const to = others[(index + wanted.questions++) % others.length]!
    wanted.askAt = now.monotonic + ASK_AGAIN_MS
    this.#host.send(to.node, { kind: 'entryWanted', shard, from: self.replica, to: to.replica, index, entryTerm: this.#host.termOf(index) })
  }

  #given(by: Peer, { index, entryTerm, entry }: EntryGiven): void {
    // The log here knows the terms of its entries, also of those whose bytes are gone.
    const known = this.#host.termOf(index)
    if (index > this.#host.committed && entryTerm !== known) return
    if (!this.#isOther(by) || !this.#wanted.delete(index)) return
    this.#host.mended(index, known || entryTerm, entry)
  }

  #answer({ index, entryTerm }: EntryWanted, by: Peer): void {
    if (this.#give(index, by) || this.#asked.length >= ASKED_MAX || this.#asked.some((each) => each.index === index && each.by.replica === by.replica)) return
    this.#asked.push({ index, entryTerm, by })
    this.#host.fetch(index)
  }

  #give(index: LogIndex, { replica, node }: Peer): boolean {
    const entry = this.#host.entry(index)
    if (entry === undefined) return false
    const { shard, self } = this.#host
    this.#host.send(node, { kind: 'entryGiven', shard, from: self.replica, to: replica as ReplicaNumber, index, entryTerm: this.#host.termOf(index), entry })
    return true
  }

  /** Whether the entry here is the one that another copy has under this index, in this term. */
  #isSame(index: LogIndex, entryTerm: Term): boolean {
    return index <= this.#host.committed || (entryTerm !== 0 && this.#host.termOf(index) === entryTerm)
  }

  #isOther(peer: Peer): boolean {
    return this.#host.others.some((other) => other.replica === peer.replica && other.node === peer.node)
  }
}
