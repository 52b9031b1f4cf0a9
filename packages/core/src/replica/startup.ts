//! What a start finds, one after the other: who this node is, what its journal holds, and what an operator has decided about that.
//!
//!   identity ──▶ journal ──▶ nothing is missing ─────────────────────────────▶ the node runs
//!                   │──▶ a recovery was decided ──▶ Revival ──▶ it is done ──▶
//!                   └──▶ what it held is lost ──▶ another identity ──────────▶ or it halts, where nobody is there to make it anew from

import type { Now } from '../actor.ts'
import type { RecoveredJournal } from '../journal/recovery.ts'
import type { IdentityState } from '../node/identity-file.ts'
import type { ReplicaOptions } from './boundary.ts'
import { isOnlyMaster, lossOf } from './copies.ts'
import { Revival, type RevivalOutbox } from './revival.ts'

export interface StartupOutbox extends Omit<RevivalOutbox, 'done' | 'failed'> {
  readJournal(now: Now): void
  /** What this node held is lost: it comes back as another one, which is `identified` again. */
  renew(now: Now): void
  run(now: Now, journal: RecoveredJournal): void
  log(text: string): void
  halt(reason: string): void
}

export class Startup {
  readonly #options: Pick<ReplicaOptions, 'seeds' | 'range' | 'join'>
  readonly #out: StartupOutbox
  #journal: RecoveredJournal | undefined
  /** What was decided about copies here is being carried out: it gets what the journal has to say. */
  revival: Revival | undefined

  constructor(options: Pick<ReplicaOptions, 'seeds' | 'range' | 'join'>, out: StartupOutbox) {
    this.#options = options
    this.#out = out
  }

  identified(now: Now): void {
    if (this.#journal === undefined) this.#out.readJournal(now)
    else this.#out.run(now, this.#journal)
  }

  recovered(now: Now, { clusterId, recovery, nodeId }: IdentityState, journal: RecoveredJournal): void {
    this.#journal = journal
    const loss = clusterId === undefined ? undefined : lossOf(journal)
    if (recovery !== undefined) {
      if (loss !== undefined) return this.#out.halt(`${loss}, so nothing can be recovered from here: restore the data directory from a backup`)
      this.revival = new Revival(nodeId, recovery, journal.shards, { ...this.#out, done: (at, shards) => this.#revived(at, { ...journal, shards }), failed: (reason) => this.#out.halt(reason) })
      return this.revival.start(now)
    }
    if (loss === undefined || isOnlyMaster(journal)) return this.#out.run(now, journal)
    const { seeds, range, join } = this.#options
    if (seeds.length === 0 && range.length === 0 && !join) return this.#out.halt(`${loss}: restore the data directory from a backup, or empty it to begin anew`)
    this.#out.log(`${loss}: this node comes back as a new one, and what it held is made anew from the other masters`)
    this.#out.renew(now)
  }

  #revived(now: Now, journal: RecoveredJournal): void {
    this.revival = undefined
    this.#journal = journal
    this.#out.run(now, journal)
  }
}
