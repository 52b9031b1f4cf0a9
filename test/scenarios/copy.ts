//! A node that holds one copy of one shard and does nothing else: the master, the journal and the way between them are those of
//! a real node; there is no registry, no gossip and no client. What it does is told in words.

import type { Now } from '@horus/core/actor'
import { Journal, type JournalInput, type JournalOutbox } from '@horus/core/journal/journal'
import type { RecoveredShard } from '@horus/core/journal/rebuild'
import type { ConfigurationChange, LogRecord, RoleView } from '@horus/core/master/boundary'
import { Master } from '@horus/core/master/master'
import type { MasterSettings } from '@horus/core/master/settings'
import { type Configuration, logTable } from '@horus/core/message/command'
import type { ConsensusMessage } from '@horus/core/message/consensus'
import { linkTable } from '@horus/core/message/messages'
import { Random } from '@horus/core/random'
import type { ReplicaInput, ReplicaOutbox } from '@horus/core/replica'
import { Hosted, type HostedOutbox } from '@horus/core/replica/hosted'
import { copyOf } from '@horus/core/replica/recovered'
import type { Instant, LogIndex, NodeId, ReplicaNumber, ShardId } from '@horus/core/units'
import type { ReplicaActor } from '@horus/core/world/node'
import { configurationText, entryText } from './entries.ts'
import type { Names } from './names.ts'
import { WordList, wordEntry } from './word-list.ts'

export const SHARD = 1 as ShardId

export type CopyInput =
  | ReplicaInput
  | { readonly kind: 'propose'; readonly words: readonly string[] }
  | { readonly kind: 'read' }
  | { readonly kind: 'transfer'; readonly to: ReplicaNumber | undefined }
  | { readonly kind: 'reconfigure'; readonly change: ConfigurationChange }

export interface CopyOptions {
  readonly name: string
  readonly names: Names
  /** What the shard is born with, for its first masters. */
  readonly birth: Configuration | undefined
  readonly settings: MasterSettings
  readonly snapshotEntries: number
  readonly random: Random
  /** For election timers alone. */
  readonly dice: Random
  readonly tell: (topic: string, what: string) => void
}

export class Copy implements ReplicaActor {
  readonly #options: CopyOptions
  readonly #journal: Journal
  #hosted: Hosted | undefined
  #now: Now | undefined
  #out: ReplicaOutbox | undefined
  #noted: (() => void)[] = []
  #tickets = 0
  #running = false
  /** What is gathered for the disk, by ticket, in words. */
  #gathered: { readonly ticket: number; readonly what: string }[] = []
  #leads = false
  #leader: string | undefined
  #configured = ''
  #committed = 0

  constructor(options: CopyOptions) {
    this.#options = options
    this.#journal = new Journal({ random: options.random, segmentBytes: 64 * 1024 })
  }

  get hosted(): Hosted | undefined {
    return this.#hosted
  }

  get words(): readonly string[] {
    return this.#hosted === undefined ? [] : (this.#hosted.machine as WordList).words
  }

  /** The log that is still there, in words. */
  log(): readonly { readonly index: number; readonly term: number; readonly text: string }[] {
    const master = this.#hosted?.master
    if (master === undefined) return []
    const entries = []
    for (let index = master.firstIndex; index <= master.lastIndex; index++) {
      const bytes = this.#journal.entry(SHARD, index as LogIndex)
      entries.push({ index, term: master.termAt(index as LogIndex) ?? 0, text: bytes === undefined ? '(on disk)' : entryText(bytes, this.#options.names) })
    }
    return entries
  }

  get wakeAt(): Instant {
    if (!this.#running || this.#hosted === undefined || this.#now === undefined) return this.#journal.wakeAt
    return Math.min(this.#journal.wakeAt, this.#hosted.wakeAt(this.#now)) as Instant
  }

  receive(now: Now, input: CopyInput, out: ReplicaOutbox): void {
    this.#enter(now, out)
    const hosted = this.#hosted
    switch (input.kind) {
      case 'start':
        out.identity({ nodeId: this.#self, value: 0, boot: 1, cluster: 'stories', clusterId: undefined, generation: 1 })
        this.#journal.receive(now, input, this.#journalOutbox)
        break
      case 'device':
        this.#journal.receive(now, input, this.#journalOutbox)
        break
      case 'message':
        this.#message(input.from, input.bytes)
        break
      case 'linkDown':
        hosted?.linkDown(now, input.node)
        break
      case 'turn':
        hosted?.turn(now)
        this.#settle()
        this.#journal.receive(now, input, this.#journalOutbox)
        break
      case 'propose':
        if (hosted?.master.proposable === 'yes') for (const word of input.words) hosted.propose(now, wordEntry(word, SHARD))
        else this.#tell('answers', `takes nothing: ${hosted?.master.proposable === 'notLeader' ? 'it does not lead' : 'no quorum is in reach'}`)
        break
      case 'read':
        hosted?.read(now, (ok) => this.#tell('answers', ok ? `read: ${this.words.join(' ') || 'nothing'}` : 'read refused'))
        break
      case 'transfer':
      case 'reconfigure':
        hosted?.input(now, input)
        break
      default:
        // Clients and datagrams: there are none.
    }
    this.#settle()
  }

  wake(now: Now, out: ReplicaOutbox): void {
    this.#enter(now, out)
    if (this.#journal.wakeAt <= now.monotonic) this.#journal.wake(now, this.#journalOutbox)
    this.#hosted?.wake(now)
    this.#settle()
  }

  #enter(now: Now, out: ReplicaOutbox): void {
    this.#now = now
    this.#out = out
  }

  get #self(): NodeId {
    return this.#options.names.id(this.#options.name)
  }

  #tell(topic: string, what: string): void {
    this.#options.tell(topic, what)
  }

  #settle(): void {
    while (this.#noted.length > 0) for (const effect of this.#noted.splice(0)) effect()
  }

  // ---- the copy ----------------------------------------------------------------------------------------------------

  readonly #journalOutbox: JournalOutbox = {
    device: (request) => this.#out!.device(request),
    recovered: ({ shards }) => this.#noted.push(() => this.#recovered(shards.find((each) => each.shard === SHARD))),
    durable: (_shard, ticket) => {
      this.#tellDurable(ticket)
      this.#noted.push(() => this.#hosted?.durable(this.#now!, ticket))
    },
    loaded: () => this.#noted.push(() => this.#hosted?.loaded(this.#now!)),
    unreadable: (_shard, index) => this.#noted.push(() => this.#hosted?.unreadable(this.#now!, index)),
    stalled: (reason) => this.#tell('journal', reason),
    failed: (reason) => this.#out!.halt(reason),
  }

  #recovered(found: RecoveredShard | undefined): void {
    this.#running = true
    const { birth } = this.#options
    if (found?.hardState !== undefined) {
      this.#tell('recovery', `finds ${found.last < found.first ? 'no entries' : `entries ${found.first} to ${found.last}`}, term ${found.hardState.term}${found.suspect ? ', and is in doubt' : ''}`)
      this.#host(found, undefined, found.hardState.self)
      return
    }
    const self = birth?.voters.find((voter) => voter.node === this.#self)?.replica
    if (birth !== undefined && self !== undefined) this.#host(EMPTY, birth, self).born(this.#now!, self, logTable.encode(birth), () => {})
  }

  #host(recovered: RecoveredShard, birth: Configuration | undefined, replica: ReplicaNumber): Hosted {
    const { settings, snapshotEntries, dice } = this.#options
    const now = this.#now!
    const hosted = new Hosted({ shard: SHARD, snapshotEntries, snapshotBytes: Infinity }, new WordList(), recovered, this.#hostedOutbox)
    this.#hosted = hosted
    hosted.start(now, () => new Master({
      shard: SHARD, self: { replica, node: this.#self }, settings, random: dice, reader: this.#journal, now, birth, recovered: birth === undefined && recovered.hardState !== undefined ? copyOf(recovered) : undefined,
    }))
    return hosted
  }

  #message(from: NodeId, bytes: Uint8Array): void {
    if (!this.#running) return
    const message = linkTable.decode(bytes) as ConsensusMessage
    const own = this.#hosted?.master
    const wanted = message.kind === 'append' || message.kind === 'snapshot'
    // A leader's first word to a copy that is not here makes it, empty; one that is no member any more makes room.
    if (wanted && (own === undefined || (message.to > own.self.replica && (own.isSuspect || !own.isMember)))) {
      if (own !== undefined) this.#drop()
      this.#tell('masters', `makes an empty copy, number ${message.to}`)
      this.#host(EMPTY, undefined, message.to).adopted(this.#now!, message.to)
    }
    this.#hosted?.message(this.#now!, from, message)
  }

  #drop(): void {
    this.#hosted = undefined
    this.#leads = false
    this.#journal.receive(this.#now!, { kind: 'drop', shard: SHARD }, this.#journalOutbox)
  }

  readonly #hostedOutbox: HostedOutbox = {
    stirred: () => {},
    moved: () => {},
    nextTicket: () => ++this.#tickets,
    send: (to, message) => {
      this.#out!.address(to, this.#options.names.addressOf(to))
      this.#out!.send(to, linkTable.encode(message))
    },
    journal: (_now, input) => {
      this.#note(input)
      this.#journal.receive(this.#now!, input, this.#journalOutbox)
    },
    entry: (shard, index) => this.#journal.entry(shard, index),
    entries: (shard, from, to, maxBytes) => this.#journal.entries(shard, from, to, maxBytes),
    role: (_hosted, view) => this.#role(view),
    configured: (_hosted, configuration, committed) => {
      const text = `masters ${configurationText(configuration, this.#options.names)}, epoch ${configuration.epoch}${committed ? ', committed' : ''}`
      if (text !== this.#configured && configuration.epoch > 1) this.#tell('masters', text)
      this.#configured = text
    },
    proposed: () => {},
    committed: (_hosted, index) => {
      this.#tell('commits', `commits ${this.#range(this.#committed + 1, index)}`)
      this.#committed = index
    },
    applied: (_hosted, record) => this.#tell('applied', `applies ${record.index} ${entryText(record.bytes, this.#options.names)}`),
    restored: (hosted) => this.#tell('snapshot', `starts from a snapshot through ${hosted.applied}: ${this.words.join(' ')}`),
    doubted: () => {},
    unreadable: () => {},
    rest: () => {},
    removed: () => this.#noted.push(() => {
      this.#tell('masters', 'is no master any more and gives its copy up')
      this.#drop()
    }),
    log: (text) => this.#tell('log', `says: ${text}`),
  }

  #role({ role, term, leader }: RoleView): void {
    if (role === 'leader' && !this.#leads) {
      this.#committed = this.#hosted!.master.commitIndex
      this.#tell('roles', `leads in term ${term}`)
    }
    if (role !== 'leader' && this.#leads) this.#tell('roles', `steps down${leader === undefined ? '' : `, since it hears of term ${term}`}`)
    this.#leads = role === 'leader'
    const follows = role === 'leader' || leader === undefined ? undefined : this.#options.names.node(leader.node)
    if (follows !== undefined && follows !== this.#leader) this.#tell('follows', `follows ${follows} in term ${term}`)
    this.#leader = follows
  }

  // ---- the disk, in words ------------------------------------------------------------------------------------------

  #range(from: number, to: number): string {
    const parts: string[] = []
    for (let index = from; index <= to; index++) {
      const bytes = this.#journal.entry(SHARD, index as LogIndex)
      parts.push(bytes === undefined ? `${index}` : `${index} ${entryText(bytes, this.#options.names)}`)
    }
    return parts.join(', ')
  }

  #note(input: JournalInput): void {
    const { names } = this.#options
    if (input.kind === 'append') this.#gathered.push({ ticket: input.ticket, what: input.entries.map((entry: LogRecord) => `${entry.index} ${entryText(entry.bytes, names)}`).join(', ') })
    else if (input.kind === 'snapshot') this.#snapshotOf = input.index
    else if (input.kind === 'piece' && input.last && this.#snapshotOf > 0) this.#gathered.push({ ticket: input.ticket, what: `a snapshot through ${this.#snapshotOf}` })
    else if (input.kind === 'hardState' && input.state.vote !== undefined) {
      const { vote, term } = input.state
      const own = vote === input.state.self
      const what = own ? `its own vote in term ${term}` : `its vote in term ${term}`
      if (what !== this.#vote) this.#gathered.push({ ticket: input.ticket, what })
      this.#vote = what
    } else if (input.kind === 'trim') this.#tell('snapshot', `lets the log through ${input.through} go`)
  }

  #vote = ''
  /** The snapshot that was begun last. */
  #snapshotOf = 0

  #tellDurable(ticket: number): void {
    const done = this.#gathered.filter((each) => each.ticket <= ticket)
    this.#gathered = this.#gathered.filter((each) => each.ticket > ticket)
    if (done.length > 0) this.#tell('disk', `has on disk: ${done.map((each) => each.what).join(', ')}`)
  }
}

const EMPTY: RecoveredShard = { shard: SHARD, hardState: undefined, snapshot: undefined, first: 1 as LogIndex, last: 0 as LogIndex, terms: [], suspect: false }
