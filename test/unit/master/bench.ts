//! One master on the bench: inputs by hand, everything that leaves is looked at.

import type { Now } from '@horus/core/actor'
import type { HardState, LogRecord, MasterInput, MasterOutbox, Peer, RecoveredCopy, RestWish, RoleView } from '@horus/core/master/boundary'
import { birthConfiguration } from '@horus/core/master/configuration'
import { Master } from '@horus/core/master/master'
import type { PulseView } from '@horus/core/master/rest'
import { defaultMasterSettings, type MasterSettings } from '@horus/core/master/settings'
import type { Configuration } from '@horus/core/message/command'
import type { ConsensusMessage } from '@horus/core/message/consensus'
import { Random } from '@horus/core/random'
import type { Instant, LogIndex, NodeId, ReplicaNumber, Term, WallTime } from '@horus/core/units'
import { nodeOf, shard } from './cluster.ts'

type Kind = ConsensusMessage['kind']
export type MessageOfKind<K extends Kind> = Extract<ConsensusMessage, { kind: K }>
type Parts<K extends Kind> = Partial<Record<keyof MessageOfKind<K>, unknown>>

export interface BenchOptions {
  readonly replica?: number
  readonly birth?: Configuration | undefined
  readonly recovered?: Partial<RecoveredCopy>
  readonly settings?: Partial<MasterSettings>
  readonly records?: readonly LogRecord[]
  readonly startsAt?: number
  readonly random?: Random
  readonly pulses?: PulseView
}

export class Bench {
  now = 0
  wall = 1_700_000_000_000
  readonly master: Master
  readonly sent: { to: NodeId; message: ConsensusMessage }[] = []
  readonly records: LogRecord[] = []
  hardState: HardState | undefined
  readonly appends: { ticket: number; entries: readonly LogRecord[] }[] = []
  ticket = 0
  committed = 0
  readonly readable: [number, number][] = []
  readonly refused: number[] = []
  roles: RoleView[] = []
  /** Wishes for a rest, and ends of one. */
  readonly rests: (RestWish | undefined)[] = []
  removed: number | undefined
  installs: { index: number; image: Uint8Array }[] = []
  opened: number[] = []
  trimmed = 0
  readonly logs: string[] = []

  constructor(options: BenchOptions = {}) {
    const replica = options.replica ?? 1
    this.now = options.startsAt ?? 0
    this.records.push(...(options.records ?? []))
    const bench = this
    const recovered = options.recovered && { hardState: undefined, snapshot: undefined, firstIndex: 1 as LogIndex, lastIndex: 0 as LogIndex, terms: [], suspect: false, ...options.recovered }
    this.master = new Master({
      shard, self: peer(replica), settings: { ...defaultMasterSettings, ...options.settings }, random: options.random ?? new Random(5), now: this.time,
      reader: {
        freeBytes: 1000,
        reserveBytes: 0,
        entries: (_shard, from, to) => bench.records.filter((record) => record.index >= from && record.index <= to),
      },
      birth: 'birth' in options ? options.birth : birthConfiguration([nodeOf(0), nodeOf(1), nodeOf(2)]),
      recovered, pulses: options.pulses,
    })
  }

  get time(): Now {
    return { monotonic: this.now as Instant, wall: this.wall as WallTime }
  }

  input(input: MasterInput): this {
    this.master.receive(this.time, input, this.#out)
    return this
  }

  /** From replica `from` on its own node, to this copy, unless told otherwise. */
  message<K extends Kind>(kind: K, from: number, parts: Parts<K>): this {
    const defaults = { shard, from, to: this.master.self.replica, wall: this.wall, entries: [], freeBytes: 1, suspect: false, hintIndex: 0, hintTerm: 0, leader: undefined, transfer: false }
    return this.input({ kind: 'message', from: nodeOf(from - 1), message: { ...defaults, ...parts, kind } as unknown as ConsensusMessage })
  }

  durable(ticket = this.ticket): this {
    return this.input({ kind: 'durable', ticket })
  }

  turn(): this {
    return this.input({ kind: 'turn' })
  }

  /** Time passes; the master is woken whenever it wants. */
  pass(ms: number): this {
    const until = this.now + ms
    while (this.master.wakeAt <= until) {
      const at = Math.max(this.now, this.master.wakeAt)
      this.wall += at - this.now
      this.now = at
      this.master.wake(this.time, this.#out)
    }
    this.wall += until - this.now
    this.now = until
    return this
  }

  /** A jump without being called. */
  stall(ms: number): this {
    this.now += ms
    this.wall += ms
    return this
  }

  /** Takes out what was sent of that kind. */
  take<K extends Kind>(kind: K): MessageOfKind<K>[] {
    const found = this.sent.filter((each) => each.message.kind === kind)
    for (const each of found) this.sent.splice(this.sent.indexOf(each), 1)
    return found.map((each) => each.message as MessageOfKind<K>)
  }

  /** Elected in the next term by everybody it asks; its no-op is appended, durable here and not yet answered. */
  elect(): this {
    while (this.master.role !== 'candidate') this.pass(50)
    for (const ask of this.take('preVote')) this.message('preVoteAnswer', ask.to, { term: this.master.term, asked: this.master.term + 1, granted: true })
    this.durable()
    for (const ask of this.take('vote')) this.message('voteAnswer', ask.to, { term: this.master.term, granted: true })
    return this.durable()
  }

  /** Follower `from` has everything up to `match` on its disk. */
  acknowledge(from: number, match = this.master.lastIndex as number, parts: Parts<'appendAnswer'> = {}): this {
    const asked = this.sent.filter((each) => each.message.kind === 'append' && each.message.to === from)
    const round = (asked[asked.length - 1]?.message as MessageOfKind<'append'> | undefined)?.round ?? 1
    return this.message('appendAnswer', from, { term: this.master.term, round, accepted: true, match, reached: match, ...parts })
  }

  readonly #out: MasterOutbox = {
    send: (to, message) => void this.sent.push({ to, message }),
    append: (ticket, entries) => {
      this.ticket = ticket
      this.appends.push({ ticket, entries })
      const from = this.records.findIndex((record) => record.index >= entries[0]!.index)
      if (from >= 0) this.records.length = from
      this.records.push(...entries)
    },
    hardState: (ticket, state) => {
      this.ticket = ticket
      this.hardState = state
    },
    fetch: () => {},
    rest: (wish) => void this.rests.push(wish),
    trim: (through) => void (this.trimmed = through),
    committed: (index) => void (this.committed = index),
    readable: (id, index) => void this.readable.push([id, index]),
    readRefused: (id) => void this.refused.push(id),
    role: (view) => void this.roles.push(view),
    configured: () => {},
    openSnapshot: (to) => void this.opened.push(to),
    install: (snapshot) => void this.installs.push(snapshot),
    removed: (epoch) => void (this.removed = epoch),
    log: (text) => void this.logs.push(text),
  }
}

export function peer(replica: number): Peer {
  return { replica: replica as ReplicaNumber, node: nodeOf(replica - 1) }
}

export function record(index: number, term: number, bytes: Uint8Array): LogRecord {
  return { index: index as LogIndex, term: term as Term, bytes }
}
