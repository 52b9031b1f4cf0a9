//! A scripted stand-in for a cluster: nodes that relay, one leader, books small enough to read at a glance. A test says what the
//! nodes do wrong; time is a number that the test moves.

import type { Address, FencingToken, Instant, JobNumber, LeaseTime, NodeId, PartitionId, SessionNumber, ShardId, WallTime } from '@horus/core/units'
import { Client } from '@horus/core/client/client'
import type { ClientInput, ClientOutbox, LeasedJob, LeaseKey, LinkId, Outcome, WorkerNumber } from '@horus/core/client/api'
import { answer, beatAnswer, type ClientMessage, clientRows, deliver, demandAnswer, located, lost, queryAnswer } from '@horus/core/message/client'
import { addAnswer, addBody, Code, type Command, command as commandRow, extendAnswer, extendBody, leasedAnswer, leasedBody, openAnswer, Operation } from '@horus/core/message/command'
import { AddItemReader, LeasedGroupsReader } from '@horus/core/message/jobs'
import { decode, encode, type Fields, type MessageOf, type RecordOf, type Row, Table, Writer } from '@horus/core/message/layout'
import { Random } from '@horus/core/random'

const table = new Table([...clientRows, commandRow] as never[]) as unknown as Table<(typeof clientRows)[number] | typeof commandRow>

export const A = '127.0.0.1:1' as Address
export const B = '127.0.0.2:1' as Address
export const WORKER = 1 as WorkerNumber

/** What a node does with commands: `swallow` applies them and loses the answer, `ignore` loses them. */
export type Mode = 'serve' | 'noQuorum' | 'swallow' | 'ignore' | 'unknown' | 'notLeader' | 'backpressure'

interface FakeSession {
  readonly number: SessionNumber
  readonly answers: Map<number, Uint8Array>
}

export interface FakeJob {
  readonly number: number
  readonly payload: Uint8Array
  state: 'waiting' | 'active' | 'ended'
  session: number
  token: number
  attempt: number
}

interface FakePartition {
  readonly jobs: FakeJob[]
  readonly demands: Map<number, { number: number; grant: number; leaseMs: number; link: LinkId }>
  oldestWaitingMs: number
}

export class FakeCluster implements ClientOutbox {
  readonly client: Client
  readonly outcomes = new Map<number, Outcome>()
  readonly leasedJobs: LeasedJob[] = []
  readonly losses: { lease: LeaseKey; reason: string }[] = []
  readonly seen: (ClientMessage | ({ kind: 'command' } & Command))[] = []
  readonly links = new Map<LinkId, { address: Address; up: boolean }>()
  readonly down = new Set<Address>()
  readonly silent = new Set<Address>()
  readonly sessions = new Map<number, FakeSession>()
  readonly partitions: FakePartition[]
  readonly #pending: { at: number; run: () => void }[] = []
  leader: Address = A
  mode: Mode = 'serve'
  /** Grants are counted, but nothing is leased. */
  leasing = true
  known = true
  now = 1000
  delay = 0
  index = 100
  leaseClock = () => this.now * 1

  constructor(options: { addresses?: Address[]; partitions?: number; seed?: number } = {}) {
    this.client = new Client({ addresses: options.addresses ?? [A, B], random: new Random(options.seed ?? 1) })
    this.partitions = Array.from({ length: options.partitions ?? 1 }, () => ({ jobs: [], demands: new Map(), oldestWaitingMs: 0 }))
    this.input({ kind: 'start' })
    this.turn()
  }

  // ---- the test's hands

  input(input: ClientInput): void {
    this.client.receive(this.#time(), input, this)
  }

  turn(): void {
    for (let i = 0; i < 20; i++) {
      this.input({ kind: 'turn' })
      if (!this.#deliverDue()) return
    }
  }

  /** Lets time pass, waking the client when it wants to be. */
  pass(ms: number): void {
    const end = this.now + ms
    this.turn()
    let wakes = 0
    while (true) {
      const next = Math.min(this.client.wakeAt, ...this.#pending.map((item) => item.at))
      if (next > end) break
      if (++wakes > 20_000) throw new Error(`the client spins at ${this.now}`)
      this.now = Math.max(this.now, next)
      this.client.wake(this.#time(), this)
      this.turn()
    }
    this.now = end
    this.turn()
  }

  add(request: number, count = 1, timeoutMs = 5000, key?: string): void {
    const items = Array.from({ length: count }, () => ({ name: 'bill', payload: new Uint8Array([request]), ...(key === undefined ? {} : { options: { idempotencyKey: key } }) }))
    this.input({ kind: 'add', request, topic: 'orders', items, timeoutMs })
  }

  work(concurrency: number, leaseMs = 30_000): void {
    this.input({ kind: 'work', worker: WORKER, topic: 'orders', names: [], concurrency, leaseMs })
  }

  complete(request: number, lease: LeaseKey, timeoutMs = 30_000): void {
    this.input({ kind: 'complete', request, lease, result: undefined, timeoutMs })
  }

  /** The outcome in a word: `ok`, `added`, or the error's code. */
  outcome(request: number): string | undefined {
    const outcome = this.outcomes.get(request)
    return outcome?.kind === 'failed' ? outcome.code : outcome?.kind
  }

  cut(address: Address): void {
    this.down.add(address)
    for (const [id, link] of this.links) {
      if (link.address !== address) continue
      this.links.delete(id)
      for (const partition of this.partitions) for (const [session, demand] of partition.demands) if (demand.link === id) partition.demands.delete(session)
      this.input({ kind: 'linkDown', link: id })
    }
  }

  forgetSessions(): void {
    this.sessions.clear()
    for (const partition of this.partitions) partition.demands.clear()
  }

  commands(operation: number): Command[] {
    return this.seen.filter((message): message is { kind: 'command' } & Command => message.kind === 'command' && message.operation === operation)
  }

  messages<K extends ClientMessage['kind']>(kind: K): Extract<ClientMessage, { kind: K }>[] {
    return this.seen.filter((message): message is Extract<ClientMessage, { kind: K }> => message.kind === kind)
  }

  get heldInAll(): number {
    return this.partitions.reduce((sum, partition) => sum + partition.jobs.filter((job) => job.state === 'active').length, 0)
  }

  // ---- the client's outbox

  open(link: LinkId, address: Address): void {
    this.links.set(link, { address, up: false })
    this.#later(() => {
      if (!this.links.has(link)) return
      if (this.silent.has(address)) return
      if (this.down.has(address)) {
        this.links.delete(link)
        this.input({ kind: 'linkDown', link })
      } else {
        this.links.get(link)!.up = true
        this.input({ kind: 'linkUp', link })
      }
    })
  }

  close(link: LinkId): void {
    this.links.delete(link)
  }

  send(link: LinkId, bytes: Uint8Array): void {
    const known = this.links.get(link)
    if (known === undefined || !known.up) throw new Error('sent over a link that is not up')
    const message = table.decode(bytes.slice()) as ClientMessage | ({ kind: 'command' } & Command)
    this.seen.push(message)
    if (this.silent.has(known.address)) return
    this.#later(() => this.#take(link, known.address, message))
  }

  done(request: number, outcome: Outcome): void {
    if (this.outcomes.has(request)) throw new Error(`request ${request} is done twice`)
    this.outcomes.set(request, outcome)
  }

  leased(_worker: WorkerNumber, jobs: readonly LeasedJob[]): void {
    this.leasedJobs.push(...jobs)
  }

  leaseLost(_worker: WorkerNumber, lease: LeaseKey, reason: string): void {
    this.losses.push({ lease, reason })
  }

  log(): void {}

  // ---- the nodes

  #take(link: LinkId, at: Address, message: ClientMessage | ({ kind: 'command' } & Command)): void {
    if (message.kind === 'locate') return this.#locate(link, message)
    if (message.kind === 'status') return this.#reply(link, queryAnswer, { request: message.request, code: Code.ok, body: new Uint8Array([7]) })
    const unreachable = this.down.has(this.leader) || (at !== this.leader && this.silent.has(this.leader))
    if (message.kind === 'command') {
      if (unreachable || this.mode === 'notLeader') return this.#answer(link, message, Code.notLeader, new Uint8Array(0))
      return this.#command(link, message)
    }
    if (unreachable) return
    if (message.kind === 'demand') return this.#demand(link, message)
    if (message.kind === 'resume') return this.#resume(link, message)
    if (message.kind === 'beat') return this.#reply(link, beatAnswer, { shard: message.shard, session: message.session, stamp: message.stamp, leaseClock: this.leaseClock() as LeaseTime })
    if (message.kind === 'query') return this.#reply(link, queryAnswer, { request: message.request, code: this.mode === 'noQuorum' ? Code.noQuorum : Code.ok, body: new Uint8Array([message.partition]) })
  }

  #locate(link: LinkId, { request, create }: Extract<ClientMessage, { kind: 'locate' }>): void {
    if (create) this.known = true
    if (!this.known) return this.#reply(link, located, { request, code: Code.notFound, partitions: [], leaders: [] })
    const places = this.partitions.map((_, i) => ({ partition: (i + 1) as PartitionId, shard: (i + 1) as ShardId }))
    const leaders = places.map(({ shard }) => ({ shard, leader: 'a'.repeat(32) as NodeId, address: this.leader }))
    this.#reply(link, located, { request, code: Code.ok, partitions: places, leaders })
  }

  #command(link: LinkId, message: Command): void {
    if (this.mode === 'noQuorum') return this.#answer(link, message, Code.noQuorum, new Uint8Array(0))
    if (this.mode === 'backpressure' && message.operation === Operation.add) return this.#answer(link, message, Code.backpressure, new Uint8Array(0))
    if (this.mode === 'ignore') return
    if (message.operation === Operation.open) {
      const session = { number: ++this.index as SessionNumber, answers: new Map<number, Uint8Array>() }
      this.sessions.set(session.number, session)
      return this.#answer(link, message, Code.ok, encode(openAnswer, { session: session.number }))
    }
    const session = this.sessions.get(message.session)
    if (session === undefined) return this.#answer(link, message, Code.sessionExpired, new Uint8Array(0))
    let body = session.answers.get(message.sequence)
    if (body === undefined) {
      body = this.#apply(message)
      session.answers.set(message.sequence, body)
    }
    if (this.mode === 'unknown') return this.#answer(link, message, Code.unknown, new Uint8Array(0))
    if (this.mode !== 'swallow') this.#answer(link, message, Code.ok, body)
    this.#lease()
  }

  #apply(message: Command): Uint8Array {
    this.index++
    if (message.operation === Operation.add) return this.#applyAdd(message.body)
    if (message.operation === Operation.close) return new Uint8Array(0)
    const extending = message.operation === Operation.extend
    const body = extending ? decode(extendBody, message.body) : decode(leasedBody, message.body)
    const groups = new LeasedGroupsReader(body.groups, message.operation as never)
    const gone: { number: JobNumber; token: FencingToken }[] = []
    while (groups.nextGroup()) while (groups.nextItem()) {
      const job = this.partitions[body.partition - 1]!.jobs[groups.number - 1]
      if (job?.state !== 'active' || job.token !== groups.token) gone.push({ number: groups.number as JobNumber, token: groups.token as FencingToken })
      else if (!extending) job.state = message.operation === Operation.complete ? 'ended' : 'waiting'
    }
    return extending ? encode(extendAnswer, { deadline: (this.leaseClock() + 30_000) as LeaseTime, lost: gone }) : encode(leasedAnswer, { lost: gone })
  }

  #applyAdd(bytes: Uint8Array): Uint8Array {
    const body = decode(addBody, bytes)
    const jobs = this.partitions[body.partition - 1]!.jobs
    const first = jobs.length + 1
    const items = new AddItemReader(body.items, body.count, body.names.length)
    while (items.next()) {
      jobs.push({ number: jobs.length + 1, payload: items.payload.slice(), state: 'waiting', session: 0, token: 0, attempt: 0 })
    }
    return encode(addAnswer, { first: first as JobNumber, added: body.count, duplicates: [] })
  }

  #demand(link: LinkId, message: Extract<ClientMessage, { kind: 'demand' }>): void {
    const { shard, partition, session, number } = message
    const known = this.partitions[partition - 1]!
    if (!this.sessions.has(session)) return this.#reply(link, demandAnswer, { shard, partition, session, number, code: Code.sessionExpired, held: 0, oldestWaitingMs: 0, body: new Uint8Array(0) })
    known.demands.set(session, { number, grant: message.grant, leaseMs: message.leaseMs, link })
    const waiting = known.jobs.some((job) => job.state === 'waiting')
    this.#reply(link, demandAnswer, { shard, partition, session, number, code: Code.ok, held: this.#held(known, session), oldestWaitingMs: waiting ? Math.max(1, known.oldestWaitingMs) : 0, body: new Uint8Array(0) })
    this.#lease()
  }

  #held(partition: FakePartition, session: number): number {
    return partition.jobs.filter((job) => job.state === 'active' && job.session === session).length
  }

  #lease(): void {
    if (!this.leasing) return
    this.partitions.forEach((partition, at) => {
      for (const [session, demand] of partition.demands) {
        const free = demand.grant - this.#held(partition, session)
        const jobs = partition.jobs.filter((job) => job.state === 'waiting').slice(0, Math.max(0, free))
        if (jobs.length === 0) continue
        const token = ++this.index
        for (const job of jobs) Object.assign(job, { state: 'active', session, token, attempt: job.attempt + 1 })
        this.deliverTo(demand.link, at + 1, session, token, jobs, demand.leaseMs)
      }
    })
  }

  deliverTo(link: LinkId, partition: number, session: number, token: number, jobs: readonly FakeJob[], leaseMs: number): void {
    const writer = new Writer()
    const base = jobs[0]!.number
    for (const job of jobs) {
      writer.u32(job.number - base)
      for (const field of [job.attempt, 5, 0, 0, 0, 0]) writer.u16(field)
      writer.u32(job.payload.length)
      writer.raw(job.payload)
    }
    this.#reply(link, deliver, {
      shard: partition as ShardId, partition: partition as PartitionId, session: session as SessionNumber, token: token as FencingToken, deadline: (this.leaseClock() + leaseMs) as LeaseTime, leaseMs,
      stamp: this.now, leaseClock: this.leaseClock() as LeaseTime, names: ['bill'], base: base as JobNumber, count: jobs.length, items: writer.take(),
    })
  }

  #resume(link: LinkId, message: Extract<ClientMessage, { kind: 'resume' }>): void {
    this.partitions.forEach((partition, at) => {
      const listed = new Set(message.leases.filter((lease) => lease.partition === at + 1).map((lease) => `${lease.number} ${lease.token}`))
      for (const job of partition.jobs) {
        if (job.state === 'active' && job.session === message.session && !listed.has(`${job.number} ${job.token}`)) this.deliverTo(link, at + 1, message.session, job.token, [job], 30_000)
      }
    })
    for (const { partition, number, token } of message.leases) {
      const job = this.partitions[partition - 1]!.jobs[number - 1]
      if (job?.state === 'active' && job.token === token) continue
      this.#reply(link, lost, { shard: partition as number as ShardId, session: message.session, partition, reason: 1, jobs: [{ number, token }] })
    }
  }

  #answer(link: LinkId, message: Command, code: number, body: Uint8Array): void {
    this.#reply(link, answer, { shard: message.shard, session: message.session, sequence: message.sequence, code, stamp: message.stamp, leaseClock: this.leaseClock() as LeaseTime, body })
  }

  #reply<K extends string, F extends Fields>(link: LinkId, row: Row<K, F>, values: RecordOf<F>): void {
    const writer = new Writer()
    writer.u8(row.tag)
    row.record.write(writer, values)
    const bytes = writer.take()
    this.#later(() => {
      if (this.links.get(link)?.up) this.input({ kind: 'message', link, bytes })
    })
  }

  #later(run: () => void): void {
    this.#pending.push({ at: this.now + this.delay, run })
  }

  #deliverDue(): boolean {
    let any = false
    while (this.#pending.length > 0 && this.#pending[0]!.at <= this.now) {
      this.#pending.shift()!.run()
      any = true
    }
    return any
  }

  #time() {
    return { monotonic: this.now as Instant, wall: this.now as WallTime }
  }
}

export type { MessageOf }
