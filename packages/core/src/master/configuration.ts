//! Who the masters are, and how that changes (Raft thesis 4.3).
//!
//!   {A,B,C} ──learner──▶ {A,B,C} + D ──replace──▶ {A,B,C}→{A,B,D} both must agree ──leave──▶ {A,B,D}
//!
//! A configuration is in force from the moment it is appended, not from its commit; where the log is cut, the one before
//! is in force again. `History` keeps the newest committed one and what came behind it. The arithmetic is pure.

import { assert, present } from '../assert.ts'
import type { Hash } from '../hash.ts'
import { type Configuration, configuration as configurationRow, logTable } from '../message/command.ts'
import { decode, encode } from '../message/layout.ts'
import { bytes, list, record } from '../message/layout.ts'
import { index as indexField, leaseTime, term as termField, wallTime } from '../message/fields.ts'
import type { Epoch, LeaseTime, LogIndex, NodeId, ReplicaNumber, Term, WallTime } from '../units.ts'
import type { ConfigurationChange, Peer } from './boundary.ts'
import type { Log } from './log.ts'

/** The first byte of an entry that holds a configuration. */
export const CONFIGURATION_TAG = configurationRow.tag
/** As many as the message row takes. */
const MEMBERS_MAX = 16

/** Of a copy that has heard nothing yet: nobody is a master, so it never stands for election. */
export const emptyConfiguration: Configuration = {
  kind: 'configuration', leaseNow: 0 as LeaseTime, wallNow: 0 as WallTime, epoch: 0 as Epoch, nextReplica: 1 as ReplicaNumber, voters: [], outgoing: undefined, learners: [],
}

/** What a shard is born with: `nodes` are its voters, numbered from 1. */
export function birthConfiguration(nodes: readonly NodeId[]): Configuration {
  const voters = nodes.map((node, i) => ({ replica: (i + 1) as ReplicaNumber, node }))
  return { ...emptyConfiguration, epoch: 1 as Epoch, nextReplica: (nodes.length + 1) as ReplicaNumber, voters }
}

export function encodeConfiguration(configuration: Configuration): Uint8Array {
  return logTable.encode(configuration)
}

export function decodeConfiguration(entry: Uint8Array): Configuration {
  const decoded = logTable.decode(entry)
  assert(decoded.kind === 'configuration', 'the entry holds a configuration')
  return decoded
}

export function holds(members: readonly Peer[] | undefined, peer: Peer): boolean {
  if (members === undefined) return false
  for (const member of members) if (member.replica === peer.replica && member.node === peer.node) return true
  return false
}

/** Votes count from here: the voters, and while joint the outgoing ones too. */
export function isVoter(configuration: Configuration, peer: Peer): boolean {
  return holds(configuration.voters, peer) || holds(configuration.outgoing, peer)
}

export function isMember(configuration: Configuration, peer: Peer): boolean {
  return isVoter(configuration, peer) || holds(configuration.learners, peer)
}

/** Voters, outgoing and learners, each once, `self` left out. */
export function othersOf(configuration: Configuration, self: Peer): Peer[] {
  const others: Peer[] = []
  for (const members of [configuration.voters, configuration.outgoing ?? [], configuration.learners]) {
    for (const member of members) if (member.replica !== self.replica && !holds(others, member)) others.push(member)
  }
  return others
}

/** The configuration that the change leads to, or why it is refused. */
export function changed(from: Configuration, change: ConfigurationChange): Configuration | string {
  if (from.outgoing !== undefined) return 'a joint configuration is in force'
  const next = { ...from, epoch: (from.epoch + 1) as Epoch }
  switch (change.kind) {
    case 'learner':
      if (from.learners.some((learner) => learner.node === change.node)) return 'the node has a learner already'
      if (from.learners.length === MEMBERS_MAX) return 'too many learners'
      return { ...next, nextReplica: (from.nextReplica + 1) as ReplicaNumber, learners: [...from.learners, { replica: from.nextReplica, node: change.node }] }
    case 'forgetLearner': {
      const learners = from.learners.filter((learner) => learner.replica !== change.replica)
      return learners.length === from.learners.length ? 'no such learner' : { ...next, learners }
    }
    case 'replace': {
      const { voters } = change
      if (voters.length === 0 || voters.length > MEMBERS_MAX) return 'no or too many voters'
      if (new Set(voters.map((voter) => voter.node)).size !== voters.length) return 'two voters on one node'
      // A number that is no member yet has no log: only learners are promoted.
      if (!voters.every((voter) => isMember(from, voter))) return 'a voter that is no member'
      if (voters.length === from.voters.length && voters.every((voter) => holds(from.voters, voter))) return 'these are the voters already'
      return { ...next, voters: voters.map(plain), outgoing: from.voters, learners: from.learners.filter((learner) => !holds(voters, learner)) }
    }
    default:
      change satisfies never
      return 'unknown change'
  }
}

/** Out of the joint state: the outgoing voters have no more say. */
export function left(from: Configuration): Configuration {
  assert(from.outgoing !== undefined, 'only a joint configuration is left')
  return { ...from, epoch: (from.epoch + 1) as Epoch, outgoing: undefined }
}

interface Placed {
  readonly index: LogIndex
  readonly term: Term
  readonly configuration: Configuration
  readonly bytes: Uint8Array
}

const extraRecord = record({
  leaseNow: leaseTime, wallNow: wallTime, stampedAt: indexField, stampedTerm: termField,
  placed: list(record({ index: indexField, term: termField, bytes: bytes(4096) }), 65_535),
})

export interface Extra {
  readonly leaseNow: LeaseTime
  readonly wallNow: WallTime
  /** The entry that the stamps are at least of: another one at its place may have earlier ones. */
  readonly stampedAt: LogIndex
  readonly stampedTerm: Term
}

export class History {
  /** The first is the newest that is known to be committed, the last is in force. */
  #placed: Placed[]

  constructor(index: LogIndex, term: Term, configuration: Configuration) {
    this.#placed = [place(index, term, configuration)]
  }

  get current(): Configuration {
    return this.#newest.configuration
  }

  /** Where the configuration in force stands in the log. */
  get currentIndex(): LogIndex {
    return this.#newest.index
  }

  get committed(): Configuration {
    return present(this.#placed[0], 'there is a committed configuration').configuration
  }

  get isCommitted(): boolean {
    return this.#placed.length === 1
  }

  /** The newest committed one and those behind it. */
  get all(): readonly Configuration[] {
    return this.#placed.map(({ configuration }) => configuration)
  }

  /** Of all that are kept. */
  get voters(): readonly Peer[] {
    return this.#placed.flatMap(({ configuration: { voters, outgoing } }) => [...voters, ...(outgoing ?? [])])
  }

  /** Whether the claim holds for the configuration in force, or for one that may be again. */
  some(claim: (configuration: Configuration) => boolean): boolean {
    return this.#placed.some((placed) => claim(placed.configuration))
  }

  append(index: LogIndex, term: Term, configuration: Configuration): void {
    assert(index > this.currentIndex, 'configurations follow each other along the log')
    this.#placed.push(place(index, term, configuration))
  }

  /** Whether another configuration is in force now. */
  truncate(from: LogIndex): boolean {
    const before = this.#placed.length
    while (this.#placed.length > 1 && this.currentIndex >= from) this.#placed.pop()
    return this.#placed.length !== before
  }

  /** Whether a configuration has become committed. */
  commit(index: LogIndex): boolean {
    let gone = 0
    while (gone + 1 < this.#placed.length && this.#placed[gone + 1]!.index <= index) gone++
    if (gone > 0) this.#placed.splice(0, gone)
    return gone > 0
  }

  restart(index: LogIndex, term: Term, configuration: Configuration): void {
    this.#placed = [place(index, term, configuration)]
  }

  encodeExtra(stamps: Extra): Uint8Array {
    return encode(extraRecord, { ...stamps, placed: this.#placed })
  }

  /** Takes back what `encodeExtra` wrote, as far as the recovered log and snapshot still say the same. */
  recover(extra: Uint8Array, log: Log, snapshotIndex: LogIndex): Extra {
    const { placed, ...stamps } = decode(extraRecord, extra)
    for (let i = 0; i < placed.length; i++) {
      const { index, term } = placed[i]!
      // The first was committed, so it holds even where the log in front of it is gone; those at or below the snapshot are in it.
      if (index < snapshotIndex || (index === snapshotIndex && snapshotIndex > 0)) continue
      if (i > 0 && log.termAt(index) !== term) break
      const configuration = decodeConfiguration(placed[i]!.bytes)
      if (i === 0) this.restart(index, term, configuration)
      else this.append(index, term, configuration)
    }
    return stamps
  }

  clone(): History {
    const copy = new History(0 as LogIndex, 0 as Term, emptyConfiguration)
    copy.#placed = this.#placed.slice()
    return copy
  }

  mix(hash: Hash): void {
    for (const { index, term, bytes } of this.#placed) hash.number(index).number(term).bytes(bytes)
  }

  get #newest(): Placed {
    return present(this.#placed[this.#placed.length - 1], 'there is a configuration')
  }
}

function place(index: LogIndex, term: Term, configuration: Configuration): Placed {
  return { index, term, configuration, bytes: encodeConfiguration(configuration) }
}

function plain(peer: Peer): Peer {
  return { replica: peer.replica, node: peer.node }
}
