//! A node: the one composer, which routes inputs to journal, masters, books, membership and registry.
//!
//!   input ──▶ who is it for? ──▶ one actor ──▶ what it says is noted ──▶ ... until nobody has anything left to say
//!
//! The parts never call each other. `Cluster` knows who is where, a `Hosted` is one copy of a shard, `Front` is where clients
//! end; the journal is shared by all. A turn ends with everything that was gathered going to the disk and to the peers.

import type { Now } from './actor.ts'
import { Front } from './front/front.ts'
import { Hash } from './hash.ts'
import { Journal, type JournalInput, type JournalOutbox } from './journal/journal.ts'
import type { RecoveredShard } from './journal/rebuild.ts'
import type { RecoveredJournal } from './journal/recovery.ts'
import type { Endpoint } from './lead/endpoint.ts'
import type { RoleView } from './master/boundary.ts'
import { Master } from './master/master.ts'
import { defaultMasterSettings, type MasterSettings } from './master/settings.ts'
import type { ClientMessage } from './message/client.ts'
import { type Configuration, logTable } from './message/command.ts'
import type { ConsensusMessage } from './message/consensus.ts'
import { MalformedMessage } from './message/layout.ts'
import { type LinkMessage, linkTable } from './message/messages.ts'
import { Caretaker } from './replica/caretaker.ts'
import { Cluster } from './replica/cluster.ts'
import type { ReplicaInput, ReplicaObservation, ReplicaOptions, ReplicaOutbox, ReplicaPlace } from './replica/boundary.ts'
import { DeviceDesk } from './replica/device-desk.ts'
import { NodeDirectory } from './replica/directory.ts'
import { copyOf, Hosted, type HostedOutbox } from './replica/hosted.ts'
import { JobMachine, type JobMachineOutbox } from './replica/job-machine.ts'
import { RegistryMachine } from './replica/registry-machine.ts'
import type { Random } from './random.ts'
import { type ConnectionId, type Epoch, type Instant, type LogIndex, type NodeId, REGISTRY_SHARD, type ReplicaNumber, type ShardId, type Term, type WallTime } from './units.ts'

export type * from './replica/boundary.ts'

/** Entries applied between two snapshots of a shard, and their bytes. */
const SNAPSHOT_ENTRIES = 20_000
const SNAPSHOT_BYTES = 256 * 1024 * 1024
/** A digest of the books is shown to the checkers this often. */
const DIGEST_ENTRIES = 64
/** After `stop` the lead has so long to be taken over. */
const STOP_MS = 3000

export class Replica {
  readonly #options: ReplicaOptions
  readonly #random: Random
  readonly #desk = new DeviceDesk()
  readonly #journal: Journal
  readonly #cluster: Cluster
  readonly #directory: NodeDirectory
  readonly #front: Front
  readonly #caretaker: Caretaker
  readonly #masterSettings: MasterSettings
  readonly #hosted = new Map<ShardId, Hosted>()
  readonly #jobs = new Map<ShardId, JobMachine>()
  #registry: RegistryMachine | undefined
  /** The highest number under which a copy of a shard was ever held here and given up. */
  readonly #retired = new Map<ShardId, ReplicaNumber>()
  #out: ReplicaOutbox | undefined
  #now: Now = { monotonic: 0 as Instant, wall: 0 as WallTime }
  #running = false
  #ready = false
  #stopping = Infinity
  /** What somebody has said and nobody has heard yet: some a turn, never one a job. */
  #noted: (() => void)[] = []
  #nextTicket = 1
  /** Fetches asked for and not answered, so that whoever waits for an entry asks once. */
  readonly #fetching = new Set<string>()

  constructor(options: ReplicaOptions) {
    this.#options = options
    this.#random = options.random
    const { tuning } = options
    this.#journal = new Journal({ random: options.random.fork(), ...(tuning?.segmentBytes === undefined ? {} : { segmentBytes: tuning.segmentBytes }), ...(tuning?.cacheBytes === undefined ? {} : { cacheBytes: tuning.cacheBytes }) })
    this.#masterSettings = {
      ...defaultMasterSettings,
      ...(tuning?.heartbeatMs === undefined ? {} : { heartbeatMs: tuning.heartbeatMs }),
      ...(tuning?.electionMs === undefined ? {} : { electionMs: tuning.electionMs }),
      ...(tuning?.appendBytes === undefined ? {} : { appendBytesMax: tuning.appendBytes }),
      ...(tuning?.snapshotEntries === undefined ? {} : { keepEntries: Math.ceil(tuning.snapshotEntries / 2) }),
    }
    this.#caretaker = new Caretaker(tuning?.replaceAfterMs === undefined ? {} : { replaceAfterMs: tuning.replaceAfterMs })
    this.#cluster = new Cluster(options, {
      device: (request) => this.#o.device(this.#desk.out('identity', request)),
      datagram: (to, bytes) => this.#o.datagram(to, bytes),
      send: (to, message) => this.#o.send(to, linkTable.encode(message)),
      address: (node, at) => this.#o.address(node, at),
      identity: (identity) => this.#o.identity(identity),
      event: (event) => this.#o.event(event),
      halt: (reason) => this.#o.halt(reason),
      loaded: () => this.#note(() => this.#journal.receive(this.#now, { kind: 'start' }, this.#journalOutbox)),
      birth: (shard, masters) => this.#note(() => this.#birth(shard, masters)),
      changed: () => this.#note(() => this.#clusterChanged()),
      propose: (entry) => this.#note(() => this.#hosted.get(REGISTRY_SHARD)?.propose(this.#now, entry)),
      topicAnswered: () => this.#note(() => this.#front.wake(this.#now, this.#o)),
    })
    this.#directory = new NodeDirectory(options.cluster, this.#cluster, this.#hosted)
    this.#front = new Front(() => this.#cluster.self, this.#directory, {
      led: (shard) => (this.#hosted.get(shard)?.master.role === 'leader' ? this.#jobs.get(shard) : undefined),
      all: () => this.#jobs.values(),
    })
  }

  // ---- inputs ----------------------------------------------------------------------------------------------------

  receive(now: Now, input: ReplicaInput, outbox: ReplicaOutbox): void {
    this.#enter(now, outbox)
    switch (input.kind) {
      case 'start':
        this.#cluster.start(now)
        break
      case 'device': {
        const answer = this.#desk.in(input.answer)
        if (answer?.user === 'identity') this.#cluster.device(now, answer.answer)
        else if (answer !== undefined) this.#journal.receive(now, { kind: 'device', answer: answer.answer }, this.#journalOutbox)
        break
      }
      case 'datagram':
        this.#cluster.datagram(now, input.from, input.bytes)
        break
      case 'linkUp':
        break
      case 'linkDown':
        this.#cluster.linkDown(now, input.node)
        for (const hosted of this.#hosted.values()) hosted.linkDown(now, input.node)
        this.#front.linkDown(input.node, outbox)
        break
      case 'message':
        this.#message(input.from, input.bytes)
        break
      case 'clientUp':
        this.#front.up(input.connection)
        break
      case 'clientDown':
        this.#front.down(input.connection, outbox)
        break
      case 'clientMessage':
        if (this.#running) this.#front.receive(now, input.connection, input.bytes, outbox)
        break
      case 'turn':
        this.#turn(now)
        break
      case 'stop':
        this.#stop(now)
        break
      default:
        input satisfies never
    }
    this.#settle()
  }

  wake(now: Now, outbox: ReplicaOutbox): void {
    this.#enter(now, outbox)
    if (this.#journal.wakeAt <= now.monotonic) this.#journal.wake(now, this.#journalOutbox)
    this.#cluster.wake(now)
    for (const hosted of this.#hosted.values()) hosted.wake(now)
    if (this.#running) {
      this.#caretaker.wake(now, this.#led(), this.#directory)
      if (this.#front.wakeAt <= now.monotonic) this.#front.wake(now, outbox)
    }
    if (this.#stopping <= now.monotonic) this.#stopped()
    this.#settle()
  }

  get wakeAt(): Instant {
    let at = Math.min(this.#journal.wakeAt, this.#cluster.wakeAt, this.#stopping)
    if (!this.#running) return at as Instant
    at = Math.min(at, this.#caretaker.wakeAt, this.#front.wakeAt)
    for (const hosted of this.#hosted.values()) at = Math.min(at, hosted.wakeAt(this.#now))
    return at as Instant
  }

  /** One line for each copy, for whoever looks into a node that does not do what it should. */
  describe(): string[] {
    return [...this.#hosted.values()].map(({ shard, master, applied }) => {
      const { voters, outgoing, learners, epoch } = master.configuration
      const numbers = (peers: readonly ReplicaPlace[]): string => peers.map((peer) => `${peer.replica}@${peer.node.slice(0, 4)}`).join(' ')
      return `shard ${shard} replica ${master.self.replica}: ${master.role} term ${master.term} leader ${master.leader?.replica ?? 'none'} log ${master.firstIndex}..${master.lastIndex} commit ${master.commitIndex} applied ${applied} epoch ${epoch} voters ${numbers(voters)}${outgoing ? ` outgoing ${numbers(outgoing)}` : ''} learners ${numbers(learners)}${master.isSuspect ? ' suspect' : ''}`
    })
  }

  digest(): string {
    const hash = new Hash().text(this.#journal.digest())
    for (const [shard, hosted] of this.#hosted) hash.number(shard).text(hosted.master.digest()).text(hosted.machine.digest())
    return hash.digest()
  }

  #enter(now: Now, outbox: ReplicaOutbox): void {
    this.#now = now
    this.#out = outbox
  }

  get #o(): ReplicaOutbox {
    return this.#out!
  }

  // ---- what was noted, until nothing is left ---------------------------------------------------------------------

  #settle(): void {
    while (this.#noted.length > 0) {
      const noted = this.#noted
      this.#noted = []
      for (const effect of noted) effect()
    }
  }

  #note(effect: () => void): void {
    this.#noted.push(effect)
  }

  #turn(now: Now): void {
    for (const hosted of this.#hosted.values()) hosted.turn(now)
    if (this.#running) this.#cluster.turn(now)
    this.#settle()
    this.#journal.receive(now, { kind: 'turn' }, this.#journalOutbox)
  }

  // ---- the journal -----------------------------------------------------------------------------------------------

  readonly #journalOutbox: JournalOutbox = {
    device: (request) => this.#o.device(this.#desk.out('journal', request)),
    recovered: (recovered) => this.#note(() => this.#recovered(recovered)),
    durable: (shard, ticket) => this.#note(() => this.#hosted.get(shard)?.durable(this.#now, ticket)),
    loaded: (shard, from) => {
      this.#fetching.delete(`${shard} ${from}`)
      this.#note(() => this.#hosted.get(shard)?.loaded(this.#now))
    },
    unreadable: (shard, index, from) => {
      this.#fetching.delete(`${shard} ${from}`)
      this.#note(() => this.#hosted.get(shard)?.unreadable(this.#now, index))
    },
    failed: (reason) => this.#o.halt(reason),
  }

  #recovered(recovered: RecoveredJournal): void {
    for (const shard of recovered.shards) {
      if (isRetired(shard)) this.#retired.set(shard.shard, shard.hardState!.self)
      else this.#host(shard, undefined, this.#numberOf(shard))
    }
    this.#running = true
    this.#cluster.begin(this.#now, this.#registry)
    this.#clusterChanged()
  }

  /** The number under which a recovered copy counts: in its hard state, or, before any was written, in what it was born with. */
  #numberOf(recovered: RecoveredShard): ReplicaNumber {
    if (recovered.hardState !== undefined) return recovered.hardState.self
    const entry = logTable.decode(recovered.snapshot!.configuration)
    const own = entry.kind === 'configuration' ? entry.voters.find((voter) => voter.node === this.#cluster.self) : undefined
    return own?.replica ?? (0 as ReplicaNumber)
  }

  // ---- copies of shards ------------------------------------------------------------------------------------------

  #host(recovered: RecoveredShard, birth: Configuration | undefined, replica: ReplicaNumber): Hosted {
    const { shard } = recovered
    const machine = shard === REGISTRY_SHARD ? this.#registryMachine() : new JobMachine(shard, this.#jobOutbox)
    const { tuning } = this.#options
    const hosted = new Hosted({ shard, snapshotEntries: tuning?.snapshotEntries ?? SNAPSHOT_ENTRIES, snapshotBytes: SNAPSHOT_BYTES }, machine, recovered, this.#hostedOutbox)
    machine.attach(hosted)
    this.#hosted.set(shard, hosted)
    if (machine instanceof JobMachine) this.#jobs.set(shard, machine)
    else this.#registry = machine
    const now = this.#now
    hosted.start(now, () => new Master({
      shard, self: { replica, node: this.#cluster.self }, settings: this.#masterSettings, random: this.#random.fork(), reader: this.#journal, now, birth,
      recovered: birth === undefined && recovered.snapshot === undefined && recovered.hardState === undefined ? undefined : copyOf(recovered),
    }))
    return hosted
  }

  /** This node is among the first masters of a shard. */
  #birth(shard: ShardId, masters: readonly NodeId[]): void {
    if (this.#hosted.has(shard) || this.#retired.has(shard)) {
      this.#cluster.born(this.#now, shard)
      return
    }
    const voters = masters.map((node, at) => ({ replica: (at + 1) as ReplicaNumber, node }))
    const birth: Configuration = { kind: 'configuration', leaseNow: 0 as never, wallNow: 0 as never, epoch: 1 as Epoch, nextReplica: (voters.length + 1) as ReplicaNumber, voters, outgoing: undefined, learners: [] }
    const self = voters.find((voter) => voter.node === this.#cluster.self)!.replica
    const hosted = this.#host(empty(shard), birth, self)
    hosted.born(this.#now, self, logTable.encode(birth), () => this.#note(() => this.#cluster.born(this.#now, shard)))
    if (shard === REGISTRY_SHARD) this.#cluster.registryHosted(this.#now, this.#registry)
  }

  /**
   * A leader addresses a copy that is not here yet: it is made empty, and filled by that leader. Not so a copy that the shard was
   * born with: that one begins with the configuration of the birth, which the registry will tell, or it could never vote.
   */
  #adopt(shard: ShardId, replica: ReplicaNumber, message: ConsensusMessage): Hosted | undefined {
    if (message.kind !== 'append' && message.kind !== 'snapshot') return undefined
    if (replica <= (this.#retired.get(shard) ?? 0)) return undefined
    const first = this.#cluster.firstMasters(shard)
    if (first === undefined || first[replica - 1] === this.#cluster.self) return undefined
    const present = this.#hosted.get(shard)
    if (present !== undefined) {
      // A healthy member goes on until it has learnt that it is none: its vote may be what keeps the shard going.
      if (message.term < present.master.term || (present.master.isMember && !present.master.isSuspect)) return undefined
      this.#retire(shard)
    }
    const hosted = this.#host(empty(shard), undefined, replica)
    hosted.adopted(this.#now, replica)
    if (shard === REGISTRY_SHARD) this.#cluster.registryHosted(this.#now, this.#registry)
    return hosted
  }

  /** The copy is out of its shard's configuration, or is followed by one under a new number: its data goes, its number stays known. */
  #retire(shard: ShardId): void {
    const hosted = this.#hosted.get(shard)
    if (hosted === undefined) return
    this.#hosted.delete(shard)
    this.#jobs.delete(shard)
    this.#retired.set(shard, hosted.master.self.replica)
    for (const key of this.#fetching) if (key.startsWith(`${shard} `)) this.#fetching.delete(key)
    this.#toJournal({ kind: 'drop', shard })
    this.#toJournal({ kind: 'hardState', shard, ticket: this.#nextTicket++, state: retiredState(hosted.master.self.replica) })
    if (shard !== REGISTRY_SHARD) return
    this.#registry = undefined
    this.#cluster.registryHosted(this.#now, undefined)
  }

  #registryMachine(): RegistryMachine {
    return new RegistryMachine({
      send: (to, message) => this.#o.send(to, linkTable.encode(message)),
      outcome: (origin, request, code, body) => this.#note(() => this.#cluster.outcome(this.#now, origin, request, code, body)),
      applied: () => this.#cluster.registryApplied(),
    })
  }

  readonly #hostedOutbox: HostedOutbox = {
    nextTicket: () => this.#nextTicket++,
    send: (to, message) => this.#o.send(to, linkTable.encode(message)),
    journal: (_now, input) => this.#toJournal(input),
    entry: (shard, index) => this.#journal.entry(shard, index),
    entries: (shard, from, to, maxBytes) => this.#journal.entries(shard, from, to, maxBytes),
    has: (shard, index) => this.#journal.has(shard, index),
    role: (hosted, view) => this.#role(hosted, view),
    configured: (hosted, configuration, committed) => {
      this.#observe({ kind: 'configured', shard: hosted.shard, epoch: configuration.epoch, committed, voters: placesOf(configuration.voters), outgoing: configuration.outgoing && placesOf(configuration.outgoing), learners: placesOf(configuration.learners) })
      this.#note(() => this.#tellHint(hosted))
    },
    proposed: (hosted, index, entry) => this.#observe({ kind: 'proposed', shard: hosted.shard, index, term: hosted.master.term, entry }),
    applied: (hosted, record) => {
      if (this.#o.observe === undefined) return
      this.#observe({ kind: 'applied', shard: hosted.shard, index: record.index, term: record.term, entry: record.bytes })
      if (record.index % DIGEST_ENTRIES === 0) this.#observe({ kind: 'digest', shard: hosted.shard, index: record.index, digest: hosted.machine.digest() })
    },
    restored: (hosted) => this.#observe({ kind: 'restored', shard: hosted.shard, index: hosted.applied, term: hosted.appliedTerm }),
    removed: (hosted) => this.#note(() => this.#retire(hosted.shard)),
    log: (text) => this.#o.event({ kind: 'log', level: 'info', text }),
  }

  readonly #jobOutbox: JobMachineOutbox = {
    send: (to: Endpoint, message: ClientMessage) => this.#front.send(to, message, this.#o),
    entry: (shard, index) => this.#journal.entry(shard, index),
    fetch: (shard, index) => {
      this.#toJournal({ kind: 'fetch', shard, from: index, to: index, maxBytes: 1 })
    },
    release: (shard, indexes) => this.#toJournal({ kind: 'release', shard, indexes }),
    redirect: (shard) => this.#front.redirect(shard),
    placed: (shard) => this.#directory.placedOn(shard),
    minMasters: () => this.#options.tuning?.minMasters ?? Math.min(3, this.#options.expect ?? 1),
  }

  #toJournal(input: JournalInput): void {
    if (input.kind === 'fetch') {
      const key = `${input.shard} ${input.from}`
      if (this.#fetching.has(key)) return
      this.#fetching.add(key)
    }
    this.#journal.receive(this.#now, input, this.#journalOutbox)
  }

  #role(hosted: Hosted, view: RoleView): void {
    if (view.role === 'leader') this.#observe({ kind: 'leader', shard: hosted.shard, term: view.term, replica: hosted.master.self.replica })
    this.#note(() => {
      if (hosted.shard === REGISTRY_SHARD) this.#cluster.registryApplied()
      this.#caretaker.ledChanged(this.#now)
      this.#tellHint(hosted)
      this.#tellReady()
      if (this.#stopping < Infinity && this.#led().length === 0) this.#stopped()
    })
  }

  #tellHint(hosted: Hosted): void {
    const { master, shard } = hosted
    if (master.role !== 'leader') return
    const { epoch, voters } = master.configuration
    this.#cluster.tellHint(this.#now, { shard, epoch, term: master.term, leader: this.#cluster.self, masters: voters.map((voter) => voter.node) })
  }

  #led(): Hosted[] {
    return [...this.#hosted.values()].filter((hosted) => hosted.master.role === 'leader')
  }

  // ---- links -----------------------------------------------------------------------------------------------------

  #message(from: NodeId, bytes: Uint8Array): void {
    const message = this.#parse(from, bytes)
    if (message === undefined || !this.#running) return
    switch (message.kind) {
      case 'relay':
      case 'relayed':
      case 'relayClosed':
        return this.#front.fromNode(this.#now, from, message, this.#o)
      case 'sync':
      case 'syncAnswer':
        return this.#cluster.sync(this.#now, from, message)
      case 'registryFollow':
        this.#registry?.follow(this.#now, from, message.from)
        return
      case 'registryCommand':
      case 'registryAnswer':
      case 'registryFeed':
      case 'registryImage':
        return this.#cluster.registryMessage(this.#now, from, message)
      default:
        return this.#consensus(from, message)
    }
  }

  #consensus(from: NodeId, message: ConsensusMessage): void {
    let hosted = this.#hosted.get(message.shard)
    if (hosted === undefined || message.to > hosted.master.self.replica) hosted = this.#adopt(message.shard, message.to, message) ?? hosted
    hosted?.message(this.#now, from, message)
  }

  #parse(from: NodeId, bytes: Uint8Array): LinkMessage | undefined {
    try {
      return linkTable.decode(bytes)
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error
      this.#o.closeLink(from, `malformed message: ${error.message}`)
      return undefined
    }
  }

  // ---- the node as a whole ---------------------------------------------------------------------------------------

  #clusterChanged(): void {
    if (!this.#running) return
    this.#front.wake(this.#now, this.#o)
    this.#tellReady()
  }

  /** Ready: it belongs to a cluster, and every shard that it holds a copy of has a leader and is not far behind. */
  #tellReady(): void {
    const ready = this.#running && this.#cluster.admitted && this.#stopping === Infinity && [...this.#hosted.values()].every((hosted) => hosted.master.leader !== undefined)
    if (ready === this.#ready) return
    this.#ready = ready
    this.#o.event({ kind: 'ready', ready })
  }

  #stop(now: Now): void {
    if (this.#stopping < Infinity) return
    this.#stopping = now.monotonic + STOP_MS
    const led = this.#led().filter((hosted) => hosted.master.configuration.voters.length > 1)
    for (const hosted of led) hosted.input(now, { kind: 'transfer', to: undefined })
    if (this.#running) this.#cluster.leave(now)
    if (led.length === 0) this.#stopped()
  }

  #stopped(): void {
    this.#stopping = Number.MAX_VALUE
    this.#o.stopped()
  }

  #observe(observation: ReplicaObservation): void {
    this.#o.observe?.(observation)
  }
}

/** A copy that was given up leaves this behind, so that nothing meant for it ever makes it again. */
const RETIRED = new Uint8Array([0xff])

function retiredState(self: ReplicaNumber): Extract<JournalInput, { kind: 'hardState' }>['state'] {
  return { term: 0 as Term, vote: undefined, self, epoch: 0 as Epoch, commit: 0 as LogIndex, extra: RETIRED }
}

function isRetired(recovered: RecoveredShard): boolean {
  const extra = recovered.hardState?.extra
  return extra !== undefined && extra.length === 1 && extra[0] === RETIRED[0]
}

function empty(shard: ShardId): RecoveredShard {
  return { shard, hardState: undefined, snapshot: undefined, first: 1 as LogIndex, last: 0 as LogIndex, terms: [], suspect: false }
}

function placesOf(peers: readonly ReplicaPlace[]): ReplicaPlace[] {
  return peers.map(({ replica, node }) => ({ replica, node }))
}

export type ClientConnection = ConnectionId
