//! The cluster of one run: nodes on simulated disks, users on top, faults around, checkers watching.

import { Random } from '@horus/core/random'
import type { Identity, ReplicaEvent, ReplicaObservation, ReplicaOptions } from '@horus/core/replica'
import type { Address, NodeId } from '@horus/core/units'
import { ClientProcess } from '@horus/core/world/client'
import { SimulatedDevice } from '@horus/core/world/device'
import type { Stage } from '@horus/core/world/event'
import { Faults } from '@horus/core/world/faults/faults'
import type { FaultGuard, Occasion } from '@horus/core/world/faults/source'
import { NodeProcess, type ReplicaActor } from '@horus/core/world/node'
import type { Process } from '@horus/core/world/process'
import { World, type WorldWatcher } from '@horus/core/world/world'
import { Auditor } from './auditor.ts'
import { Checkers } from './check/all.ts'
import { checkBounds } from './check/bounds.ts'
import { FaultCoverage } from './coverage.ts'
import { DiskGuard } from './disk-guard.ts'
import { History } from './history.ts'
import { GREETER } from './greeter.ts'
import { Operations } from './operations.ts'
import { Publisher } from './publisher.ts'
import { Recoveries } from './recoveries.ts'
import type { MakeClient, Scene } from './scene.ts'
import type { Setup } from './setup.ts'
import { SimClient, type User } from './sim-client.ts'
import { Strangers } from './strangers.ts'
import { Twins } from './twins.ts'
import { Undertaker } from './undertaker.ts'
import { Vandal } from './vandal.ts'
import { Worker } from './worker.ts'

/** What is under test, handed in. */
export interface Parts {
  readonly replica: (options: ReplicaOptions) => ReplicaActor
  readonly client: MakeClient
}

const AUDIT_EVERY_MS = 25
/** A node that ended itself, or died of a failed claim, is started again after this. */
const RESTART_AFTER_MS = 500

/** So many nodes come later, in all. */
const JOINED_MAX = 4
const Act = { audit: 1, faults: 3 } as const

export class Cluster implements WorldWatcher, FaultGuard, Stage {
  readonly world: World
  readonly history: History
  readonly checkers: Checkers
  readonly scene: Scene
  readonly setup: Setup
  readonly nodes: NodeProcess[] = []
  readonly clients: ClientProcess[] = []
  readonly auditor: Auditor
  readonly publishers: Publisher[] = []
  readonly coverage: FaultCoverage
  readonly #parts: Parts
  readonly #faults: Faults
  readonly #users: Random
  readonly #clientByName = new Map<string, ClientProcess>()
  readonly #userOf = new Map<string, User>()
  readonly #lastRun = new Map<NodeProcess, number>()
  readonly #disks: DiskGuard
  readonly #values = new Map<NodeProcess, number>()
  /** Nodes that have had a cluster. */
  readonly #belonging = new Set<NodeProcess>()
  readonly #twins: Twins
  #lullUntil = 0
  readonly #strangers: Strangers | undefined
  readonly #operations: Operations
  readonly #recoveries: Recoveries
  /** Where each node was first; one at a time is somewhere else. */
  readonly #homes = new Map<NodeProcess, Address>()

  constructor(setup: Setup, parts: Parts) {
    this.setup = setup
    this.#parts = parts
    this.#users = setup.users
    this.world = new World(setup.world, this)
    this.history = new History(() => this.world.now)
    this.checkers = new Checkers(this.history, (client) => this.#clientByName.get(client)?.state === 'up', setup.plan.clocks.driftMax, () => this.world.now, () => this.#live(), setup.plan.recovery.recoverEveryMs > 0, setup.workload.deadLetter?.name)
    this.#disks = new DiskGuard(this.checkers.log)
    this.#recoveries = new Recoveries(this.checkers.log, this.checkers.recovery, this.checkers.report)
    this.coverage = new FaultCoverage({ leaders: this.checkers.leaders.latest, identityOf: (node) => this.#disks.identityOf(node) })
    this.#faults = new Faults(this.world, setup.plan, setup.faults, this)
    const seeds = Array.from({ length: setup.nodes }, (_, i) => addressOf(i))
    this.scene = {
      history: this.history, workload: setup.workload, seeds, makeClient: parts.client, calm: false, lull: false, quiet: false,
      struck: (fault, client) => this.world.struck(fault, this.#clientByName.get(client)!),
    }
    this.#twins = new Twins(this.world, this.checkers.report)
    this.auditor = new Auditor(this.scene)
    this.#operations = new Operations(this.scene, setup)
    for (let i = 0; i < setup.nodes; i++) this.#addNode(i, false)
    for (let i = 0; i < setup.publishers; i++) this.#addClient(`publisher-${i}`, (random) => this.#publisher(i, random))
    for (let i = 0; i < setup.workers; i++) {
      const topic = setup.workload.topics[i % setup.workload.topics.length]!.name
      this.#addClient(`worker-${i}`, (random) => new Worker(this.scene, `worker-${i}`, topic, random))
    }
    const { deadLetter } = setup.workload
    this.#addClient('auditor', () => this.auditor)
    if (setup.plan.clients.garbageEveryMs > 0) this.#addVandal(setup.plan.clients.garbageEveryMs)
    if (setup.plan.members.strangersEveryMs > 0) this.#strangers = new Strangers(this.world, setup.strangersName, seeds, parts.replica)
    if (setup.plan.members.drainEveryMs + setup.plan.members.forgetEveryMs > 0) this.#addClient('operator', () => this.#operations.operator)
    if (deadLetter !== undefined) this.#addClient('undertaker', (random) => new Undertaker(this.scene, deadLetter.name, random))
    this.world.schedule(setup.faultsAtMs, this, Act.faults)
    this.world.schedule(AUDIT_EVERY_MS, this, Act.audit)
  }

  start(): void {
    for (const node of this.nodes) node.start()
    for (const client of this.clients) client.start()
    this.#strangers?.start()
  }

  /** The faults end; of a cluster of three and more one node may stay dead. */
  heal(): void {
    const dead = this.setup.leaveOneDead ? this.nodes.find((node) => this.nodes.length >= 3 && this.#disks.isDispensable(node)) : undefined
    if (dead !== undefined) dead.restartAfterMs = undefined
    this.#faults.heal(dead)
    this.scene.calm = true
  }

  get settled(): boolean {
    return this.auditor.finished
  }

  finish(): void {
    this.#disks.finish(this.checkers.report)
    this.checkers.finish()
  }

  /** What is still to do, for a run that never came to rest. */
  describeRest(): string {
    const leaders = [...this.checkers.leaders.latest].map(([shard, node]) => `shard ${shard}: ${node.name} (${node.state})`)
    return [this.auditor.describe(), ...this.publishers.filter((publisher) => !publisher.finished).map((publisher) => publisher.describe()), `last leaders ${leaders.join(', ')}`].join('; ')
  }

  act(code: number): void {
    if (code === Act.audit) {
      this.checkers.audit()
      checkBounds(this.nodes, this.checkers.report)
      for (const node of this.nodes) if (node.state === 'up') this.checkers.sure.claims(node.name, node.actor?.ledSurely?.(node.clock.read(this.world.now)) ?? [])
      this.#disks.audit(this.world.now, this.nodes, this.checkers.report)
      this.#twins.audit()
      this.scene.quiet = this.scene.calm && this.publishers.every((publisher) => publisher.finished)
      this.world.schedule(AUDIT_EVERY_MS, this, Act.audit)
    } else {
      this.#faults.begin()
      this.world.count('fault phase')
    }
  }

  // ---- what the faults ask -----------------------------------------------------------------------------------------

  lull(ms: number): readonly Process[] {
    this.#lullUntil = Math.max(this.#lullUntil, this.world.now + ms)
    this.scene.lull = true
    this.world.schedule(ms, { act: () => (this.scene.lull = this.world.now < this.#lullUntil) }, 0)
    return this.clients.filter((client) => this.#userOf.get(client.name) instanceof Publisher)
  }

  leaders(): readonly NodeProcess[] {
    return [...new Set(this.checkers.leaders.latest.values())].filter((node) => node.state === 'up')
  }

  masters(random: Random): readonly NodeProcess[] {
    const { configurations } = this.checkers.log
    if (configurations.size === 0) return []
    const { voters } = configurations.get(random.pick([...configurations.keys()]))!
    return this.nodes.filter((node) => voters.some((voter) => voter.node === this.#disks.identityOf(node)))
  }

  mayWipe(node: NodeProcess): boolean {
    return this.#disks.mayWipe(node)
  }

  wiped(node: NodeProcess): void {
    this.#disks.wiped(node)
  }

  mayDamage(node: NodeProcess): boolean {
    return this.#disks.mayDamage(node)
  }

  damaged(node: NodeProcess, lasts: () => boolean): void {
    this.#disks.damaged(node, lasts)
  }

  mayForget(node: NodeProcess): boolean {
    return this.#disks.mayForget(node)
  }

  forgets(node: NodeProcess): void {
    this.#disks.forgets(node)
  }

  emptyDisk(): SimulatedDevice {
    return new SimulatedDevice()
  }

  join(count: number): readonly NodeProcess[] {
    if (this.setup.nodes === 1) return []
    const room = this.setup.nodes + JOINED_MAX - this.nodes.length
    const joined = Array.from({ length: Math.min(count, room) }, () => this.#addNode(this.nodes.length, true))
    for (const node of joined) node.start()
    return joined
  }

  otherHome(node: NodeProcess, random: Random): Address | undefined {
    if (this.nodes.length > 1 && random.chance(0.3)) return random.pick(this.nodes.filter((other) => other !== node)).home
    const first = this.#homes.get(node)!
    if (node.home !== first) return this.world.processAt(first) === undefined ? first : undefined
    // The seeds are these addresses: were most of them deserted, nobody could find the cluster any more.
    const away = this.nodes.some((other) => other.home !== this.#homes.get(other))
    return away || this.nodes.length < 3 ? undefined : `10.0.1.${node.index + 1}:6470` as Address
  }

  twin(node: NodeProcess): NodeProcess | undefined {
    const { nodes, setup } = this
    if (this.#twins.any || setup.nodes < 3 || node.nodeId === undefined || nodes.some((one) => one.state !== 'up') || this.checkers.log.configurations.size === 0) return undefined
    for (const { voters, outgoing } of this.checkers.log.configurations.values()) if (outgoing !== undefined || voters.length < 3) return undefined
    const disk = node.disk.clone()
    disk.kill()
    const copy = this.#makeNode(`twin-of-${node.name}`, '10.4.0.1:6470' as Address, disk, false, this.nodes.map((one) => one.home))
    this.#twins.begin(node, copy)
    return copy
  }

  drain(node: NodeProcess): NodeId | undefined {
    const members = this.nodes.filter((one) => this.#belonging.has(one))
    const ids = (nodes: readonly NodeProcess[]): NodeId[] => nodes.map((one) => this.#disks.identityOf(one)!)
    return this.#operations.drain(this.#disks.identityOf(node), ids(members), ids(members.filter((one) => this.scene.seeds.includes(one.home))))
  }

  endDrain(node: NodeId, leaves: boolean, forced: boolean): boolean {
    return this.#operations.endDrain(node, leaves, forced)
  }

  forgetLost(): readonly NodeProcess[] {
    return this.#operations.forget(this.#disks.destroyed)
  }

  mayLose(random: Random): readonly NodeProcess[] {
    const nodes = this.#recoveries.choose(random).map((id) => this.#nodeOf(id))
    return nodes.every((node) => node !== undefined) && this.mayStillLose(nodes) ? nodes : []
  }

  mayStillLose(lost: readonly NodeProcess[]): boolean {
    const { nodes } = this
    if (lost.length === 0 || nodes.length < 3 || nodes.some((node) => !this.#disks.mayWipe(node))) return false
    return this.#recoveries.bears(lost.map((node) => this.#disks.identityOf(node)!), nodes, (id) => this.#nodeOf(id))
  }

  #nodeOf(id: NodeId): NodeProcess | undefined {
    return this.nodes.find((node) => this.#disks.identityOf(node) === id)
  }

  recover(lost: readonly NodeProcess[]): readonly NodeProcess[] {
    const ids = lost.map((node) => this.#disks.identityOf(node)!)
    return this.#recoveries.recover(ids, this.nodes.filter((node) => !lost.includes(node)), (node) => this.#disks.identityOf(node))
  }

  isRecovered(): boolean {
    return this.checkers.recovery.isOver
  }

  returns(node: NodeProcess): void {
    this.#recoveries.returns(node)
  }

  mayBeAlone(nodes: readonly NodeProcess[]): boolean {
    return this.#recoveries.mayBeAlone(nodes.map((node) => this.#disks.identityOf(node)!))
  }

  foundOut(nodes: readonly NodeProcess[]): void {
    this.#recoveries.foundOut(nodes)
  }

  meet(): readonly NodeProcess[] {
    return this.nodes.every((node) => this.#belonging.has(node)) ? this.#strangers?.meet() ?? [] : []
  }

  // ---- what the world tells ----------------------------------------------------------------------------------------

  threw(process: Process, error: unknown): void {
    const text = error instanceof Error ? error.stack ?? error.message : String(error)
    this.checkers.report.broken('assert', `${process.name}: ${text}`)
  }

  identity(process: Process, identity: Identity): void {
    if (!(process instanceof NodeProcess)) return
    const isStranger = this.#strangers?.includes(process) ?? false
    this.checkers.strangers.identified(process.name, identity, isStranger)
    if (isStranger) return
    if (identity.clusterId !== undefined) this.#belonging.add(process)
    this.#disks.identified(process, identity.nodeId)
    this.#operations.identified(process, identity.nodeId)
    if (this.#values.get(process) === identity.value) return
    this.#values.set(process, identity.value)
    const tied = [...this.#values].some(([other, value]) => other !== process && value === identity.value && !this.#twins.includes(process))
    if (tied) this.world.struck('valueTie', process)
  }

  event(process: Process, event: ReplicaEvent): void {
    if (this.#strangers?.includes(process)) return
    this.world.count(event.kind === 'log' ? `log ${event.level}` : event.kind)
    if (event.kind === 'left' && process instanceof NodeProcess) this.#leaves(process)
  }

  observe(process: Process, observation: ReplicaObservation): void {
    if (!(process instanceof NodeProcess) || this.#strangers?.includes(process)) return
    this.world.count(`observed ${observation.kind}`)
    if (this.#lastRun.get(process) !== process.run) {
      this.#lastRun.set(process, process.run)
      this.checkers.started(process)
    }
    this.checkers.observed(process, observation)
    this.#disks.observed(process, observation)
    this.#recoveries.observed(process, observation)
    this.coverage.observed(observation)
    const occasion = occasionOf(observation)
    if (occasion !== undefined) this.#faults.provoke(process, occasion)
  }

  /** A node may end itself where its disk has failed it or has forgotten, and for nothing else that happens here. */
  halted(process: Process, reason: string): void {
    this.world.count('halted')
    if (process instanceof NodeProcess && (process.diskFailures > 0 || this.#disks.mayEnd(process) || this.#recoveries.mayEnd(process))) return
    if (this.#twins.includes(process)) return
    this.checkers.report.broken('halt', `${process.name} ended itself: ${reason}`)
  }

  struck(process: Process, fault: string): void {
    this.coverage.struck(process, fault)
    if (fault === 'repeat') this.history.repeats(process.name)
  }

  stopped(): void {
    this.world.count('stopped')
  }

  died(process: Process): void {
    this.#userOf.get(process.name)?.died()
    this.#userOf.delete(process.name)
  }

  #live(): ReadonlySet<NodeId> {
    return new Set(this.nodes.filter((node) => node.state === 'up' && node.nodeId !== undefined).map((node) => node.nodeId!))
  }

  /** Whoever runs it stops it, and does not start it again. */
  #leaves(node: NodeProcess): void {
    node.restartAfterMs = undefined
    this.world.schedule(0, { act: () => node.stop() }, 0)
  }

  // ---- building ----------------------------------------------------------------------------------------------------

  #addNode(number: number, join: boolean): NodeProcess {
    const { setup } = this
    const seeds = this.nodes.length > 0 && join ? this.nodes.map((node) => node.home) : Array.from({ length: setup.nodes }, (_, i) => addressOf(i))
    const node = this.#makeNode(`node-${number}`, addressOf(number), new SimulatedDevice(), join, seeds)
    this.nodes.push(node)
    this.#homes.set(node, node.home)
    this.#faults.addNode(node)
    return node
  }

  #makeNode(name: string, home: Address, device: SimulatedDevice, join: boolean, seeds: readonly Address[]): NodeProcess {
    const { setup } = this
    const node = this.world.add((index) => new NodeProcess(this.world, index, name, home, {
      device,
      greeter: GREETER,
      make: (process, random) => this.#parts.replica({
        cluster: CLUSTER_NAME, address: process.home, zone: '', version: process.newer ? '0.2.0' : '0.1.0', eligible: true, range: [], seeds: setup.nodes === 1 ? [] : seeds,
        expect: join ? undefined : setup.expect, join, random, tuning: setup.tuning,
      }),
    }))
    node.restartAfterMs = RESTART_AFTER_MS
    return node
  }

  #addVandal(everyMs: number): void {
    const name = 'vandal'
    const strikes = (): boolean => {
      if (this.scene.calm) return false
      this.scene.struck('garbage', name)
      return true
    }
    const vandal = this.world.add((index) => new ClientProcess(this.world, index, name, `10.1.0.${index}:1` as Address, (_process, random) => new Vandal(random, this.scene.seeds, everyMs, strikes)))
    this.clients.push(vandal)
    this.#clientByName.set(name, vandal)
  }

  #addClient(name: string, makeUser: (random: Random) => User): void {
    const client = this.world.add((index) => new ClientProcess(this.world, index, name, `10.1.0.${index}:1` as Address, (_process, random) => {
      const user = makeUser(this.#users.fork())
      this.#userOf.set(name, user)
      return new SimClient(this.scene, random, user)
    }))
    client.restartAfterMs = RESTART_AFTER_MS
    this.clients.push(client)
    this.#clientByName.set(name, client)
    // The auditor comes when all is over, and the operator stands for people: they are no one to be hit.
    if (name !== 'auditor' && name !== 'operator') this.#faults.addClient(client)
  }

  /** A publisher whose process died has forgotten what it asked; the new one stands in its place. */
  #publisher(number: number, random: Random): Publisher {
    return (this.publishers[number] = new Publisher(this.scene, `publisher-${number}`, random))
  }
}

function occasionOf(observation: ReplicaObservation): Occasion | undefined {
  if (observation.kind === 'leader') return 'term'
  if (observation.kind === 'doubted') return 'doubt'
  return observation.kind === 'configured' && observation.outgoing !== undefined ? 'change' : undefined
}

/** The same name for two clusters that meet, in some seeds. */
export const CLUSTER_NAME = 'simulated'

export function addressOf(number: number): Address {
  return `10.0.0.${number + 1}:6470` as Address
}
