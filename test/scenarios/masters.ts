//! Stories of the masters of one shard: election, replication, configuration, snapshots, clocks. The shard keeps a list of words.
//!
//!   masters a b c      the first masters; the further left, the sooner one stands for election
//!   nodes d e          nodes without a copy
//!   begin              start them all, up to the first leader
//!   set NAME VALUE     a setting of the masters, before they are made

import { birthConfiguration } from '@horus/core/master/configuration'
import type { Peer } from '@horus/core/master/boundary'
import { defaultMasterSettings, type MasterSettings } from '@horus/core/master/settings'
import { holds, noSuchClaim } from './commands.ts'
import { Copy, type CopyInput } from './copy.ts'
import { configurationText } from './entries.ts'
import { Dice } from './dice.ts'
import { Stage } from './stage.ts'
import { StoryError } from './story.ts'

const TOPICS = ['votes', 'append', 'heartbeat', 'answer', 'snapshot', 'masters', 'roles', 'follows', 'commits', 'applied', 'disk', 'recovery', 'answers', 'life', 'log'] as const
const SHOWN = ['votes', 'append', 'answer', 'masters', 'roles', 'commits', 'disk', 'recovery', 'answers', 'life'] as const

/** Long enough that everybody has heard of everything. */
const BEGIN_MS = 500

export class MastersStage extends Stage {
  #first: readonly string[] = []
  #settings: MasterSettings = defaultMasterSettings
  #snapshotEntries = 1_000_000
  readonly #dice = new Map<string, number>()
  #made = 0

  constructor() {
    super(TOPICS, SHOWN)
    const { actions } = this
    actions.set('set', (name, value) => this.#set(name!, Number(value)))
    actions.set('masters', (...names) => {
      this.#first = names
      for (const name of names) this.#make(name)
    })
    actions.set('nodes', (...names) => names.forEach((name) => this.#make(name)))
    actions.set('begin', () => this.#begin())
    actions.set('dice', (name, value) => void this.#dice.set(name!, Number(value)))
    actions.set('propose', (name, ...words) => this.#ask(name, { kind: 'propose', words }))
    actions.set('read', (name) => this.#ask(name, { kind: 'read' }))
    actions.set('transfer', (name, to) => this.#ask(name, { kind: 'transfer', to: to === undefined ? undefined : this.#peer(name, to).replica }))
    actions.set('learner', (name, node) => this.#ask(name, { kind: 'reconfigure', change: { kind: 'learner', node: this.names.id(node!) } }))
    actions.set('replace', (name, ...voters) => this.#ask(name, { kind: 'reconfigure', change: { kind: 'replace', voters: voters.map((voter) => this.#peer(name, voter)) } }))
    actions.set('logs', (...names) => this.#logs(names))
    actions.set('clocks', (...names) => this.#clocks(names))
    actions.set('expect', (...words) => this.#expect(words))
  }

  // ---- building ----------------------------------------------------------------------------------------------------

  #set(name: string, value: number): void {
    if (this.#made > 0) throw new StoryError('settings come before the masters')
    if (name === 'snapshotEntries') this.#snapshotEntries = value
    else if (name in this.#settings) this.#settings = { ...this.#settings, [name]: value }
    else throw new StoryError(`no setting ${name}`)
  }

  #make(name: string): void {
    const number = this.#made++
    if (!this.#dice.has(name)) this.#dice.set(name, 0.1 + number / 10)
    this.addNode(name, (_process, random) => new Copy({
      name, names: this.names, birth: birthConfiguration(this.#first.map((first) => this.names.id(first))), settings: this.#settings, snapshotEntries: this.#snapshotEntries,
      random, dice: new Dice(this.#dice.get(name)!), tell: (topic, what) => this.teller.tell(topic, name, what),
    }))
  }

  /** Everybody starts, and the first leader is found; how that goes has a story of its own. */
  #begin(): readonly string[] {
    for (const node of this.nodes.values()) node.start()
    this.wait('a leader', () => this.teller.heard('commits 1 no-op'))
    this.world.runUntil(this.world.now + BEGIN_MS)
    this.teller.forget()
    return [`${this.#leaders().join(' ')} leads in term 1, everybody has its no-op`]
  }

  // ---- asking ------------------------------------------------------------------------------------------------------

  #ask(name: string | undefined, input: CopyInput): void {
    const node = this.node(name)
    if (!node.running) throw new StoryError(`${name} does not run`)
    node.deliver(input)
    this.world.runUntil(this.world.now)
  }

  #copy(name: string | undefined): Copy | undefined {
    return this.node(name).actor as Copy | undefined
  }

  #peer(leader: string | undefined, name: string): Peer {
    const configuration = this.#copy(leader)?.hosted?.master.configuration
    const node = this.names.id(name)
    const peer = [...(configuration?.learners ?? []), ...(configuration?.voters ?? [])].find((each) => each.node === node)
    if (peer === undefined) throw new StoryError(`${name} is no member, as ${leader} knows it`)
    return peer
  }

  // ---- looking -----------------------------------------------------------------------------------------------------

  #named(names: readonly string[]): readonly string[] {
    return names.length > 0 ? names : [...this.nodes.keys()]
  }

  #logs(names: readonly string[]): readonly string[] {
    return this.#named(names).map((name) => {
      const copy = this.#copy(name)
      const master = copy?.hosted?.master
      if (master === undefined) return `${name}  ${copy === undefined ? 'is dead' : 'has no copy'}`
      const entries = copy!.log().map(({ index, term, text }) => `${index}:${text}/${term}`)
      const before = master.firstIndex > 1 ? [`(snapshot through ${master.firstIndex - 1})`] : []
      return `${name}  ${[...before, ...entries].join('  ') || 'empty'}   committed ${master.commitIndex}, term ${master.term}${master.role === 'leader' ? ', leads' : ''}`
    })
  }

  #clocks(names: readonly string[]): readonly string[] {
    return this.#named(names).map((name) => {
      const master = this.#copy(name)?.hosted?.master
      if (master === undefined) return `${name}  has no copy`
      return `${name}  lease clock ${Math.round(master.leaseNow(this.node(name).clock.read(this.world.now)))} ms${master.role === 'leader' ? ', leads' : ''}`
    })
  }

  // ---- claims ------------------------------------------------------------------------------------------------------

  #expect(words: readonly string[]): void {
    const [what, name, ...rest] = words
    const master = this.nodes.has(name ?? '') ? this.#copy(name)?.hosted?.master : undefined
    switch (what) {
      case 'leader':
        return holds(this.#leaders().join(' ') || 'none', words.slice(1).join(' '))
      case 'term':
        return holds(master?.term, rest[0])
      case 'committed':
        return holds(master?.commitIndex, rest[0])
      case 'words':
        return holds(this.#copy(name)?.words.join(' ') || 'nothing', rest.join(' '))
      case 'masters':
        return holds(master === undefined ? 'no copy' : configurationText(master.configuration, this.names), rest.join(' '))
      case 'copy':
        return holds(master === undefined ? 'none' : master.isSuspect ? 'suspect' : master.self.replica, rest[0])
      case 'first':
        return holds(master?.firstIndex, rest[0])
      case 'clock': {
        const now = Math.round(master!.leaseNow(this.node(name).clock.read(this.world.now)))
        return holds(rest[0] === 'below' ? now < Number(rest[1]) : now, rest[0] === 'below' ? true : rest[0])
      }
      case 'same': {
        const lists = this.#named(words.slice(1)).map((each) => this.#copy(each)?.words.join(' ') ?? 'no copy')
        return holds(new Set(lists).size, 1)
      }
      case 'told':
        return holds(this.teller.ever(words.slice(1).join(' ')), true)
      case 'never':
        return holds(this.teller.ever(words.slice(1).join(' ')), false)
      default:
        return noSuchClaim(what)
    }
  }

  /** Nodes that lead, by name, a later term first. */
  #leaders(): readonly string[] {
    const leaders = [...this.nodes.keys()].map((name) => ({ name, master: this.#copy(name)?.hosted?.master })).filter(({ master }) => master?.role === 'leader')
    return leaders.sort((a, b) => b.master!.term - a.master!.term).map(({ name }) => name)
  }
}
