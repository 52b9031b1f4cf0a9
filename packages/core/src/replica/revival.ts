//! What an operator has decided with `horus recover`, carried out at the node's next start, before anybody hears of it.
//!
//!   snapshot + log of the copy ──applied to its end──▶ books ──numbers of the next recovery epoch──▶ hard state, snapshot ──durable──▶ a copy of one master
//!
//! The decision is one durable write of the identity, so it holds for all its shards or for none. The new snapshot lies behind everything
//! that the log could ever have come to, so it alone makes the difference between before and after: a crash in front of it finds
//! the old copy and begins anew, one behind it finds this shard done.

import type { Now } from '../actor.ts'
import type { JournalInput } from '../journal/journal.ts'
import type { RecoveredShard } from '../journal/rebuild.ts'
import type { LogRecord } from '../master/boundary.ts'
import { encodeConfiguration } from '../master/configuration.ts'
import { entryTimes } from '../message/command.ts'
import { type Imaging, readSmall, smallImage, walked } from '../message/image.ts'
import type { RecoveryDecision } from '../node/identity-file.ts'
import { recoveryBase, recoveryOfIndex } from '../recovery-epoch.ts'
import { Registry } from '../registry/registry.ts'
import { Shard } from '../shard.ts'
import { type LogIndex, type NodeId, REGISTRY_SHARD, type ReplicaNumber, type ShardId } from '../units.ts'
import { NO_EFFECTS as NO_REGISTRY_EFFECTS } from './registry-view.ts'

const READ_BYTES = 1024 * 1024
/** Things done for one piece of the new snapshot. */
const PIECE_WORK = 65_536
const NOTHING = new Uint8Array(0)

export interface RevivalOutbox {
  nextTicket(): number
  journal(now: Now, input: JournalInput): void
  entries(shard: ShardId, from: LogIndex, to: LogIndex, maxBytes: number): readonly LogRecord[] | undefined
  reviving(shard: ShardId, record: LogRecord): void
  /** The log of this copy, which was `replica`, ends at `through` and goes on behind `index`: what the lost masters had beyond that is gone. */
  revived(shard: ShardId, replica: ReplicaNumber, through: LogIndex, index: LogIndex): void
  /** All that was found, with the copies that were decided about as they are now. */
  done(now: Now, shards: readonly RecoveredShard[]): void
  failed(reason: string): void
}

/** The books of one shard, of whichever kind. */
interface Books {
  apply(index: LogIndex, entry: Uint8Array): void
  recover(): void
  freeze(): Imaging
  livePayloads(): readonly LogIndex[]
}

export class Revival {
  readonly #self: NodeId
  readonly #decision: RecoveryDecision
  readonly #shards: RecoveredShard[]
  readonly #out: RevivalOutbox
  #at = -1
  #books: Books | undefined
  #applied = 0 as LogIndex
  /** What bears the times of the last entry. */
  #stamped: Uint8Array = NOTHING
  #revived: RecoveredShard | undefined
  /** Of its snapshot. */
  #ticket = 0

  constructor(self: NodeId, decision: RecoveryDecision, shards: readonly RecoveredShard[], out: RevivalOutbox) {
    this.#self = self
    this.#decision = decision
    this.#shards = [...shards]
    this.#out = out
  }

  start(now: Now): void {
    this.#next(now)
  }

  loaded(now: Now): void {
    this.#apply(now)
  }

  unreadable(_now: Now, index: LogIndex): void {
    this.#out.failed(`shard ${this.#decided.shard} cannot be recovered: its entry ${index} cannot be read; restore the data directory from a backup`)
  }

  /** The snapshot is on the disk: the shard is recovered, whatever happens now. */
  durable(now: Now, ticket: number): void {
    const revived = this.#revived
    if (revived?.snapshot === undefined || ticket < this.#ticket) return
    this.#revived = undefined
    const { shard } = revived
    const { index, term } = revived.snapshot
    this.#out.journal(now, { kind: 'trim', shard, through: this.#applied, keep: this.#books!.livePayloads() })
    this.#out.journal(now, { kind: 'reset', shard, ticket: this.#out.nextTicket(), index, term })
    this.#shards[this.#place] = revived
    this.#next(now)
  }

  get #decided(): RecoveryDecision['shards'][number] {
    return this.#decision.shards[this.#at]!
  }

  get #place(): number {
    return this.#shards.findIndex(({ shard }) => shard === this.#decided.shard)
  }

  #next(now: Now): void {
    this.#at++
    if (this.#at === this.#decision.shards.length) return this.#out.done(now, this.#shards)
    const { shard, recovery } = this.#decided
    const found = this.#shards[this.#place]
    if (found === undefined || (found.snapshot === undefined && found.last < found.first)) return this.#out.failed(`shard ${shard} cannot be recovered: its copy is not here any more`)
    if (found.snapshot !== undefined && recoveryOfIndex(found.snapshot.index) >= recovery) return this.#next(now)
    if (found.suspect) return this.#out.failed(`shard ${shard} cannot be recovered: its copy is damaged; restore the data directory from a backup`)
    // A copy that was filled entry by entry, from the first one on, has no snapshot yet.
    this.#books = booksOf(shard, found.snapshot?.pieces.splice(0), this.#decision)
    this.#applied = found.snapshot?.index ?? (0 as LogIndex)
    this.#stamped = found.snapshot?.configuration ?? NOTHING
    this.#apply(now)
  }

  #apply(now: Now): void {
    const found = this.#shards[this.#place]!
    const { shard, last } = found
    while (this.#applied < last) {
      const from = (this.#applied + 1) as LogIndex
      const records = this.#out.entries(shard, from, last, READ_BYTES)
      if (records === undefined) return this.#out.journal(now, { kind: 'fetch', shard, from, to: last, maxBytes: READ_BYTES })
      for (const record of records) {
        this.#books!.apply(record.index, record.bytes)
        this.#stamped = record.bytes
        this.#applied = record.index
        this.#out.reviving(shard, record)
      }
    }
    this.#write(now, found)
  }

  #write(now: Now, found: RecoveredShard): void {
    const { shard, recovery } = this.#decided
    const base = recoveryBase(recovery)
    const books = this.#books!
    books.recover()
    // The copy's number is new: what was meant for the old one, by a lost master that is back, is nobody's.
    const configuration = encodeConfiguration({
      kind: 'configuration', ...entryTimes(this.#stamped), epoch: base.configuration, nextReplica: (base.replica + 1) as ReplicaNumber,
      voters: [{ replica: base.replica, node: this.#self }], outgoing: undefined, learners: [],
    })
    const hardState = { term: base.term, vote: undefined, self: base.replica, epoch: base.configuration, commit: base.index, extra: NOTHING }
    const snapshot = { index: base.index, term: base.term, configuration, pieces: [] as Uint8Array[] }
    this.#revived = { ...found, hardState, snapshot, first: (base.index + 1) as LogIndex, last: base.index, terms: [] }
    // Said before it is durable: who dies meanwhile finds the old copy, and makes the same of it, or finds that it was done and says nothing.
    this.#out.revived(shard, found.hardState?.self ?? (0 as ReplicaNumber), this.#applied, base.index)
    // In this order: the snapshot says that all of it is there.
    this.#out.journal(now, { kind: 'hardState', shard, ticket: this.#out.nextTicket(), state: hardState })
    this.#out.journal(now, { kind: 'snapshot', shard, index: base.index, term: base.term, configuration })
    const imaging = books.freeze()
    for (let isLast = false; !isLast; ) {
      const { piece, last } = imaging.step(PIECE_WORK)
      isLast = last
      this.#ticket = this.#out.nextTicket()
      snapshot.pieces.push(piece)
      this.#out.journal(now, { kind: 'piece', shard, ticket: this.#ticket, bytes: piece, last })
    }
  }
}

function booksOf(shard: ShardId, pieces: Uint8Array[] | undefined, { shards, destroyed }: RecoveryDecision): Books {
  const { recovery } = shards.find((decided) => decided.shard === shard)!
  if (shard === REGISTRY_SHARD) {
    const registry = pieces === undefined ? new Registry() : Registry.restore(readSmall(pieces))
    return {
      apply: (index, entry) => registry.apply(index, entry, NO_REGISTRY_EFFECTS),
      recover: () => registry.recover(recovery, destroyed),
      freeze: () => smallImage(registry.snapshot()),
      livePayloads: () => [],
    }
  }
  const books = pieces === undefined ? new Shard(shard) : walked(Shard.restoring(shard, pieces), Infinity)!.result
  return {
    apply: (index, entry) => books.apply(index, entry, NO_EFFECTS),
    recover: () => books.recover(recovery),
    freeze: () => books.freeze(),
    livePayloads: () => books.liveEntries(),
  }
}

/** Nobody is answered: whoever waits repeats. */
const NO_EFFECTS = { answer: () => {}, leased: () => {}, lostLease: () => {}, payloadFree: () => {} }
