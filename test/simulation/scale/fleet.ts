//! A cluster of many nodes and many shards in which hardly anything happens: three nodes found it, the others join one after the
//! other, and somebody creates a topic with a partition for every shard. Now and then a node is killed and started again.

import type { Now } from '@horus/core/actor'
import { Random } from '@horus/core/random'
import type { Outcome } from '@horus/core/client/api'
import type { ReplicaEvent, ReplicaObservation, ReplicaPlace } from '@horus/core/replica'
import { type Address, type Epoch, type Instant, never, type NodeId, REGISTRY_SHARD, type ShardId, type Term } from '@horus/core/units'
import { ClientProcess } from '@horus/core/world/client'
import { SimulatedDevice } from '@horus/core/world/device'
import type { Stage } from '@horus/core/world/event'
import type { Process } from '@horus/core/world/process'
import { World, type WorldWatcher } from '@horus/core/world/world'
import { GREETER } from '../greeter.ts'
import { PARTS } from '../parts.ts'
import { type Asking, SimClient, type User } from '../sim-client.ts'
import { CountedNode, Traffic } from './traffic.ts'

export interface FleetSettings {
  readonly seed: number
  readonly nodes: number
  readonly shards: number
  /** Mean time between two kills in the whole cluster, however large it is. */
  readonly churnEveryMs: number
}

const FOUNDERS = 3
/** Newcomers come one after the other, as machines do that are set up by a script. */
const JOIN_EVERY_MS = 50
/** How long a killed node stays away: shorter than what makes a shard look for another master. */
const AWAY_MS = 2000
const TOPIC = 'everything'

export class Fleet implements WorldWatcher, Stage {
  readonly world: World
  readonly nodes: CountedNode[] = []
  readonly traffic = new Traffic()
  kills = 0
  /** Claims that did not hold, and nodes that ended themselves. */
  readonly complaints: string[] = []
  readonly #settings: FleetSettings
  readonly #random: Random
  readonly #ready = new Set<Process>()
  readonly #leaders = new Map<ShardId, { readonly term: Term; readonly node: CountedNode }>()
  readonly #masters = new Map<ShardId, { readonly epoch: Epoch; readonly voters: readonly ReplicaPlace[] }>()
  #churning = false

  constructor(settings: FleetSettings) {
    this.#settings = settings
    this.#random = new Random(settings.seed, 0x5ca1e)
    this.world = new World(this.#random.fork(), this)
    const seeds = Array.from({ length: FOUNDERS }, (_, i) => addressOf(i))
    for (let i = 0; i < settings.nodes; i++) this.#addNode(i, seeds)
    const client = this.world.add((index) => new ClientProcess(this.world, index, 'creator', '10.1.0.1:1' as Address, (_process, random) => new SimClient({ makeClient: PARTS.client, seeds }, random, new Creator(settings.shards))))
    this.world.schedule(settings.nodes * JOIN_EVERY_MS, { act: () => client.start() }, 0)
  }

  start(): void {
    this.nodes.forEach((node, i) => this.world.schedule(Math.max(0, i - FOUNDERS) * JOIN_EVERY_MS, { act: () => node.start() }, 0))
  }

  /** Counts from now on, and kills nodes if it is to. */
  measure(churning: boolean): void {
    this.traffic.clear()
    for (const node of this.nodes) node.traffic = this.traffic
    this.#churning = churning
    if (churning) this.#nextKill()
  }

  /** Ends what `measure` began. */
  rest(): void {
    for (const node of this.nodes) node.traffic = undefined
    this.#churning = false
  }

  act(): void {
    if (!this.#churning) return
    this.#nextKill()
    const node = this.#random.pick(this.nodes)
    if (node.state !== 'up') return
    this.kills++
    node.crash('killed')
    this.world.restart(node, AWAY_MS)
  }

  #nextKill(): void {
    this.world.schedule(this.#random.fraction() * 2 * this.#settings.churnEveryMs, this, 0)
  }

  // ---- how it is ---------------------------------------------------------------------------------------------------

  /** Every node belongs to the cluster, and every shard has three masters and a leader that lives. */
  get complete(): boolean {
    return this.#ready.size === this.nodes.length && this.shardsWithThree === this.#settings.shards + 1 && this.shardsLed === this.#settings.shards + 1
  }

  get shardsWithThree(): number {
    return [...this.#masters.values()].filter(({ voters }) => voters.length === 3).length
  }

  get shardsLed(): number {
    return [...this.#leaders.values()].filter(({ node }) => node.state === 'up').length
  }

  /** How many job shards each node leads, the most first. */
  get leads(): readonly number[] {
    const counts = new Map<CountedNode, number>(this.nodes.map((node) => [node, 0]))
    for (const [shard, { node }] of this.#leaders) if (shard !== REGISTRY_SHARD) counts.set(node, counts.get(node)! + 1)
    return [...counts.values()].sort((a, b) => b - a)
  }

  /** And has copies of. */
  get copies(): readonly number[] {
    const counts = new Map<NodeId, number>()
    for (const [shard, { voters }] of this.#masters) if (shard !== REGISTRY_SHARD) for (const { node } of voters) counts.set(node, (counts.get(node) ?? 0) + 1)
    return [...counts.values()].sort((a, b) => b - a)
  }

  /** Links between nodes that stand, both ends of each counted. */
  get linkEnds(): number {
    return this.world.network.standing().filter((link) => link.between === 'nodes').length * 2
  }

  // ---- what the world tells ----------------------------------------------------------------------------------------

  threw(process: Process, error: unknown): void {
    this.complaints.push(`${process.name}: ${error instanceof Error ? error.stack ?? error.message : String(error)}`)
  }

  halted(process: Process, reason: string): void {
    this.complaints.push(`${process.name} ended itself: ${reason}`)
  }

  observe(process: Process, observation: ReplicaObservation): void {
    if (observation.kind === 'leader') {
      const known = this.#leaders.get(observation.shard)
      if (known === undefined || observation.term > known.term) this.#leaders.set(observation.shard, { term: observation.term, node: process as CountedNode })
    } else if (observation.kind === 'configured' && observation.committed) {
      const known = this.#masters.get(observation.shard)
      if (known === undefined || observation.epoch > known.epoch) this.#masters.set(observation.shard, observation)
    }
  }

  event(process: Process, event: ReplicaEvent): void {
    if (event.kind !== 'ready') return
    if (event.ready) this.#ready.add(process)
    else this.#ready.delete(process)
  }

  died(process: Process): void {
    this.#ready.delete(process)
  }

  identity(): void {}

  stopped(): void {}

  // ---- building ----------------------------------------------------------------------------------------------------

  #addNode(number: number, seeds: readonly Address[]): void {
    const founds = number < FOUNDERS
    this.nodes.push(this.world.add((index) => new CountedNode(this.world, index, `node-${number}`, addressOf(number), {
      device: new SimulatedDevice(),
      greeter: GREETER,
      make: (process, random) => PARTS.replica({
        cluster: 'fleet', address: process.home, zone: '', version: '0.1.0', eligible: true, range: [], seeds, expect: founds ? FOUNDERS : undefined, join: !founds, random,
        // Small, since there are so many of them in one process; all times are the ones that people get.
        tuning: { segmentBytes: SEGMENT_BYTES, cacheBytes: 64 * 1024 },
      }),
    })))
  }
}

const SEGMENT_BYTES = 256 * 1024

function addressOf(number: number): Address {
  return `10.0.${number >> 8}.${number & 0xff}:6470` as Address
}

/** Asks for the topic until it is there. */
class Creator implements User {
  wakeAt: Instant = never
  readonly #partitions: number

  constructor(partitions: number) {
    this.#partitions = partitions
  }

  begin(_now: Now, asking: Asking): void {
    asking.ask({ kind: 'locate', request: asking.request(), topic: TOPIC, create: true, partitions: this.#partitions, timeoutMs: 10_000 })
  }

  done(now: Now, _request: number, outcome: Outcome, asking: Asking): void {
    if (outcome.kind === 'failed') this.begin(now, asking)
  }

  wake(): void {}

  leased(): void {}

  leaseLost(): void {}

  died(): void {}
}
