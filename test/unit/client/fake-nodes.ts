//! A scripted stand-in for a cluster's nodes: one leads, the others relay; books small enough to read at a glance. A test says
//! what the nodes do wrong, and how bytes travel.

import type { Address, FencingToken, JobNumber, LeaseTime, NodeId, PartitionId, SessionNumber, ShardId } from '@horus/core/units'
import type { LinkId } from '@horus/core/client/api'
import { answer, beatAnswer, type ClientMessage, clientRows, countsAnswer, deliver, demandAnswer, jobQuery, jobsAnswer, JobState, jobView, located, lost, Query, queryAnswer } from '@horus/core/message/client'
import { addAnswer, addBody, cancelAnswer, cancelBody, Code, type Command, command as commandRow, extendAnswer, extendBody, FailMode, leasedAnswer, leasedBody, openAnswer, Operation } from '@horus/core/message/command'
import { AddItemReader, LeasedGroupsReader } from '@horus/core/message/jobs'
import { decode, encode, type Fields, type RecordOf, type Row, Table, Writer } from '@horus/core/message/layout'

const table = new Table([...clientRows, commandRow] as never[]) as unknown as Table<(typeof clientRows)[number] | typeof commandRow>

export const A = '127.0.0.1:1' as Address
export const B = '127.0.0.2:1' as Address

export type Seen = ClientMessage | ({ kind: 'command' } & Command)

/** What a node does with commands: `swallow` applies them and loses the answer, `ignore` loses them. */
export type Mode = 'serve' | 'noQuorum' | 'swallow' | 'ignore' | 'unknown' | 'notLeader' | 'backpressure'

export interface FakeSession {
  readonly number: SessionNumber
  readonly answers: Map<number, Uint8Array>
}

export interface FakeJob {
  readonly number: number
  readonly payload: Uint8Array
  state: 'waiting' | 'active' | 'ended' | 'dead' | 'cancelled'
  session: number
  token: number
  attempt: number
  name?: string
  result?: Uint8Array | undefined
  error?: Uint8Array | undefined
  retryAfterMs?: number
  key?: string | undefined
  headers?: Uint8Array
  /** Its own, where it is not as the worker asks. */
  leaseMs?: number
  timeoutMs?: number
}

export interface FakePartition {
  readonly jobs: FakeJob[]
  readonly demands: Map<number, { number: number; grant: number; leaseMs: number; link: LinkId }>
  oldestWaitingMs: number
}

export abstract class FakeNodes {
  readonly seen: Seen[] = []
  readonly down = new Set<Address>()
  readonly silent = new Set<Address>()
  readonly sessions = new Map<number, FakeSession>()
  readonly partitions: FakePartition[]
  leader: Address = A
  mode: Mode = 'serve'
  /** Without it grants are counted, but nothing is leased. */
  leasing = true
  known = true
  index = 100
  /** What comes of an operator's wish; undefined: it is never told. */
  wishCode: number | undefined = Code.ok

  constructor(partitions = 1) {
    this.partitions = Array.from({ length: partitions }, () => ({ jobs: [], demands: new Map(), oldestWaitingMs: 0 }))
  }

  abstract get now(): number
  abstract transmit(link: LinkId, bytes: Uint8Array): void

  leaseClock(): number {
    return this.now
  }

  forgetSessions(): void {
    this.sessions.clear()
    for (const partition of this.partitions) partition.demands.clear()
  }

  /** The demands that came over a link die with it. */
  forgetLink(link: LinkId): void {
    for (const partition of this.partitions) for (const [session, demand] of partition.demands) if (demand.link === link) partition.demands.delete(session)
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

  /** What the node at `at` does with bytes of a client. */
  take(link: LinkId, at: Address, bytes: Uint8Array): void {
    const message = this.look(bytes)
    this.seen.push(message)
    if (!this.silent.has(at)) this.#take(link, at, message)
  }

  look(bytes: Uint8Array): Seen {
    return table.decode(bytes.slice()) as Seen
  }

  #take(link: LinkId, at: Address, message: Seen): void {
    if (message.kind === 'locate') return this.#locate(link, message)
    if (message.kind === 'status') return this.#reply(link, queryAnswer, { request: message.request, code: Code.ok, body: new Uint8Array([7]) })
    if (message.kind === 'nodeWish' || message.kind === 'topicWish') return this.wishCode === undefined ? undefined : this.#reply(link, queryAnswer, { request: message.request, code: this.wishCode, body: new Uint8Array(0) })
    const unreachable = this.down.has(this.leader) || (at !== this.leader && this.silent.has(this.leader))
    if (message.kind === 'command') {
      if (unreachable || this.mode === 'notLeader') return this.#answer(link, message, Code.notLeader, new Uint8Array(0))
      return this.#command(link, message)
    }
    if (unreachable) return
    if (message.kind === 'resume' && this.mode === 'notLeader') {
      return this.#reply(link, answer, { shard: message.shard, session: 0 as SessionNumber, sequence: 0, code: Code.notLeader, stamp: 0, leaseClock: 0 as LeaseTime, body: new Uint8Array(0) })
    }
    if (message.kind === 'demand' && this.mode === 'notLeader') {
      const { shard, partition, session, number } = message
      return this.#reply(link, demandAnswer, { shard, partition, session, number, code: Code.notLeader, held: 0, oldestWaitingMs: 0, body: new Uint8Array(0) })
    }
    if (message.kind === 'demand') return this.#demand(link, message)
    if (message.kind === 'resume') return this.#resume(link, message)
    if (message.kind === 'beat') return this.#reply(link, beatAnswer, { shard: message.shard, session: message.session, stamp: message.stamp, leaseClock: this.leaseClock() as LeaseTime })
    if (message.kind === 'query') return this.#query(link, message)
  }

  #locate(link: LinkId, { request, create }: Extract<ClientMessage, { kind: 'locate' }>): void {
    if (create) this.known = true
    if (!this.known) return this.#reply(link, located, { request, code: Code.notFound, partitions: [], leaders: [] })
    const places = this.partitions.map((_, i) => ({ partition: (i + 1) as PartitionId, shard: (i + 1) as ShardId }))
    const leaders = places.map(({ shard }) => ({ shard, leader: 'a'.repeat(32) as NodeId, address: this.mode === 'notLeader' ? undefined : this.leader }))
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
    if (message.operation === Operation.cancel) return this.#cancel(message.body)
    const extending = message.operation === Operation.extend
    const body = extending ? decode(extendBody, message.body) : { ...decode(leasedBody, message.body), leaseMs: 0 }
    const groups = new LeasedGroupsReader(body.groups, message.operation as never)
    const gone: { number: JobNumber; token: FencingToken }[] = []
    let leaseMs = Infinity
    while (groups.nextGroup()) while (groups.nextItem()) {
      const job = this.partitions[body.partition - 1]!.jobs[groups.number - 1]
      if (job?.state !== 'active' || job.token !== groups.token) gone.push({ number: groups.number as JobNumber, token: groups.token as FencingToken })
      else if (!extending) endJob(job, message.operation, groups)
      // One deadline answers for all: the earliest.
      else leaseMs = Math.min(leaseMs, body.leaseMs > 0 ? body.leaseMs : (job.leaseMs ?? 30_000))
    }
    return extending ? encode(extendAnswer, { deadline: (this.leaseClock() + (leaseMs < Infinity ? leaseMs : 0)) as LeaseTime, lost: gone }) : encode(leasedAnswer, { lost: gone })
  }

  #applyAdd(bytes: Uint8Array): Uint8Array {
    const body = decode(addBody, bytes)
    const jobs = this.partitions[body.partition - 1]!.jobs
    const first = jobs.length + 1
    const items = new AddItemReader(body.items, body.count, body.names.length)
    const duplicates: { ordinal: number; number: JobNumber }[] = []
    while (items.next()) {
      const key = items.options.idempotencyKey
      const same = key === undefined ? undefined : jobs.find((job) => job.key === key)
      if (same !== undefined) duplicates.push({ ordinal: items.ordinal, number: same.number as JobNumber })
      else jobs.push({ number: jobs.length + 1, payload: items.payload.slice(), state: 'waiting', session: 0, token: 0, attempt: 0, name: body.names[items.nameOrdinal]!, key })
    }
    return encode(addAnswer, { first: first as JobNumber, added: body.count - duplicates.length, duplicates })
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
        for (const leaseMs of new Set(jobs.map((job) => job.leaseMs ?? demand.leaseMs))) {
          this.deliverTo(demand.link, at + 1, session, token, jobs.filter((job) => (job.leaseMs ?? demand.leaseMs) === leaseMs), leaseMs)
        }
      }
    })
  }

  deliverTo(link: LinkId, partition: number, session: number, token: number, jobs: readonly FakeJob[], leaseMs: number): void {
    const writer = new Writer()
    const names = [...new Set(jobs.map((job) => job.name ?? 'bill'))]
    const base = jobs[0]!.number
    for (const job of jobs) {
      writer.u32(job.number - base)
      for (const field of [job.attempt, 5]) writer.u16(field)
      writer.u32(job.timeoutMs ?? 0)
      for (const field of [names.indexOf(job.name ?? 'bill'), 0]) writer.u16(field)
      writer.u32(job.payload.length)
      writer.raw(job.payload)
    }
    this.#reply(link, deliver, {
      shard: partition as ShardId, partition: partition as PartitionId, session: session as SessionNumber, token: token as FencingToken, deadline: (this.leaseClock() + leaseMs) as LeaseTime, leaseMs,
      stamp: this.now, leaseClock: this.leaseClock() as LeaseTime, names, base: base as JobNumber, count: jobs.length, items: writer.take(),
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

  #cancel(bytes: Uint8Array): Uint8Array {
    const body = decode(cancelBody, bytes)
    const missed: JobNumber[] = []
    for (const number of body.jobs) {
      const job = this.partitions[body.partition - 1]!.jobs[number - 1]
      if (job === undefined || (job.state !== 'waiting' && job.state !== 'active')) missed.push(number)
      else {
        const demand = this.partitions[body.partition - 1]!.demands.get(job.session)
        if (job.state === 'active' && demand !== undefined) {
          const { session, token } = job
          this.#reply(demand.link, lost, { shard: body.partition as number as ShardId, session: session as SessionNumber, partition: body.partition, reason: 2, jobs: [{ number, token: token as FencingToken }] })
        }
        job.state = 'cancelled'
      }
    }
    return encode(cancelAnswer, { missed })
  }

  #query(link: LinkId, message: Extract<ClientMessage, { kind: 'query' }>): void {
    const { request, partition, operation } = message
    if (this.mode === 'noQuorum') return this.#reply(link, queryAnswer, { request, code: Code.noQuorum, body: NOTHING })
    const jobs = this.partitions[partition - 1]!.jobs
    if (operation === Query.job) {
      const job = jobs[decode(jobQuery, message.body).number - 1]
      return this.#reply(link, queryAnswer, { request, code: job === undefined ? Code.notFound : Code.ok, body: job === undefined ? NOTHING : encode(jobView, viewOf(job)) })
    }
    if (operation === Query.jobs) return this.#reply(link, queryAnswer, { request, code: Code.ok, body: encode(jobsAnswer, { jobs: jobs.map(viewOf), next: 0 as JobNumber }) })
    const count = (state: FakeJob['state']) => jobs.filter((job) => job.state === state).length
    const counts = { posting: 0, scheduled: 0, blocked: 0, waiting: count('waiting'), active: count('active'), retrying: 0, completed: count('ended'), cancelled: count('cancelled'), dead: count('dead') }
    this.#reply(link, queryAnswer, { request, code: Code.ok, body: encode(countsAnswer, counts) })
  }

  #reply<K extends string, F extends Fields>(link: LinkId, row: Row<K, F>, values: RecordOf<F>): void {
    const writer = new Writer()
    writer.u8(row.tag)
    row.record.write(writer, values)
    this.transmit(link, writer.take())
  }
}

const NOTHING = new Uint8Array(0)

function endJob(job: FakeJob, operation: number, item: LeasedGroupsReader): void {
  const bytes = item.bytes.slice(item.dataAt, item.dataAt + item.dataLength)
  if (operation === Operation.complete) {
    job.state = 'ended'
    job.result = bytes
  } else if (operation === Operation.fail) {
    job.error = bytes
    job.state = item.mode === FailMode.permanent ? 'dead' : 'waiting'
    if (item.mode === FailMode.retryAfter) job.retryAfterMs = item.retryAfterMs
  } else job.state = 'waiting'
}

function viewOf(job: FakeJob) {
  const state = job.state === 'ended' ? JobState.completed : JobState[job.state]
  return {
    number: job.number as JobNumber, name: job.name ?? 'bill', state, attempt: job.attempt, maxAttempts: 5, lostLeases: 0, priority: 0, token: job.token as FencingToken,
    addedAt: 1, dueAt: 0, endedAt: 0, result: job.result, error: job.error, payload: job.payload,
  }
}
