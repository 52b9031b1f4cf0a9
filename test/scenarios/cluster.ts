//! Stories of whole nodes, from the first probe to a job's completion: every part of a node is the real one, and so is the client.
//!
//!   nodes a=90 b=70 c=50 expect 3      nodes that look for each other, with the values they have drawn
//!   join d=60                          a node that only ever joins
//!   begin mail                         start them all, up to a founded cluster with that topic
//!   clients p w at a                   processes with a client, which know only a at first
//!
//! `leader` stands for the node that leads the first shard of jobs, `registrar` for the one that leads the registry.

import { Client } from '@horus/core/client/client'
import { type Identity, Replica, type ReplicaEvent, type ReplicaObservation, type ReplicaTuning } from '@horus/core/replica'
import { Random } from '@horus/core/random'
import { type Address, type ClusterId, type NodeId, REGISTRY_SHARD, type ShardId } from '@horus/core/units'
import { ClientProcess } from '@horus/core/world/client'
import type { NodeSetup } from '@horus/core/world/node'
import type { Process } from '@horus/core/world/process'
import { SimClient } from '../simulation/sim-client.ts'
import { addressOf } from '../unit/names.ts'
import { Asked } from './asked.ts'
import { configurationText, type Masters } from './entries.ts'
import { diskOf } from './identities.ts'
import { Ledger, Person } from './person.ts'
import { storyId } from './names.ts'
import { registryText } from './registry-text.ts'
import type { SceneNode } from './scene-node.ts'
import { Stage } from './stage.ts'
import { StoryError } from './story.ts'

const TOPICS = ['votes', 'append', 'heartbeat', 'answer', 'snapshot', 'masters', 'roles', 'registry', 'founding', 'probes', 'pings', 'relays', 'gossip', 'feed', 'users', 'life', 'ready', 'log'] as const
const SHOWN = ['masters', 'roles', 'registry', 'users', 'life'] as const
const CLUSTER = 'story'
/** Small, so that what takes minutes with the defaults happens in a story. */
const TUNING: ReplicaTuning = { heartbeatMs: 100, electionMs: 1000, replaceAfterMs: 1000 }

/** Longer than a new leader's lease clock stands still. */
const BEGIN_MS = 3000

export class ClusterStage extends Stage {
  readonly #ledger = new Ledger()
  readonly #people = new Map<string, { readonly person: Person; readonly process: ClientProcess }>()
  #founders: readonly Address[] = []
  #tuning: ReplicaTuning = TUNING
  #seed = 1
  /** Who was elected last. */
  readonly #leaders = new Map<ShardId, string>()
  /** Who leads what, as `name shard`. */
  readonly #leads = new Set<string>()
  readonly #configurations = new Map<ShardId, string>()
  /** How far the registry's log has been told. */
  #toldThrough = 0
  readonly #clusters: ClusterId[] = []
  readonly #identities = new Map<string, Identity>()
  readonly #asked: Asked

  constructor() {
    super(TOPICS, SHOWN)
    this.#asked = new Asked(this, this.#ledger, (name) => this.#person(name))
    const { actions } = this
    actions.set('set', (name, value) => this.#set(name!, Number(value)))
    actions.set('nodes', (...words) => this.#found(words))
    actions.set('join', (...words) => this.#join(words))
    actions.set('twin', (name, of) => this.#twin(name!, of!))
    actions.set('begin', (topic) => this.#begin(topic))
    actions.set('clients', (...words) => this.#addPeople(words))
    this.#asked.add(actions)
  }

  override node(name: string | undefined): SceneNode {
    if (name === 'leader') return super.node(this.leaderOf(1 as ShardId))
    if (name === 'registrar') return super.node(this.leaderOf(REGISTRY_SHARD))
    return super.node(name)
  }

  leaderOf(shard: ShardId): string | undefined {
    const name = this.#leaders.get(shard)
    return name !== undefined && this.#leads.has(`${name} ${shard}`) ? name : undefined
  }

  /** All that ever had a leader. */
  get shards(): readonly ShardId[] {
    return [...this.#leaders.keys()]
  }

  mastersOf(shard: ShardId): string | undefined {
    return this.#configurations.get(shard)
  }

  identityOf(name: string): Identity | undefined {
    return this.#identities.get(name)
  }

  // ---- building ----------------------------------------------------------------------------------------------------

  #set(name: string, value: number): void {
    if (this.nodes.size > 0) throw new StoryError('settings come before the nodes')
    if (name === 'seed') this.#seed = value
    else this.#tuning = { ...this.#tuning, [name]: value }
  }

  #found(words: readonly string[]): void {
    const at = words.indexOf('expect')
    const named = at < 0 ? words : words.slice(0, at)
    const expect = at < 0 ? named.length : Number(words[at + 1])
    const first = this.nodes.size
    // Whoever is alone has nobody to look for.
    this.#founders = expect === 1 ? [] : named.map((_, i) => addressOf(first + i))
    for (const word of named) this.#addNode(word, expect)
  }

  #join(words: readonly string[]): void {
    if (this.#founders.length === 0) this.#founders = [...this.nodes.values()].map((node) => node.home)
    for (const word of words) this.#addNode(word, undefined)
  }

  /** `a=90`: a node that has drawn 90; `a=90@north`, one in that zone. */
  #addNode(word: string, expect: number | undefined): void {
    const [name, value, zone = ''] = word.split(/[=@]/)
    const number = this.nodes.size
    this.addNode(name!, this.#maker(expect, zone), diskOf(CLUSTER, storyId(number), Number(value)))
  }

  #maker(expect: number | undefined, zone: string): NodeSetup['make'] {
    const seeds = this.#founders
    const tuning = this.#tuning
    return (process) => new Replica({
      cluster: CLUSTER, address: process.home, zone, version: '0.1.0', eligible: true, range: [], seeds,
      expect, join: expect === undefined, random: new Random(this.#seed, process.index * 1000 + process.run), tuning,
    })
  }

  /** A copy of another node's disk, as somebody makes who clones a machine. */
  #twin(name: string, of: string): void {
    this.addNode(name, this.#maker(undefined, ''), this.node(of).disk.clone())
  }

  /** `begin mail`: up to a led shard with that topic, whose lease clock runs. How it comes to that has stories of its own. */
  #begin(topic: string | undefined): readonly string[] {
    for (const node of this.nodes.values()) node.start()
    this.wait('every node is ready', () => [...this.nodes.values()].every((node) => this.teller.heard(`${node.name} is ready`)))
    if (topic !== undefined) {
      this.#addPeople(['beginner'])
      const { person, process } = this.#person('beginner')
      person.createTopic(topic, 1)
      process.planWake()
      this.wait(`topic ${topic}`, () => this.teller.heard('leads shard 1'))
    }
    this.world.runUntil(this.world.now + BEGIN_MS)
    this.#people.get('beginner')?.process.crash()
    this.teller.forget()
    const registry = `the cluster is founded: ${this.#configurations.get(REGISTRY_SHARD)} are the masters of the registry`
    return [topic === undefined ? registry : `${registry}, and ${this.#configurations.get(1 as ShardId)} of shard 1 with the topic ${topic}, led by ${this.leaderOf(1 as ShardId)}`]
  }

  // ---- people ------------------------------------------------------------------------------------------------------

  /** `clients p w at e`: they know only that node at first. */
  #addPeople(words: readonly string[]): void {
    const at = words.indexOf('at')
    const known = at < 0 ? [...this.nodes.values()] : words.slice(at + 1).map((name) => this.node(name))
    for (const name of at < 0 ? words : words.slice(0, at)) this.#addPerson(name, known.map((node) => node.home))
  }

  #addPerson(name: string, seeds: readonly Address[]): void {
    let person: Person | undefined
    const process = this.world.add((index) => new ClientProcess(this.world, index, name, `10.1.0.${index}:1` as Address, (_process, random) => {
      person = new Person(name, this.#ledger, (what) => this.teller.tell('users', name, what))
      this.#people.set(name, { person, process })
      return new SimClient({ seeds, makeClient: (seed, addresses) => new Client({ random: seed, addresses }) }, random, person)
    }))
    process.start()
  }

  #person(name: string | undefined): { readonly person: Person; readonly process: ClientProcess } {
    const found = this.#people.get(name ?? '')
    if (found === undefined) throw new StoryError(`there is no client ${name}, only: ${[...this.#people.keys()].join(' ')}`)
    return found
  }

  protected override processOf(name: string | undefined): Process {
    return this.#people.get(name ?? '')?.process ?? this.node(name)
  }

  // ---- what the world tells ----------------------------------------------------------------------------------------

  override identity(process: Process, identity: Identity): void {
    const known = this.#identities.get(process.name)
    this.#identities.set(process.name, identity)
    super.identity(process, identity)
    if (identity.clusterId === undefined || known?.clusterId === identity.clusterId) return
    if (!this.#clusters.includes(identity.clusterId)) this.#clusters.push(identity.clusterId)
    this.teller.tell('life', process.name, `belongs to ${this.#clusters.length > 1 ? `cluster ${this.#clusters.indexOf(identity.clusterId) + 1}` : 'the cluster'}`)
  }

  override event(process: Process, event: ReplicaEvent): void {
    super.event(process, event)
    if (event.kind === 'left') this.#leaves(process)
    if (event.kind === 'ready') this.teller.tell('ready', process.name, event.ready ? 'is ready' : 'is not ready')
  }

  /** As the host of a real node does, in a turn of its own. */
  #leaves(process: Process): void {
    this.teller.tell('life', process.name, 'has left the cluster')
    this.world.schedule(0, { act: () => this.node(process.name).stop() }, 0)
  }

  protected override named(text: string): string {
    return super.named(text).replace(/\b[0-9a-f]{32}\b/g, (id) => (this.#clusters.includes(id as ClusterId) ? `${this.#clusters.indexOf(id as ClusterId) + 1}` : this.names.node(id as NodeId)))
  }

  override observe(process: Process, observation: ReplicaObservation): void {
    switch (observation.kind) {
      case 'leader':
        this.#leaders.set(observation.shard, process.name)
        this.#leads.add(`${process.name} ${observation.shard}`)
        if (!this.#configurations.has(observation.shard)) this.#configurations.set(observation.shard, this.#bornWith(process.name, observation.shard))
        return this.teller.tell(observation.shard === REGISTRY_SHARD ? 'registry' : 'roles', process.name, `leads ${shardText(observation.shard)} in term ${observation.term}`)
      case 'configured':
        return this.#configured(process, observation.shard, observation, observation.committed)
      case 'applied':
        return this.#appliedFirst(process, observation.shard, observation.index, observation.entry)
      case 'restored':
        return observation.index === 0 ? undefined : this.teller.tell('snapshot', process.name, `has ${shardText(observation.shard)} from a snapshot through ${observation.index}`)
      default:
    }
  }

  /** The masters that a shard was born with, as its first leader describes them. */
  #bornWith(name: string, shard: ShardId): string {
    const line = (this.node(name).actor as Replica).describe().find((each) => each.startsWith(`shard ${shard} `)) ?? ''
    const voters = /voters ((?:\d+@\w{4} ?)*)/.exec(line)?.[1]?.trim().split(' ') ?? []
    return `{${voters.map((voter) => this.names.short(voter.split('@')[1]!)).sort().join(' ')}}`
  }

  /** Told once, by whoever knows it first: how a change reaches the others is in other stories. */
  #configured(process: Process, shard: ShardId, masters: Masters, committed: boolean): void {
    const text = configurationText(masters, this.names)
    const known = this.#configurations.get(shard)
    if (known === undefined || known === text || this.#leaders.get(shard) !== process.name) return
    this.#configurations.set(shard, text)
    this.teller.tell('masters', process.name, `changes ${shardText(shard)} to ${text}${committed ? ', committed' : ''}`)
  }

  #appliedFirst(process: Process, shard: ShardId, index: number, entry: Uint8Array): void {
    if (shard !== REGISTRY_SHARD || index <= this.#toldThrough) return
    this.#toldThrough = index
    const text = registryText(entry, this.names)
    if (text !== undefined) this.teller.tell('registry', process.name, `registry: ${text}`)
  }

  /** That a leader steps down shows only in what its node says of itself. */
  override settled(node: SceneNode): void {
    if (!(node.actor instanceof Replica)) return
    for (const line of node.actor.describe()) {
      const [, shard, role] = /^shard (\d+) replica \d+: (\w+)/.exec(line) ?? []
      const key = `${node.name} ${shard}`
      if (role === 'leader' || !this.#leads.delete(key)) continue
      this.teller.tell(Number(shard) === REGISTRY_SHARD ? 'registry' : 'roles', node.name, `leads ${shardText(Number(shard))} no longer`)
    }
  }

  override died(process: Process): void {
    for (const key of this.#leads) if (key.startsWith(`${process.name} `)) this.#leads.delete(key)
    super.died(process)
  }
}

function shardText(shard: number): string {
  return shard === REGISTRY_SHARD ? 'the registry' : `shard ${shard}`
}
