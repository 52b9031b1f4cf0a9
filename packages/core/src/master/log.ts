//! What a master knows of its log without reading it: from where to where it goes, and where each term begins.
//!
//!       base │ first ............................ last
//!            │  runs: (first, t1) (i, t2) (j, t3)
//!
//! Of the entry at `base` only the term is known: it is covered by a snapshot, and what follows can be checked against it.
//! The bytes stay in the journal.

import { assert } from '../assert.ts'
import type { Hash } from '../hash.ts'
import type { LogIndex, Term } from '../units.ts'
import type { RecoveredCopy } from './boundary.ts'

export class Log {
  #base = 0
  #baseTerm = 0
  #last = 0
  /** Where each term begins; both arrays rise. */
  #starts: number[] = []
  #terms: number[] = []

  static recover(copy: RecoveredCopy): Log {
    const log = new Log()
    const snapshotIndex = copy.snapshot?.index ?? 0
    const snapshotTerm = copy.snapshot?.term ?? 0
    log.restart(snapshotIndex, snapshotTerm)
    // A log that ends before the snapshot or begins after a hole behind it says nothing that the snapshot does not.
    if (copy.lastIndex < copy.firstIndex || copy.lastIndex < snapshotIndex || copy.firstIndex > snapshotIndex + 1) return log
    const whole = new Log()
    for (const run of copy.terms) {
      whole.#starts.push(Math.max(run.index, copy.firstIndex))
      whole.#terms.push(run.term)
    }
    whole.#last = copy.lastIndex
    if (copy.firstIndex === snapshotIndex + 1) {
      whole.#base = snapshotIndex
      whole.#baseTerm = snapshotTerm
      return whole
    }
    const first = whole.#terms[0]
    assert(first !== undefined, 'a log that is not empty has a term')
    // The term in front of the first entry is not known any more: the first entry takes its place.
    whole.#base = copy.firstIndex
    whole.#baseTerm = first
    whole.#forgetRuns()
    // Crashed between an installed snapshot and the restart of the log: what is left of the old log contradicts it.
    return whole.termAt(snapshotIndex as LogIndex) === snapshotTerm ? whole : log
  }

  /** The oldest entry that can be read. */
  get first(): LogIndex {
    return (this.#base + 1) as LogIndex
  }

  get base(): LogIndex {
    return this.#base as LogIndex
  }

  get last(): LogIndex {
    return this.#last as LogIndex
  }

  get lastTerm(): Term {
    return (this.#terms.length > 0 ? this.#terms[this.#terms.length - 1]! : this.#baseTerm) as Term
  }

  /** The term of an entry from `base` to `last`; undefined elsewhere. */
  termAt(index: LogIndex): Term | undefined {
    if (index < this.#base || index > this.#last) return undefined
    if (index === this.#base) return this.#baseTerm as Term
    let run = this.#starts.length - 1
    while (this.#starts[run]! > index) run--
    return this.#terms[run]! as Term
  }

  /** One entry more at the end. */
  push(term: Term): LogIndex {
    const index = ++this.#last
    assert(term >= this.lastTerm, 'terms never fall along a log')
    if (this.#terms.length === 0 || this.#terms[this.#terms.length - 1] !== term) {
      this.#starts.push(index)
      this.#terms.push(term)
    }
    return index as LogIndex
  }

  /** Drops `from` and everything behind it. */
  truncate(from: LogIndex): void {
    assert(from > this.#base, 'what a snapshot covers is never dropped')
    this.#last = Math.min(this.#last, from - 1)
    while (this.#starts.length > 0 && this.#starts[this.#starts.length - 1]! > this.#last) {
      this.#starts.pop()
      this.#terms.pop()
    }
  }

  /** Moves the base up to `index`, an entry of this log. */
  trim(index: LogIndex): void {
    const term = this.termAt(index)
    assert(term !== undefined, 'the new base is in the log')
    this.#base = index
    this.#baseTerm = term
    this.#forgetRuns()
  }

  /** The log is empty behind an entry that only a snapshot has. */
  restart(index: number, term: number): void {
    this.#base = this.#last = index
    this.#baseTerm = term
    this.#starts = []
    this.#terms = []
  }

  /** Is a log that ends with this entry at least as new as mine? (Raft 5.4.1) */
  isUpToDate(lastIndex: LogIndex, lastTerm: Term): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.#last)
  }

  /**
   * The newest entry, at most `index`, whose term is at most `term`: the newest one at which this log and another, that
   * has `term` at `index`, may still agree. Below the base where that lies there.
   */
  mayAgreeAt(index: LogIndex, term: Term): LogIndex {
    if (index < this.#base) return index
    let at = Math.min(index, this.#last)
    for (let run = this.#starts.length - 1; run >= 0 && at > this.#base; run--) {
      if (this.#starts[run]! > at) continue
      if (this.#terms[run]! <= term) return at as LogIndex
      at = this.#starts[run]! - 1
    }
    return (this.#baseTerm <= term ? this.#base : this.#base - 1) as LogIndex
  }

  clone(): Log {
    const copy = new Log()
    copy.#base = this.#base
    copy.#baseTerm = this.#baseTerm
    copy.#last = this.#last
    copy.#starts = this.#starts.slice()
    copy.#terms = this.#terms.slice()
    return copy
  }

  mix(hash: Hash): void {
    hash.number(this.#base).number(this.#baseTerm).number(this.#last)
    for (let i = 0; i < this.#starts.length; i++) hash.number(this.#starts[i]!).number(this.#terms[i]!)
  }

  /** Runs at or below the base go; the one that reaches over it begins behind it. */
  #forgetRuns(): void {
    let gone = 0
    while (gone + 1 < this.#starts.length && this.#starts[gone + 1]! <= this.#base + 1) gone++
    this.#starts.splice(0, gone)
    this.#terms.splice(0, gone)
    if (this.#base === this.#last) {
      this.#starts = []
      this.#terms = []
    } else if (this.#starts.length > 0 && this.#starts[0]! <= this.#base) this.#starts[0] = this.#base + 1
  }
}
