//! The copies of shards that this node holds: made from the disk, by a birth, or by a leader's first word; given up when the
//! shard goes on without them.
//!
//!   recovered ─┐
//!   birth ─────┼──▶ hosted ──removed, or followed by a copy under a new number──▶ retired: only its number stays, for ever
//!   append ────┘
//!
//! A number that was given up is never taken again. Its vote may be counted in a configuration that some partitioned master still
//! believes in, and an empty copy under that number would vote without what the old one had acknowledged.

import type { Now } from '../actor.ts'
import type { Journal } from '../journal/journal.ts'
import type { RecoveredShard } from '../journal/rebuild.ts'
import type { RecoveredJournal } from '../journal/recovery.ts'
import type { HardState } from '../journal/state.ts'
import type { RoleView } from '../master/boundary.ts'
import { birthConfiguration } from '../master/configuration.ts'
import { Master } from '../master/master.ts'
import type { PulseView } from '../master/rest.ts'
import type { MasterSettings } from '../master/settings.ts'
import { type Configuration, logTable } from '../message/command.ts'
import type { ConsensusMessage } from '../message/consensus.ts'
import { MASTERS_MAX } from '../message/registry.ts'
import type { Random } from '../random.ts'
import { type Epoch, type LogIndex, type NodeId, REGISTRY_SHARD, type ReplicaNumber, type ShardId, type Term } from '../units.ts'
import { Agenda } from './agenda.ts'
import { Hosted, type HostedOutbox } from './hosted.ts'
import { JobMachine, type JobMachineOutbox } from './job-machine.ts'
import type { Machine } from './machine.ts'
import { copyOf } from './recovered.ts'
import { RegistryMachine, type RegistryMachineOutbox } from './registry-machine.ts'

export interface CopySettings {
  readonly masters: MasterSettings
  readonly snapshotEntries: number
  readonly snapshotBytes: number
  readonly snapshotStep?: number
}

/** What the cluster knows of shards. */
export interface CopyCluster {
  self(): NodeId
  /** Who held a shard when it was born, in the order of their numbers; undefined where that is not known here yet. */
  firstMasters(shard: ShardId): readonly NodeId[] | undefined
  /** The disk is known to hold what it once held: copies may vote. */
  isCleared(): boolean
  readonly pulses: Omit<PulseView, 'isIdle'>
  /** The registry stands behind a copy of the shard in that term. */
  isEntitled(shard: ShardId, term: Term): boolean
  /** This node's copy of shard 0 has come or gone. */
  registryHosted(registry: RegistryMachine | undefined): void
  /** A copy was given up: what is said of all copies may hold now. */
  retired(): void
}

export interface CopyOutboxes {
  readonly hosted: HostedOutbox
  readonly jobs: JobMachineOutbox
  readonly registry: RegistryMachineOutbox
}

export class Copies {
  readonly hosted = new Map<ShardId, Hosted>()
  readonly jobs = new Map<ShardId, JobMachine>()
  readonly agenda = new Agenda<Hosted>()
  /** Those that lead, and those that know no leader. */
  readonly led = new Set<Hosted>()
  readonly leaderless = new Set<Hosted>()
  registry: RegistryMachine | undefined
  /** The highest number under which a copy of a shard was ever held here and given up. */
  readonly #retired = new Map<ShardId, ReplicaNumber>()
  readonly #settings: CopySettings
  readonly #random: Random
  readonly #journal: Journal
  readonly #cluster: CopyCluster
  readonly #out: CopyOutboxes

  constructor(settings: CopySettings, random: Random, journal: Journal, cluster: CopyCluster, out: CopyOutboxes) {
    this.#settings = settings
    this.#random = random
    this.#journal = journal
    this.#cluster = cluster
    this.#out = out
  }

  recover(now: Now, shard: RecoveredShard): void {
    if (isRetired(shard)) this.#retired.set(shard.shard, shard.hardState!.self)
    else if (!isBlank(shard)) this.#host(now, shard, undefined, this.#numberOf(shard))
  }

  /** The number under which a recovered copy counts: in its hard state, or, before any was written, in what it was born with. */
  #numberOf(recovered: RecoveredShard): ReplicaNumber {
    if (recovered.hardState !== undefined) return recovered.hardState.self
    // Rot may leave entries and neither of the two: number 0 is nobody's, so such a copy never votes and acknowledges nothing.
    if (recovered.snapshot === undefined) return 0 as ReplicaNumber
    const entry = logTable.decode(recovered.snapshot.configuration)
    const own = entry.kind === 'configuration' ? entry.voters.find((voter) => voter.node === this.#cluster.self()) : undefined
    return own?.replica ?? (0 as ReplicaNumber)
  }

  #host(now: Now, recovered: RecoveredShard, birth: Configuration | undefined, replica: ReplicaNumber): Hosted {
    const { shard } = recovered
    const { masters: settings, ...snapshots } = this.#settings
    const machine = shard === REGISTRY_SHARD ? new RegistryMachine(this.#out.registry) : new JobMachine(shard, this.#out.jobs)
    const hosted = new Hosted({ shard, ...snapshots }, machine, recovered, this.#out.hosted)
    machine.attach(hosted)
    this.hosted.set(shard, hosted)
    this.agenda.add(hosted)
    this.leaderless.add(hosted)
    if (machine instanceof JobMachine) this.jobs.set(shard, machine)
    else this.registry = machine
    hosted.start(now, () => new Master({
      shard, self: { replica, node: this.#cluster.self() }, settings, random: this.#random.fork(), reader: this.#journal, now, birth, isCleared: () => this.#cluster.isCleared(), isEntitled: (term) => this.#cluster.isEntitled(shard, term), pulses: viewOf(this.#cluster.pulses, machine),
      recovered: birth === undefined && recovered.snapshot === undefined && recovered.hardState === undefined ? undefined : copyOf(recovered),
    }))
    return hosted
  }

  /** What is said of a copy's role, for whoever wants to know it of all. */
  noteRole(hosted: Hosted, { role, leader }: RoleView): void {
    if (this.hosted.get(hosted.shard) !== hosted) return
    if (role === 'leader') this.led.add(hosted)
    else this.led.delete(hosted)
    if (leader === undefined) this.leaderless.add(hosted)
    else this.leaderless.delete(hosted)
  }

  /** What the registry thinks of copies here may have changed. */
  judge(now: Now): void {
    for (const hosted of this.hosted.values()) if (hosted.master.isMisjudged) hosted.input(now, { kind: 'standing' })
  }

  /** This node is among the first masters of a shard; `done` when its copy is durable, or was here before. */
  bear(now: Now, shard: ShardId, masters: readonly NodeId[], done: () => void): void {
    if (this.hosted.has(shard) || this.#retired.has(shard)) return done()
    const birth = birthConfiguration(masters)
    const self = birth.voters.find((voter) => voter.node === this.#cluster.self())!.replica
    const hosted = this.#host(now, empty(shard), birth, self)
    hosted.born(now, self, logTable.encode(birth), done)
    if (shard === REGISTRY_SHARD) this.#cluster.registryHosted(this.registry)
  }

  /**
   * A leader addresses a copy that is not here yet: it is made empty, and filled by that leader. Not so a copy that the shard was
   * born with: that one begins with the configuration of the birth, which the registry will tell, or it could never vote.
   */
  adopt(now: Now, message: ConsensusMessage): Hosted | undefined {
    const { shard, to: replica } = message
    if (message.kind !== 'append' && message.kind !== 'snapshot') return undefined
    if (this.isGone(shard, replica)) return undefined
    if (this.#mayBeOfBirth(shard, replica)) return undefined
    const present = this.hosted.get(shard)
    if (present !== undefined) {
      // A healthy member goes on until it has learnt that it is none: its vote may be what keeps the shard going. Not so where the very
      // leader that it follows speaks to a copy after it: that one has found it below what it acknowledged, and would wait for ever. A
      // copy in doubt has no say, whatever term it has heard of: it may be one that the leader will never reach.
      const { term, leader, isMember, isSuspect } = present.master
      const doubted = message.term === term && leader?.replica === message.from
      if (!isSuspect && (message.term < term || (isMember && !doubted))) return undefined
      this.retire(now, shard)
    }
    const hosted = this.#host(now, empty(shard), undefined, replica)
    hosted.adopted(now, replica)
    if (shard === REGISTRY_SHARD) this.#cluster.registryHosted(this.registry)
    return hosted
  }

  /** A higher number is none of a birth, which a node must know that knows nothing else: its own copy of the registry may be the empty one. */
  #mayBeOfBirth(shard: ShardId, replica: ReplicaNumber): boolean {
    if (replica > MASTERS_MAX) return false
    const first = this.#cluster.firstMasters(shard)
    return first === undefined || first[replica - 1] === this.#cluster.self()
  }

  /** The node's copy under this number was given up, or a later one has taken its place: nobody answers for it any more. */
  isGone(shard: ShardId, replica: ReplicaNumber): boolean {
    return replica <= (this.#retired.get(shard) ?? 0) || replica < (this.hosted.get(shard)?.master.self.replica ?? 0)
  }

  /** The copy is out of its shard's configuration, or is followed by one under a new number: its data goes, its number stays known. */
  retire(now: Now, shard: ShardId): void {
    const hosted = this.hosted.get(shard)
    if (hosted === undefined) return
    this.hosted.delete(shard)
    this.agenda.drop(hosted)
    this.led.delete(hosted)
    this.leaderless.delete(hosted)
    this.jobs.delete(shard)
    this.#retired.set(shard, hosted.master.self.replica)
    const { hosted: out } = this.#out
    out.rest(hosted, undefined)
    out.journal(now, { kind: 'drop', shard })
    out.journal(now, { kind: 'hardState', shard, ticket: out.nextTicket(), state: retiredState(hosted.master.self.replica) })
    this.#cluster.retired()
    if (shard !== REGISTRY_SHARD) return
    this.registry = undefined
    this.#cluster.registryHosted(undefined)
  }
}

/**
 * Why it is not known which copies this node held, or under which numbers: then none of them may vote again, and no number that a
 * leader names can be told from one that has voted. Undefined where that is known.
 */
export function lossOf({ shards, doubt, empty }: RecoveredJournal): string | undefined {
  if (empty) return 'the journal is gone'
  if (doubt) return 'the newest part of the journal is damaged'
  return shards.some(({ hardState, snapshot }) => hardState === undefined && snapshot === undefined) ? 'the journal holds a copy without its number' : undefined
}

/** Of some shard nobody else has a copy: what is left of this one is all there is. */
export function isOnlyMaster({ shards }: RecoveredJournal): boolean {
  return shards.some(({ snapshot }) => {
    const entry = snapshot === undefined ? undefined : logTable.decode(snapshot.configuration)
    return entry?.kind === 'configuration' && entry.voters.length === 1 && entry.outgoing === undefined
  })
}

function viewOf(pulses: Omit<PulseView, 'isIdle'>, machine: Machine): PulseView {
  return {
    heardAt: (leader) => pulses.heardAt(leader),
    proofOf: (follower) => pulses.proofOf(follower),
    get awakeMs() {
      return pulses.awakeMs
    },
    get isIdle() {
      return machine.isIdle
    },
  }
}

/** A copy that was given up leaves this behind, so that nothing meant for it ever makes it again. */
const RETIRED = new Uint8Array([0xff])

function retiredState(self: ReplicaNumber): HardState {
  return { term: 0 as Term, vote: undefined, self, epoch: 0 as Epoch, commit: 0 as LogIndex, extra: RETIRED }
}

export function isRetired(recovered: RecoveredShard): boolean {
  const extra = recovered.hardState?.extra
  return extra !== undefined && extra.length === 1 && extra[0] === RETIRED[0]
}

/**
 * Nothing of a birth but the copy's number reached the disk: it has promised nothing, since every promise brings a hard state of the
 * master's own. So it is born again, or it would go on without the configuration that it was born with, and never vote. Mostly births
 * give numbers this low; a later copy is filled by its leader, and stands for the numbers before it that are not to come back.
 */
function isBlank({ hardState, snapshot, first, last, suspect }: RecoveredShard): boolean {
  return hardState !== undefined && hardState.self <= MASTERS_MAX && hardState.extra.length === 0 && snapshot === undefined && last < first && !suspect
}

function empty(shard: ShardId): RecoveredShard {
  return { shard, hardState: undefined, snapshot: undefined, first: 1 as LogIndex, last: 0 as LogIndex, terms: [], suspect: false }
}

