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
import type { RecoveredJournal } from './journal/recovery.ts'
import type { Endpoint } from './lead/endpoint.ts'
import type { RoleView } from './master/boundary.ts'
import type { ClientMessage } from './message/client.ts'
import type { ConsensusMessage } from './message/consensus.ts'
import { MalformedMessage } from './message/layout.ts'
import { type LinkMessage, linkTable } from './message/messages.ts'
import type { LedSurely, LedWaits, ReplicaInput, ReplicaLoad, ReplicaObservation, ReplicaOptions, ReplicaOutbox, ReplicaPlace } from './replica/boundary.ts'
import { Caretaker } from './replica/caretaker.ts'
import { claimOf, goneAnswer, isClaim } from './replica/claims.ts'
import { Cluster } from './replica/cluster.ts'
import { Copies } from './replica/copies.ts'
import { DeviceDesk } from './replica/device-desk.ts'
import { NodeDirectory } from './replica/directory.ts'
import type { Hosted, HostedOutbox } from './replica/hosted.ts'
import type { JobMachineOutbox } from './replica/job-machine.ts'
import { Notes } from './replica/notes.ts'
import { Pulses, type PulsesOutbox } from './replica/pulse/pulses.ts'
import type { RegistryMachineOutbox } from './replica/registry-machine.ts'
import { Startup, type StartupOutbox } from './replica/startup.ts'
import { masterSettingsOf } from './replica/tuning.ts'
import { Witness, type WitnessOutbox } from './replica/witness.ts'
import { type Instant, type NodeId, REGISTRY_SHARD, type ShardId, type WallTime } from './units.ts'

export type * from './replica/boundary.ts'

/** Entries applied between two snapshots of a shard, and their bytes. */
const SNAPSHOT_ENTRIES = 20_000
const SNAPSHOT_BYTES = 256 * 1024 * 1024
/** A digest of the books is shown to the checkers this often. */
const DIGEST_ENTRIES = 64
/** How often idle shards are looked for that keep an old segment from going. */
const TIDY_MS = 1000
/**
 * How often a leader repeats that it leads: a node that the gossip missed does not know where to send its clients. It is heard by a few nodes
 * each time, so in a cluster of more than `HINT_NODES` that is found out sooner when two nodes compare what they know.
 */
const HINT_MS = 5000
const HINT_NODES = 32
/** After `stop` the lead has so long to be taken over. */
const STOP_MS = 3000
/** And then clients have so long to hear it, and to get what is on its way for them. */
const LEAVE_MS = 100

/** Election time-outs that a start waits for those who have seen this disk; whoever is silent for so long is away. */
const WITNESS_ELECTIONS = 2

export class Replica {
  readonly #options: ReplicaOptions
  readonly #electionMs: number
  readonly #desk = new DeviceDesk()
  readonly #journal: Journal
  readonly #cluster: Cluster
  readonly #directory: NodeDirectory
  readonly #front: Front
  readonly #caretaker: Caretaker
  readonly #copies: Copies
  readonly #witness = new Witness()
  readonly #pulses: Pulses
  readonly #startup: Startup
  #out: ReplicaOutbox | undefined
  #now: Now = { monotonic: 0 as Instant, wall: 0 as WallTime }
  #running = false
  /** Why this node ends as soon as its new identity is durable. */
  #ended: string | undefined
  #ready = false
  #short = false
  #stopping = Infinity
  #left = false
  #tidyAt = 0
  /** The state of the registry that led shards have been told of. */
  #registryAt = -1
  #hintAt = 0
  /** Some a turn, never one a job. */
  readonly #notes = new Notes()
  #nextTicket = 1
  /** Fetches asked for and not answered, so that whoever waits for an entry asks once. */
  readonly #fetching = new Set<string>()

  constructor(options: ReplicaOptions) {
    this.#options = options
    const { tuning } = options
    this.#journal = new Journal({ random: options.random.fork(), ...(tuning?.segmentBytes === undefined ? {} : { segmentBytes: tuning.segmentBytes }), ...(tuning?.cacheBytes === undefined ? {} : { cacheBytes: tuning.cacheBytes }) })
    const masterSettings = masterSettingsOf(tuning)
    this.#electionMs = masterSettings.electionMs
    this.#pulses = new Pulses(options.random.clone().fork(), { electionMs: this.#electionMs, gapMs: masterSettings.leaseGapMs, pulseMsMax: masterSettings.leasePollMs })
    this.#caretaker = new Caretaker(tuning?.replaceAfterMs === undefined ? {} : { replaceAfterMs: tuning.replaceAfterMs })
    this.#cluster = new Cluster(options, {
      device: (request) => this.#o.device(this.#desk.out('identity', request)),
      datagram: (to, bytes) => this.#o.datagram(to, bytes),
      send: (to, message) => this.#o.send(to, linkTable.encode(message)),
      address: (node, at) => this.#o.address(node, at),
      identity: (identity) => this.#o.identity(identity),
      event: (event) => this.#o.event(event),
      halt: (reason) => this.#o.halt(reason),
      loaded: () => this.#note(() => (this.#ended === undefined ? this.#startup.identified(this.#now) : this.#o.halt(this.#ended))),
      birth: (shard, masters) => this.#note(() => this.#birth(shard, masters)),
      changed: () => this.#note(() => this.#clusterChanged()),
      propose: (entry) => this.#note(() => this.#proposeToRegistry(entry)),
      topicAnswered: () => this.#note(() => this.#front.wake(this.#now, this.#o)),
      wishAnswered: (ticket, code) => this.#note(() => this.#front.wishAnswered(ticket, code, this.#o)),
      standing: () => this.#note(() => this.#copies.judge(this.#now)),
      outdated: (shard) => this.#note(() => this.#copies.retire(this.#now, shard)),
    })
    this.#startup = new Startup(options, this.#startupOutbox)
    this.#copies = new Copies(
      { masters: masterSettings, snapshotEntries: tuning?.snapshotEntries ?? SNAPSHOT_ENTRIES, snapshotBytes: tuning?.snapshotBytes ?? SNAPSHOT_BYTES, ...(tuning?.snapshotStep === undefined ? {} : { snapshotStep: tuning.snapshotStep }) }, options.random.fork(), this.#journal,
      { self: () => this.#cluster.self, firstMasters: (shard) => this.#cluster.firstMasters(shard), isCleared: () => this.#witness.isCleared, isEntitled: (shard, term) => this.#cluster.standing.isEntitled(shard, term), pulses: this.#pulses, registryHosted: (registry) => this.#cluster.registryHosted(this.#now, registry), retired: () => this.#note(() => this.#tellReady()) },
      { hosted: this.#hostedOutbox, jobs: this.#jobOutbox, registry: this.#registryOutbox },
    )
    this.#directory = new NodeDirectory(options.cluster, this.#cluster, this.#copies.hosted)
    this.#front = new Front(() => this.#cluster.self, this.#directory, {
      led: (shard) => (this.#copies.hosted.get(shard)?.isForClients ? this.#copies.jobs.get(shard) : undefined),
      all: () => this.#copies.jobs.values(),
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
        for (const hosted of this.#copies.hosted.values()) hosted.linkDown(now, input.node)
        this.#pulses.linkDown(input.node, this.#pulsesOutbox)
        this.#front.linkDown(now, input.node, outbox)
        this.#witness.linkDown(input.node)
        break
      case 'generation':
        this.#cluster.newer(now, input.generation)
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
      case 'clockMoved':
        for (const machine of this.#copies.jobs.values()) machine.clockMoved()
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
    for (const hosted of this.#copies.agenda.takeDue(now)) hosted.wake(now)
    if (this.#running) {
      if (this.#pulses.wakeAt <= now.monotonic) this.#pulses.wake(now, this.#pulsesOutbox)
      if (this.#caretaker.wakeAt <= now.monotonic) this.#caretaker.wake(now, [...this.#copies.led], this.#directory)
      if (this.#front.wakeAt <= now.monotonic) this.#front.wake(now, outbox)
      if (this.#witness.wakeAt <= now.monotonic) this.#witness.wake(now, this.#witnessOutbox)
      if (this.#tidyAt <= now.monotonic) this.#tidy(now)
    }
    if (this.#stopping <= now.monotonic) this.#stopped()
    this.#settle()
  }

  get wakeAt(): Instant {
    const at = Math.min(this.#journal.wakeAt, this.#cluster.wakeAt, this.#stopping)
    if (!this.#running) return at as Instant
    return Math.min(at, this.#pulses.wakeAt, this.#witness.wakeAt, this.#caretaker.wakeAt, this.#front.wakeAt, this.#tidyAt, this.#copies.agenda.wakeAt(this.#now)) as Instant
  }

  /** One line for each copy, for whoever looks into a node that does not do what it should. */
  describe(): string[] {
    return [...this.#copies.hosted.values()].map(({ shard, master, applied }) => {
      const { voters, outgoing, learners, epoch } = master.configuration
      const numbers = (peers: readonly ReplicaPlace[]): string => peers.map((peer) => `${peer.replica}@${peer.node.slice(0, 4)}`).join(' ')
      return `shard ${shard} replica ${master.self.replica}: ${master.role} term ${master.term} leader ${master.leader?.replica ?? 'none'} log ${master.firstIndex}..${master.lastIndex} commit ${master.commitIndex} applied ${applied} epoch ${epoch} voters ${numbers(voters)}${outgoing ? ` outgoing ${numbers(outgoing)}` : ''} learners ${numbers(learners)}${master.isSuspect ? ' suspect' : ''}`
    })
  }

  get load(): ReplicaLoad {
    const led = [...this.#copies.jobs].filter(([, machine]) => machine.isOccupied).map(([shard, machine]) => ({ shard, ...machine.load }))
    return { connections: this.#front.connections, led }
  }

  /** What the books of the shards wait for that are led here and can be served. */
  get waits(): readonly LedWaits[] {
    return [...this.#copies.jobs].filter(([, machine]) => machine.serves).map(([shard, machine]) => ({ shard, ...machine.waits }))
  }

  /** The shards of which this node would say now that nobody else's lease clock can be ahead. */
  ledSurely(now: Now): readonly LedSurely[] {
    return [...this.#copies.led].filter(({ master }) => master.leadsSurely(now)).map(({ shard, master }) => ({ shard, term: master.term }))
  }

  digest(): string {
    const hash = new Hash().text(this.#journal.digest())
    for (const [shard, hosted] of this.#copies.hosted) hash.number(shard).text(hosted.master.digest()).text(hosted.machine.digest())
    return hash.digest()
  }

  #enter(now: Now, outbox: ReplicaOutbox): void {
    this.#pulses.called(now)
    this.#now = now
    this.#out = outbox
  }

  get #o(): ReplicaOutbox {
    return this.#out!
  }

  // ---- what was noted, until nothing is left ---------------------------------------------------------------------

  #settle(): void {
    this.#notes.settle(this.#now)
  }

  #note(effect: () => void): void {
    this.#notes.note(effect)
  }

  #turn(now: Now): void {
    // First, so that what the registry's leader finds to propose goes out with this turn, and again for what the copies have changed.
    if (this.#running) this.#cluster.turn(now)
    this.#settle()
    for (const hosted of this.#copies.agenda.takeStirred()) hosted.turn(now)
    if (this.#running) this.#cluster.turn(now)
    this.#settle()
    this.#journal.receive(now, { kind: 'turn' }, this.#journalOutbox)
  }

  #tidy(now: Now): void {
    this.#tidyAt = now.monotonic + TIDY_MS
    if (this.#hintAt <= now.monotonic) {
      this.#hintAt = now.monotonic + HINT_MS * Math.max(1, this.#cluster.members.length / HINT_NODES)
      for (const hosted of [...this.#copies.led]) this.#tellHint(hosted)
    }
    this.#tellRoom()
    this.#leaveWhenStruck()
    for (const shard of this.#journal.holdingOldest()) this.#copies.hosted.get(shard)?.leaveOldest(now)
  }

  /** Once nothing depends on it: a node that was struck while it was a master stays one until others have taken its place. */
  #leaveWhenStruck(): void {
    if (this.#left || !this.#cluster.struck) return
    if (!this.#cluster.standing.isDestroyed && ![...this.#copies.hosted.keys()].every((shard) => this.#directory.isLeftOver(shard))) return
    this.#left = true
    this.#o.event({ kind: 'left' })
  }

  #tellRoom(): void {
    const { freeBytes, reserveBytes } = this.#journal
    const short = freeBytes < reserveBytes
    if (short === this.#short) return
    this.#short = short
    const text = short ? `the disk has ${Math.floor(freeBytes)} bytes left: shards led here take no more jobs until there is room, and go on with those they have` : 'the disk has room again'
    this.#o.event({ kind: 'log', level: short ? 'warning' : 'info', text })
  }

  // ---- the journal -----------------------------------------------------------------------------------------------

  readonly #journalOutbox: JournalOutbox = {
    device: (request) => this.#o.device(this.#desk.out('journal', request)),
    recovered: (recovered) => this.#note(() => this.#startup.recovered(this.#now, this.#cluster.state, recovered)),
    durable: (shard, ticket) => this.#note(() => (this.#startup.revival ?? this.#copies.hosted.get(shard))?.durable(this.#now, ticket)),
    loaded: (shard, from) => {
      this.#fetching.delete(`${shard} ${from}`)
      this.#note(() => (this.#startup.revival ?? this.#copies.hosted.get(shard))?.loaded(this.#now))
    },
    unreadable: (shard, index, from) => {
      this.#fetching.delete(`${shard} ${from}`)
      this.#note(() => (this.#startup.revival ?? this.#copies.hosted.get(shard))?.unreadable(this.#now, index))
    },
    stalled: (reason) => this.#o.event({ kind: 'log', level: 'error', text: reason }),
    failed: (reason) => this.#o.halt(reason),
  }

  readonly #startupOutbox: StartupOutbox = {
    readJournal: (now) => this.#journal.receive(now, { kind: 'start' }, this.#journalOutbox),
    nextTicket: () => this.#nextTicket++,
    journal: (_now, input) => this.#toJournal(input),
    entries: (shard, from, to, maxBytes) => this.#journal.entries(shard, from, to, maxBytes),
    reviving: (shard, record) => this.#observe({ kind: 'reviving', shard, index: record.index, term: record.term, entry: record.bytes }),
    revived: (shard, replica, through, index) => this.#observe({ kind: 'revived', shard, replica, through, index }),
    renew: (now) => this.#cluster.renew(now),
    run: (_now, journal) => this.#run(journal),
    log: (text) => this.#o.event({ kind: 'log', level: 'error', text }),
    halt: (reason) => this.#o.halt(reason),
  }

  #run({ shards, position }: RecoveredJournal): void {
    // A node that belongs nowhere yet holds nothing: these are the copies of the identity before this one.
    const foreign = this.#cluster.state.clusterId === undefined
    for (const shard of shards) {
      if (foreign) this.#journal.receive(this.#now, { kind: 'drop', shard: shard.shard }, this.#journalOutbox)
      else this.#copies.recover(this.#now, shard)
    }
    this.#running = true
    this.#cluster.begin(this.#now, this.#copies.registry)
    const others = new Set([...this.#copies.hosted.values()].flatMap(({ master }) => master.voters.map(({ node }) => node)))
    for (const { shard, hardState, last, suspect } of shards) {
      if (hardState !== undefined && this.#copies.hosted.has(shard)) this.#observe({ kind: 'resumed', shard, replica: hardState.self, term: hardState.term, vote: hardState.vote, last, suspect, isMember: this.#copies.hosted.get(shard)!.master.isMember })
    }
    this.#witness.start(this.#now, this.#cluster.self, this.#cluster.run, position, others, WITNESS_ELECTIONS * this.#electionMs, this.#witnessOutbox)
    this.#clusterChanged()
  }

  // ---- what others have seen of this disk ------------------------------------------------------------------------

  readonly #witnessOutbox: WitnessOutbox = {
    send: (to, message) => this.#o.send(to, linkTable.encode(message)),
    cleared: () => {
      this.#observe({ kind: 'cleared' })
      for (const hosted of this.#copies.hosted.values()) hosted.stir()
    },
    forgotten: (by) => this.#note(() => this.#forgotten(by)),
  }

  /** Nothing here is what it was, and no other node must ever count on it again. */
  #forgotten(by: NodeId): void {
    this.#running = false
    this.#ended = `the data directory is an old copy, or its disk has lost what it called durable: node ${by} has seen more of it. It belongs to no cluster any more, and joins as a new node when it is started again`
    this.#cluster.renew(this.#now)
  }

  #hasLed(node: NodeId): boolean {
    return [...this.#copies.hosted.values()].some(({ master }) => master.lastLeader?.node === node)
  }

  #meet(nodes: Iterable<NodeId>): void {
    this.#witness.meet(this.#now, nodes, this.#witnessOutbox)
  }

  // ---- copies of shards ------------------------------------------------------------------------------------------

  #birth(shard: ShardId, masters: readonly NodeId[]): void {
    this.#meet(masters)
    this.#copies.bear(this.#now, shard, masters, () => this.#note(() => this.#cluster.born(this.#now, shard)))
  }

  /** The lead may have gone, or be going, since the registry's desk looked; whoever asked says it again. */
  #proposeToRegistry(entry: Uint8Array): void {
    const hosted = this.#copies.hosted.get(REGISTRY_SHARD)
    if (hosted?.master.proposable === 'yes') hosted.propose(this.#now, entry)
  }

  readonly #registryOutbox: RegistryMachineOutbox = {
    send: (to, message) => this.#o.send(to, linkTable.encode(message)),
    outcome: (origin, request, code, body) => this.#note(() => this.#cluster.outcome(this.#now, origin, request, code, body)),
    applied: () => this.#cluster.registryApplied(),
  }

  readonly #hostedOutbox: HostedOutbox = {
    stirred: (hosted) => this.#copies.agenda.stir(hosted),
    moved: (hosted) => this.#copies.agenda.move(hosted),
    nextTicket: () => this.#nextTicket++,
    send: (to, message) => {
      if (isClaim(message)) {
        this.#witness.tell(to, this.#journal.position, this.#witnessOutbox)
        const claim = this.#o.observe === undefined ? undefined : claimOf(message)
        if (claim !== undefined) this.#observe(claim)
      }
      this.#o.send(to, linkTable.encode(message))
    },
    journal: (_now, input) => this.#toJournal(input),
    entry: (shard, index) => this.#journal.entry(shard, index),
    entries: (shard, from, to, maxBytes) => this.#journal.entries(shard, from, to, maxBytes),
    role: (hosted, view) => this.#role(hosted, view),
    configured: (hosted, configuration, committed) => {
      this.#observe({ kind: 'configured', shard: hosted.shard, epoch: configuration.epoch, committed, voters: configuration.voters, outgoing: configuration.outgoing, learners: configuration.learners })
      this.#meet([...configuration.voters, ...(configuration.outgoing ?? [])].map(({ node }) => node))
      this.#note(() => this.#tellHint(hosted))
    },
    proposed: (hosted, index, entry) => this.#observe({ kind: 'proposed', shard: hosted.shard, index, term: hosted.master.term, entry }),
    committed: (hosted, index) => this.#observe({ kind: 'committed', shard: hosted.shard, index, term: hosted.master.term, entryTerm: hosted.master.termAt(index) }),
    applied: (hosted, record) => {
      if (this.#o.observe === undefined) return
      this.#observe({ kind: 'applied', shard: hosted.shard, index: record.index, term: record.term, entry: record.bytes })
      if (record.index % DIGEST_ENTRIES === 0) this.#observe({ kind: 'digest', shard: hosted.shard, index: record.index, digest: hosted.machine.digest() })
    },
    restored: (hosted) => this.#observe({ kind: 'restored', shard: hosted.shard, index: hosted.applied, term: hosted.appliedTerm }),
    doubted: (hosted) => {
      this.#observe({ kind: 'doubted', shard: hosted.shard, replica: hosted.master.self.replica })
      this.#o.event({ kind: 'log', level: 'error', text: `shard ${hosted.shard}: the disk does not hold everything that it held, so this copy counts as lost and is made anew from the other masters` })
    },
    unreadable: (hosted, index) => this.#o.halt(`entry ${index} of shard ${hosted.shard} cannot be read, and no other master has it: started again, this node finds what its disk has lost, and has it made anew from the other masters`),
    removed: (hosted) => this.#note(() => this.#copies.retire(this.#now, hosted.shard)),
    rest: (hosted, wish) => this.#pulses.rest(this.#now, hosted.shard, wish),
    log: (text) => this.#o.event({ kind: 'log', level: 'info', text }),
  }

  readonly #pulsesOutbox: PulsesOutbox = ((replica: Replica) => ({
    send: (to, message) => replica.#o.send(to, linkTable.encode(message)),
    agrees: (leader, rest) => replica.#copies.hosted.get(rest.shard)?.followAtRest(replica.#now, leader, rest) ?? false,
    agreed: (shard) => {
      replica.#copies.hosted.get(shard)?.input(replica.#now, { kind: 'restAgreed' })
      replica.#observe({ kind: 'rested', shard })
    },
    rouse: (shard) => replica.#copies.hosted.get(shard)?.input(replica.#now, { kind: 'rouse' }),
    get freeBytes() {
      return replica.#journal.freeBytes
    },
  }))(this)

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
    post: (to, message) => {
      const leader = this.#directory.leaderOf(to)
      if (leader === this.#cluster.self) this.#note(() => this.#copies.jobs.get(to)?.post(this.#now, message))
      else if (leader !== undefined) this.#o.send(leader, linkTable.encode(message))
    },
    recoveryOf: (shard) => this.#cluster.registry.recoveryOf(shard),
  }

  #toJournal(input: JournalInput): void {
    if (input.kind === 'drop') for (const key of this.#fetching) if (key.startsWith(`${input.shard} `)) this.#fetching.delete(key)
    if (input.kind === 'fetch') {
      const key = `${input.shard} ${input.from}`
      if (this.#fetching.has(key)) return
      this.#fetching.add(key)
    }
    this.#journal.receive(this.#now, input, this.#journalOutbox)
  }

  #role(hosted: Hosted, view: RoleView): void {
    this.#copies.noteRole(hosted, view)
    if (view.role === 'leader') this.#observe({ kind: 'leader', shard: hosted.shard, term: view.term, replica: hosted.master.self.replica })
    this.#note(() => {
      if (hosted.shard === REGISTRY_SHARD) this.#cluster.registryApplied()
      this.#caretaker.ledChanged(this.#now, hosted.shard)
      this.#tellHint(hosted)
      this.#tellReady()
      if (this.#stopping < Infinity && !this.#isNeeded()) this.#takeLeave()
    })
  }

  #tellHint(hosted: Hosted): void {
    const { master, shard } = hosted
    if (master.role !== 'leader') return
    const { epoch, nodes } = master.holders
    this.#cluster.tellHint(this.#now, { shard, epoch, term: master.term, leader: this.#cluster.self, masters: nodes })
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
      case 'durable':
      case 'returned':
      case 'witnessed':
        // Only looked up for the question: how far a journal went is told with every flush.
        return this.#witness.receive(from, message, message.kind === 'returned' && this.#hasLed(from), this.#witnessOutbox)
      case 'pulse':
      case 'pulseAnswer':
        return this.#pulses.receive(this.#now, from, message, this.#pulsesOutbox)
      case 'entryWanted':
      case 'entryGiven':
        return this.#copies.hosted.get(message.shard)?.repair(this.#now, from, message)
      case 'posts':
        return this.#copies.jobs.get(message.receiver)?.post(this.#now, message)
      case 'postsTaken':
        return this.#copies.jobs.get(message.sender)?.post(this.#now, message)
      case 'registryFollow':
        this.#copies.registry?.follow(this.#now, from, message.from)
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
    if (!this.#witness.hasMet(from)) this.#meet([from])
    if ((message.kind === 'append' || message.kind === 'snapshot') && this.#copies.isGone(message.shard, message.to)) return this.#o.send(from, linkTable.encode(goneAnswer(message, this.#now, this.#journal.freeBytes)))
    let hosted = this.#copies.hosted.get(message.shard)
    if (hosted === undefined || message.to > hosted.master.self.replica) hosted = this.#copies.adopt(this.#now, message) ?? hosted
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
    const { applied } = this.#cluster.registry
    if (applied !== this.#registryAt) {
      this.#registryAt = applied
      // What was placed on a shard may have changed, and which of its copies counts.
      for (const hosted of this.#copies.led) hosted.stir()
      this.#copies.judge(this.#now)
    }
    this.#front.wake(this.#now, this.#o)
    this.#tellReady()
  }

  /** Ready: it belongs to a cluster, and every shard that it holds a copy of has a leader, but for copies that nobody counts on. */
  #tellReady(): void {
    const ready = this.#running && this.#cluster.admitted && this.#stopping === Infinity && [...this.#copies.leaderless].every((hosted) => this.#directory.isLeftOver(hosted.shard))
    if (ready === this.#ready) return
    this.#ready = ready
    this.#o.event({ kind: 'ready', ready })
  }

  #stop(now: Now): void {
    if (this.#stopping < Infinity) return
    this.#stopping = now.monotonic + STOP_MS
    for (const hosted of [...this.#copies.led]) hosted.input(now, { kind: 'transfer', to: undefined })
    if (this.#running) this.#cluster.leave(now)
    if (!this.#isNeeded()) this.#takeLeave()
  }

  /** It leads something yet, or is the one who knows who is about to lead what it led. */
  #isNeeded(): boolean {
    return [...this.#copies.hosted.values()].some(({ master }) => (master.role === 'leader' && master.configuration.voters.length > 1) || master.heir !== undefined)
  }

  /** Clients are on their way to other leaders, and what was relayed for them is being answered. */
  #takeLeave(): void {
    if (this.#front.connections === 0) return this.#stopped()
    this.#stopping = Math.min(this.#stopping, this.#now.monotonic + LEAVE_MS)
  }

  #stopped(): void {
    this.#stopping = Number.MAX_VALUE
    this.#o.stopped()
  }

  #observe(observation: ReplicaObservation): void {
    this.#o.observe?.(observation)
  }
}
