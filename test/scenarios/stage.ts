//! Where stories of several nodes happen: the simulated world, with a network and disks that always take one millisecond, so
//! that nothing is left to chance but what actors draw themselves. Drivers add what their nodes are and can be asked.
//!
//!   start crash freeze stop      what becomes of a process
//!   partition heal cut lose      what becomes of messages
//!   run until                    time passes
//!   show                         what is told

import { Random } from '@horus/core/random'
import type { Identity, ReplicaEvent, ReplicaObservation } from '@horus/core/replica'
import { duration, type NodeId } from '@horus/core/units'
import type { DiskSettings, NodeSetup } from '@horus/core/world/node'
import type { Process } from '@horus/core/world/process'
import { SimulatedDevice } from '@horus/core/world/device'
import { World, type WorldWatcher } from '@horus/core/world/world'
import { Commands } from './commands.ts'
import { Dice } from './dice.ts'
import { type Tidings, tidingsOf } from './mail.ts'
import { Names } from './names.ts'
import { type Listener, type Mail, SceneNode } from './scene-node.ts'
import { type Driver, StoryError } from './story.ts'
import { Teller } from './teller.ts'

export const STEADY_NETWORK = { delayMsMin: 1, delayMsMax: 1, lossChance: 0, duplicateChance: 0, spikeChance: 0, spikeMsMax: 0, adversaryChance: 0, adversaryTagMin: 0, adversaryTagMax: 0 }
const STEADY_DISK: DiskSettings = { delayMsMin: 1, delayMsMax: 1, slowChance: 0, slowMsMax: 0 }
/** What a story waits for comes within so long, or not at all. */
const UNTIL_MS_MAX = 120_000
const FOR_EVER = 1e12

/** Messages that do not arrive: those of a kind or with these words in them; `any` is anybody. */
interface Loss {
  readonly what: string
  readonly from: string
  readonly to: string
  left: number
}

export abstract class Stage implements Driver, WorldWatcher, Listener {
  readonly world: World
  readonly names = new Names()
  readonly nodes = new Map<string, SceneNode>()
  readonly teller: Teller
  readonly actions = new Commands()
  readonly #losses: Loss[] = []
  #threw: string | undefined

  constructor(topics: readonly string[], shown: readonly string[]) {
    this.world = new World(new Random(1), this)
    this.world.network.conditions.settings = STEADY_NETWORK
    this.teller = new Teller(() => this.world.now, topics, shown)
    this.#addActions()
  }

  run(words: readonly string[]): readonly string[] {
    this.teller.begin()
    const said = this.actions.perform(words)
    if (this.#threw !== undefined) throw new StoryError(this.#threw)
    return [...said, ...this.teller.take()]
  }

  node(name: string | undefined): SceneNode {
    const node = this.nodes.get(name ?? '')
    if (node === undefined) throw new StoryError(`there is no node ${name}, only: ${[...this.nodes.keys()].join(' ')}`)
    return node
  }

  protected addNode(name: string, make: NodeSetup['make'], device = new SimulatedDevice()): SceneNode {
    const home = this.names.add(name)
    const node = this.world.add((index) => new SceneNode(this.world, index, name, home, { make, device }, this))
    node.diskSettings = STEADY_DISK
    this.nodes.set(name, node)
    return node
  }

  /** Runs until the condition holds, and fails where it never does. */
  wait(what: string, holds: () => boolean): void {
    const end = this.world.now + UNTIL_MS_MAX
    if (!holds()) this.world.runUntil(end, () => this.#threw !== undefined || holds())
    if (this.#threw === undefined && !holds()) throw new StoryError(`not within ${UNTIL_MS_MAX / 1000} s: ${what}`)
  }

  // ---- commands ----------------------------------------------------------------------------------------------------

  #addActions(): void {
    const { actions } = this
    actions.set('show', (...topics) => this.teller.show(topics))
    actions.set('start', (...names) => this.#each(names, (node) => node.start()))
    actions.set('run', (time) => this.world.runUntil(this.world.now + duration(time!), () => this.#threw !== undefined))
    actions.set('until', (...words) => this.wait(words.join(' '), () => this.teller.heard(words.join(' '))))
    actions.set('crash', (name, ...how) => this.#crash(this.node(name), how))
    actions.set('stop', (...names) => this.#each(names, (node) => node.stop()))
    actions.set('freeze', (name, time) => this.world.pause(this.processOf(name), time === undefined ? FOR_EVER : duration(time)))
    actions.set('thaw', (name) => this.world.resume(this.processOf(name)))
    actions.set('partition', (...words) => this.#partition(words))
    actions.set('heal', () => this.#heal())
    actions.set('cut', (a, b) => this.#cut(this.node(a), this.node(b)))
    actions.set('lose', (...words) => this.#lose(words))
    actions.set('disk', (name, time) => this.#disk(this.node(name), time))
    actions.set('rot', (name, word) => this.#rot(this.node(name), word!))
    actions.set('room', (name, bytes) => this.#room(this.node(name), bytes))
    actions.set('wall', (name, time) => this.processOf(name).clock.jumpWall(duration(time!)))
    actions.set('wipe', (name) => this.node(name).replaceDisk(new SimulatedDevice()))
  }

  /** Nodes and whatever else a driver has that may be frozen. */
  protected processOf(name: string | undefined): Process {
    return this.node(name)
  }

  #each(names: readonly string[], act: (node: SceneNode) => void): void {
    for (const name of names.length > 0 ? names : this.nodes.keys()) act(this.node(name))
  }

  /** `crash a`: the process is killed, what it wrote stays; `crash a power`: whatever was not flushed is gone. `... at its next write`: before the disk has it. */
  #crash(node: SceneNode, how: readonly string[]): void {
    if (!node.running) throw new StoryError(`${node.name} does not run`)
    if (how.includes('write')) {
      node.crashAtWrite(0, 'killed')
      return
    }
    node.crash()
    // The worst that may happen: no sector has reached the platter by itself.
    if (how.includes('power')) node.disk.crash(new Dice(0))
  }

  /** `partition a | b c`: nothing passes between the groups, and nobody is told. */
  #partition(words: readonly string[]): void {
    const groups = words.join(' ').split('|').map((group) => group.trim().split(' ').map((name) => this.processOf(name)))
    const groupOf = (process: Process): number => groups.findIndex((group) => group.includes(process))
    const parted = (a: Process, b: Process): boolean => groupOf(a) !== groupOf(b) && groupOf(a) >= 0 && groupOf(b) >= 0
    for (const a of this.world.processes) for (const b of this.world.processes) if (parted(a, b)) this.world.network.conditions.block(a.index, b.index, FOR_EVER)
    for (const link of this.world.network.standing()) {
      if (link.acceptor === undefined || !parted(link.dialler.process, link.acceptor.process)) continue
      link.cut = true
      this.#broken.push(link.dialler, link.acceptor)
    }
  }

  /** Ends of links that no longer carry anything, and do not know it yet. */
  #broken: Parameters<World['network']['close']>[0][] = []

  /** Everything passes again; whose connection broke learns of it, and opens another. */
  #heal(): void {
    this.world.network.heal()
    for (const end of this.#broken.splice(0)) this.world.push(0, { kind: 'linkDown', link: end.link, end })
  }

  /** Both sides see that their connection is closed; the next message opens another. */
  #cut(a: SceneNode, b: SceneNode): void {
    for (const link of this.world.network.standing()) {
      const ends = [link.dialler, link.acceptor]
      if (link.acceptor === undefined || !ends.some((end) => end?.process === a) || !ends.some((end) => end?.process === b)) continue
      link.cut = true
      for (const end of ends) this.world.push(1, { kind: 'linkDown', link, end: end! })
    }
  }

  /** `lose append from a to b` until `lose nothing`, or `lose 1 append ...`; instead of a kind, words of the message. Who is left out is anybody. */
  #lose(words: readonly string[]): void {
    if (words[0] === 'nothing') {
      this.#losses.length = 0
      return
    }
    const counted = /^\d+$/.test(words[0] ?? '')
    const behind = (word: string): string => (words.includes(word) ? this.node(words[words.indexOf(word) + 1]).name : 'any')
    this.#losses.push({ what: words[counted ? 1 : 0]!, from: behind('from'), to: behind('to'), left: counted ? Number(words[0]) : Infinity })
  }

  /** A bit flips in the middle of these words, where they lie in the node's journal. */
  #rot(node: SceneNode, word: string): void {
    for (const { name } of node.disk.files()) {
      const at = Buffer.from(node.disk.content(name)!).indexOf(word)
      if (at >= 0 && name.startsWith('journal')) return node.disk.rot(name, at, 1)
    }
    throw new StoryError(`${word} is nowhere on the disk of ${node.name}`)
  }

  /** So many KiB are left on the node's disk; without a number there is no end to it. */
  #room({ disk }: SceneNode, kibibytes: string | undefined): void {
    disk.capacityBytes = kibibytes === undefined ? Infinity : disk.usedBytes + Number(kibibytes) * 1024
  }

  #disk(node: SceneNode, time: string | undefined): void {
    const delay = time === 'stuck' ? FOR_EVER : duration(time ?? '1ms')
    node.diskSettings = { ...STEADY_DISK, delayMsMin: delay, delayMsMax: delay }
  }

  // ---- what the world tells ----------------------------------------------------------------------------------------

  hears(node: SceneNode, from: NodeId, mail: Mail): boolean {
    const sender = this.names.node(from)
    const tidings = this.tidings(sender, node.name, mail)
    const fits = ({ what, from: by, to }: Loss): boolean => (what === mail.kind || tidings?.text.includes(what) === true) && (by === 'any' || by === sender) && (to === 'any' || to === node.name)
    const loss = this.#losses.find((each) => each.left > 0 && fits(each))
    if (tidings !== undefined) this.teller.tell(this.#isNews(sender, node.name, mail, tidings.text) ? tidings.topic : 'heartbeat', sender, loss === undefined ? tidings.text : `${tidings.text}  — lost`, node.name)
    if (loss === undefined) return true
    loss.left--
    return false
  }

  readonly #answered = new Map<string, string>()

  /** An answer that says what the one before it said only keeps the leader leading. */
  #isNews(from: string, to: string, mail: Mail, text: string): boolean {
    if (mail.kind !== 'appendAnswer') return true
    const way = `${from} ${to} ${mail.shard}`
    const known = this.#answered.get(way) === text
    this.#answered.set(way, text)
    return !known
  }

  protected tidings(from: string, to: string, mail: Mail): Tidings | undefined {
    return tidingsOf(mail, this.names, from, to)
  }

  settled(_node: SceneNode): void {}

  threw(process: Process, error: unknown): void {
    this.#threw = `${process.name} broke off: ${error instanceof Error ? error.stack ?? error.message : String(error)}`
  }

  identity(process: Process, identity: Identity): void {
    this.names.call(process.name, identity.nodeId)
  }

  event(process: Process, event: ReplicaEvent): void {
    if (event.kind === 'log') this.teller.tell('log', process.name, `says: ${this.named(event.text)}`)
  }

  /** Addresses and ids in a text that is meant for people, by their names. */
  protected named(text: string): string {
    return text.replace(/\d+\.\d+\.\d+\.\d+:\d+/g, (address) => this.names.at(address as never))
  }

  observe(_process: Process, _observation: ReplicaObservation): void {}

  died(process: Process): void {
    this.teller.tell('life', process.name, 'is dead')
  }

  halted(process: Process, reason: string): void {
    this.teller.tell('life', process.name, `ends itself: ${this.named(reason)}`)
  }

  stopped(process: Process): void {
    this.teller.tell('life', process.name, 'has stopped')
  }
}
