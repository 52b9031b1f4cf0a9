//! A master with its disk. Its election time-out has no length: it may run out at any moment, and nobody keeps to a leader because of the hour.
//! So every order of time-outs is seen while the clock stands; only a heartbeat of a leader moves its own.

import type { Now } from '@horus/core/actor'
import { Hash } from '@horus/core/hash'
import type { ConfigurationChange, LogReader, LogRecord, MasterInput, MasterOutbox } from '@horus/core/master/boundary'
import { Master } from '@horus/core/master/master'
import { defaultMasterSettings, type MasterSettings } from '@horus/core/master/settings'
import type { Configuration } from '@horus/core/message/command'
import { type ConsensusMessage, consensusRows } from '@horus/core/message/consensus'
import { Table } from '@horus/core/message/layout'
import type { Instant, LogIndex, NodeId, ReplicaNumber, ShardId, WallTime } from '@horus/core/units'
import { entryOf } from '../../unit/master/cluster.ts'
import { Even } from '../../unit/master/even.ts'
import { ModelJournal } from '../../unit/master/model.ts'
import { idOf } from '../../unit/names.ts'
import type { Input, Move, Participant, Send } from '../participant.ts'

const SHARD = 7 as ShardId
const table = new Table<(typeof consensusRows)[number]>(consensusRows)

/** No time passes: what waits for an hour is due at once, and the lease clock stands still. */
const SETTINGS: MasterSettings = { ...defaultMasterSettings, electionMs: 0, heartbeatMs: 1, linkDownDelayMs: 0, hastyRetryMs: 0, leaseStallMs: 0, leaseGapMs: 0, leasePollMs: 1, commitWriteMs: 0, keepEntries: 0, caughtUpEntries: 0 }

export interface Rules {
  readonly birth: Configuration
  readonly termMax: number
  readonly nodes: readonly NodeId[]
  /** Whose election timers may run out. */
  readonly candidates: readonly number[]
  /** What a leader may be asked to change, one of each. */
  readonly changes: readonly ConfigurationChange[]
}

/** The journal of whichever copy is being run: actors read from the disk while they are called, and only then. */
class Desk implements LogReader {
  journal = new ModelJournal()
  readonly freeBytes = 1e9
  readonly reserveBytes = 0

  entries(shard: ShardId, from: LogIndex, to: LogIndex, maxBytes: number): readonly LogRecord[] | undefined {
    return this.journal.entries(shard, from, to, maxBytes)
  }
}

const desk = new Desk()
const random = new Even()

export class Copy implements Participant {
  readonly index: number
  readonly rules: Rules
  master: Master | undefined
  journal: ModelJournal
  #clock = 0

  constructor(index: number, rules: Rules, journal = new ModelJournal()) {
    this.index = index
    this.rules = rules
    this.journal = journal
  }

  static born(index: number, rules: Rules): Copy {
    const copy = new Copy(index, rules)
    copy.#boot((index + 1) as ReplicaNumber)
    return copy
  }

  clone(): this {
    const copy = new Copy(this.index, this.rules, this.journal.clone())
    copy.master = this.master?.clone()
    copy.#clock = this.#clock
    return copy as this
  }

  digest(): string {
    const hash = new Hash().text(this.master?.digest() ?? '')
    if (this.master === undefined) return hash.word(this.index).digest()
    this.journal.mix(hash)
    return hash.digest()
  }

  get isBeyond(): boolean {
    return this.master !== undefined && this.master.term > this.rules.termMax
  }

  /**
   * Answers to what was asked in a term that is over: its term is on the disk, so not even a crash leads back, and a node stands for election and leads at most
   * once in a term.
   */
  ignores(bytes: Uint8Array): boolean {
    const { master, journal } = this
    const message = decoded(bytes)
    if (master === undefined || message.term > journal.durableTerm) return false
    const isInTerm = master.term === message.term
    if (message.kind === 'preVoteAnswer') return message.asked <= journal.durableTerm && message.leader === undefined
    if (message.kind === 'voteAnswer') return !isInTerm || master.role !== 'candidate'
    return message.kind === 'appendAnswer' && (!isInTerm || master.role === 'follower')
  }

  /** The entry of the log, durable or not. */
  entry(index: number): LogRecord | undefined {
    if (this.master === undefined || index > this.master.lastIndex || index < 1) return undefined
    return this.journal.live(index as LogIndex)
  }

  moves(): readonly Move[] {
    const { master, journal, rules } = this
    if (master === undefined) return []
    const moves: Move[] = []
    const isLeader = master.role === 'leader'
    if (isLeader) moves.push({ kind: 'heartbeat', argument: 0, cost: 'heartbeat' }, { kind: 'step down', argument: 0, cost: 'step down' })
    else if (master.wakeAt < Infinity && rules.candidates.includes(this.index)) moves.push({ kind: 'timeout', argument: 0, cost: 'timeout' })
    for (let count = 1; count <= journal.pending; count++) moves.push({ kind: 'flush', argument: count })
    for (let count = 0; count <= journal.pending; count++) moves.push({ kind: 'crash', argument: count, cost: 'crash' })
    if (isLeader && master.term < rules.termMax) moves.push({ kind: 'propose', argument: 0, cost: 'proposal' })
    if (isLeader) for (const i of rules.changes.keys()) moves.push({ kind: 'change', argument: i, cost: `change ${i + 1}` })
    return moves
  }

  take(input: Input, send: Send): void {
    if (input.kind === 'message') return this.#message(input.from, decoded(input.bytes), send)
    const { kind, argument } = input.move
    switch (kind) {
      case 'heartbeat':
        // It was not called for a while, so it is not held against the others that they were not heard.
        this.#clock += SETTINGS.heartbeatMs
        return this.#wake(send)
      case 'timeout':
      case 'step down':
        return this.#wake(send)
      case 'flush': {
        const ticket = this.journal.flush(argument).reduce((last, mark) => (mark.kind === 'master' ? mark.ticket : last), 0)
        return this.#receive({ kind: 'durable', ticket }, send)
      }
      case 'crash':
        this.journal.crash(argument)
        return this.#boot(this.master!.self.replica)
      case 'propose':
        this.#receive({ kind: 'propose', entry: entryOf(this.index) }, send)
        return this.#receive({ kind: 'turn' }, send)
      case 'change':
        return this.#receive({ kind: 'reconfigure', change: this.rules.changes[argument]! }, send)
      default:
        throw new RangeError(`no such move: ${kind}`)
    }
  }

  tell(): string {
    const { master, journal } = this
    if (master === undefined) return 'has no copy'
    const log: string[] = []
    for (let index = 1; index <= master.lastIndex; index++) log.push(`${master.termAt(index as LogIndex)}${journal.durable(index as LogIndex)?.term === master.termAt(index as LogIndex) ? '' : '?'}`)
    return `${master.role} in term ${master.term}, log [${log.join(' ')}], committed ${master.commitIndex}, ${journal.pending} writes under way`
  }

  /** A copy that is new, or comes back with what its disk has. */
  #boot(replica: ReplicaNumber): void {
    const recovered = this.journal.recovered(false)
    const isBorn = replica <= this.rules.birth.voters.length && recovered.hardState === undefined
    this.#clock = 0
    // In memory again: reading back what the disk has is the journal's affair.
    this.journal.coldBelow = 0
    this.master = new Master({ shard: SHARD, self: { replica, node: this.rules.nodes[this.index]! }, settings: SETTINGS, random, reader: desk, now: this.#now, recovered, birth: isBorn ? this.rules.birth : undefined })
  }

  #message(from: number, message: ConsensusMessage, send: Send): void {
    const { master } = this
    // As the composer of a node does: a leader's word to a copy that is not there makes it.
    const makes = (message.kind === 'append' || message.kind === 'snapshot') && (master === undefined || (!master.isMember && message.to > master.self.replica))
    if (makes) {
      this.journal = new ModelJournal()
      this.#boot(message.to)
    }
    if (this.master !== undefined) this.#receive({ kind: 'message', from: this.rules.nodes[from]!, message }, send)
  }

  #wake(send: Send): void {
    this.#call(send, (master, now, out) => master.wake(now, out))
  }

  #receive(input: MasterInput, send: Send): void {
    this.#call(send, (master, now, out) => master.receive(now, input, out))
  }

  #call(send: Send, action: (master: Master, now: Now, out: MasterOutbox) => void): void {
    desk.journal = this.journal
    action(this.master!, this.#now, this.#outbox(send))
  }

  get #now(): Now {
    return { monotonic: this.#clock as Instant, wall: 0 as WallTime }
  }

  #outbox(send: Send): MasterOutbox {
    const { journal, rules } = this
    const missing = (what: string) => (): never => {
      throw new Error(`${what} is outside this scope`)
    }
    return {
      send: (to, message) => send(rules.nodes.indexOf(to), table.encode(message).slice()),
      append: (ticket, entries) => journal.do({ kind: 'append', entries }, { kind: 'master', ticket }),
      hardState: (ticket, state) => journal.do({ kind: 'hardState', state }, { kind: 'master', ticket }),
      committed: () => {}, role: () => {}, configured: () => {}, log: () => {},
      readable: () => {}, readRefused: () => {},
      rest: () => {},
      removed: () => {
        this.master = undefined
        this.journal = new ModelJournal()
      },
      fetch: missing('reading from the disk'), trim: missing('trimming the log'), openSnapshot: missing('a snapshot'), install: missing('a snapshot'),
    }
  }
}

export function nodesOf(count: number): readonly NodeId[] {
  return Array.from({ length: count }, (_, i) => idOf(i))
}

const messages = new Map<Uint8Array, ConsensusMessage>()

/** Bytes of one message are one array, so it is read once. */
export function decoded(bytes: Uint8Array): ConsensusMessage {
  let message = messages.get(bytes)
  if (message === undefined) messages.set(bytes, (message = table.decode(bytes)))
  return message
}

export function tellMessage(bytes: Uint8Array): string {
  const { kind, shard: _shard, from: _from, to: _to, ...rest } = decoded(bytes)
  const details = Object.entries(rest).map(([name, value]) => {
    if (name === 'entries') return `entries of terms [${(value as readonly { term: number }[]).map(({ term }) => term).join(' ')}]`
    return value === undefined || name === 'wall' || name === 'freeBytes' ? '' : `${name} ${typeof value === 'object' ? JSON.stringify(value) : value}`
  })
  return `${kind} (${details.filter((detail) => detail !== '').join(', ')})`
}
