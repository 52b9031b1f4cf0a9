//! The client of a Horus cluster.
//!
//!   const horus = await Horus.connect({ cluster: 'shop', nodes: '10.0.0.7:6470' })
//!   const job = await horus.add('orders', 'bill', { id: 7 })
//!   horus.work('orders', { bill: async (job) => receipt(job.data) }, { concurrency: 50 })
//!   await job.result()
//!
//! This file is the face; what decides is the client actor of `@horus/core`, run by `engine.ts`.

import { PAYLOAD_BYTES_DEFAULT } from '@horus/core/client/client'
import { countsAnswer, jobQuery, jobsAnswer, jobsQuery, jobView, NodeWish, Query, JobState, statusBody } from '@horus/core/message/client'
import { decode, encode, type ValueOf } from '@horus/core/message/layout'
import { PARTITIONS_MAX } from '@horus/core/message/registry'
import type { JobNumber, NodeId, PartitionId } from '@horus/core/units'
import type { AddItem, WorkerNumber } from '@horus/core/client/api'
import { addedJob, Adder } from './adder.ts'
import { type CheckedClientOptions, checkClientOptions, type ClientOptions, type ConnectOptions, FirstContact, planConnection } from './connect.ts'
import type { ClientTransport } from './connection.ts'
import { Engine } from './engine.ts'
import { HorusError, InvalidOption } from './errors.ts'
import type { HoldContext } from './held-job.ts'
import { JobHandle, type JobReader } from './job-handle.ts'
import { placeOf } from './job-id.ts'
import { type JobCounts, type JobInfo, jobInfo, type JobStateName, stateNames } from './job-info.ts'
import { type LeasedJob, Pulled } from './leased-job.ts'
import { type Machine, MACHINE } from './machine.ts'
import { type AddOptions, abortSignal, check, drainTime, type Duration, jobOptions, listOf, ms, names, oneOf, text, whole, yesOrNo } from './options.ts'
import { encodePayload } from './payload.ts'
import { type AnyTopic, conform, type JobTypes, topicName } from './topic.ts'
import { unlessAborted } from './wait.ts'
import { CONCURRENCY_DEFAULT, type Handlers, LEASE_MS_DEFAULT, workChecks, Worker, type WorkOptions } from './worker.ts'

const REQUEST_TIMEOUT_MS = 30_000
const CONNECT_TIMEOUT_MS = 15_000
const CLOSE_DRAIN_MS = 10_000
const CLOSE_TIMEOUT_MS = 5000
const ACQUIRE_MAX = 65_535
const JOBS_LIMIT_DEFAULT = 100
const JOBS_LIMIT_MAX = 10_000
const JOBS_PER_QUERY = 1000

export interface AddManyItem<T extends JobTypes = JobTypes> {
  /** 1 to 255 bytes; which handler gets the job. */
  readonly name: keyof T & string
  /** Anything that CBOR can write; encoded at most `payloadBytesMax`. */
  readonly data: T[keyof T]['input']
  /** As for `add`. */
  readonly options?: Omit<AddOptions, 'signal'>
}

export interface AcquireOptions {
  /** At most so many, 1 to 65,535; default 1. */
  readonly max?: number
  /** How long they are reserved, at least 100 ms; extend them by hand. Default 30 s. A lease of the job's own options goes first. */
  readonly lease?: Duration
  /** How long to wait for the first one; default: not at all. */
  readonly wait?: Duration
  /** Ends the wait; jobs that still come are handed back. */
  readonly signal?: AbortSignal
}

export interface JobsFilter {
  /** One state or several. Default: all states. */
  readonly state?: JobStateName | readonly JobStateName[]
  /** Only jobs of that name. */
  readonly name?: string
  /** Only jobs behind this one: the id of the last job of the page before. */
  readonly after?: string
  /** 1 to 10,000; default 100. */
  readonly limit?: number
  /** Ends the wait. */
  readonly signal?: AbortSignal
}

/** Whether there is a quorum, nodes (and which of them are draining), shards with their masters and leader, topics with their partitions; ids of masters and leader are node ids. */
export type ClusterStatus = ValueOf<typeof statusBody>

export interface DrainOptions {
  /** It becomes an ordinary node again. Default false. */
  readonly undo?: boolean
  /** Ends the wait; what was asked for may still be done. */
  readonly signal?: AbortSignal
}

export interface ForgetOptions {
  /** Also where it lives or is still a master. Default false. */
  readonly force?: boolean
  /** Ends the wait; what was asked for may still be done. */
  readonly signal?: AbortSignal
}

interface Waitable {
  /** Ends the wait with the signal's reason; what was asked for may still be done. */
  readonly signal?: AbortSignal
}

export class Horus implements AsyncDisposable {
  readonly #engine: Engine
  readonly #adder: Adder
  readonly #pulled = new Pulled()
  readonly #reader: JobReader
  readonly #workers = new Set<Worker>()
  readonly #payloadBytesMax: number
  readonly #requestTimeoutMs: number
  #lastWorker = 0
  #closing: Promise<void> | undefined

  private constructor(engine: Engine, payloadBytesMax: number, requestTimeoutMs: number) {
    this.#engine = engine
    this.#payloadBytesMax = payloadBytesMax
    this.#requestTimeoutMs = requestTimeoutMs
    this.#adder = new Adder(engine, requestTimeoutMs)
    engine.hold('pulled', this.#pulled)
    this.#reader = {
      job: (topic, id, options) => this.job(topic, id, options),
      cancel: (topic, id) => this.cancel(topic, id),
      changes: () => engine.machine.changes(),
      pause: (ms, signal, changes) => engine.machine.pause(ms, signal, changes),
    }
  }

  /** Resolves once a node has answered. Throws InvalidOption, NotAuthorized, VersionSkew, or Unreachable after `connectTimeout`. */
  static async connect(options: ConnectOptions): Promise<Horus> {
    const { transport, addresses, client } = await planConnection(options)
    return Horus.#open(transport, addresses, client, MACHINE)
  }

  /** Over a transport that is there already, as tests have one, and perhaps on another machine than this. Throws what `connect` throws. */
  static async over(transport: ClientTransport, addresses: readonly string[], options?: ClientOptions, machine: Machine = MACHINE): Promise<Horus> {
    return Horus.#open(transport, addresses, checkClientOptions('over', options), machine)
  }

  static async #open(transport: ClientTransport, addresses: readonly string[], options: CheckedClientOptions, machine: Machine): Promise<Horus> {
    const { payloadBytesMax = PAYLOAD_BYTES_DEFAULT, requestTimeout = REQUEST_TIMEOUT_MS, connectTimeout = CONNECT_TIMEOUT_MS, signal } = options
    const contact = new FirstContact(addresses.length, machine)
    const engine = new Engine({ machine, transport, addresses, payloadBytesMax, linkChanged: (address, gone) => contact.changed(address, gone), log: () => {} })
    engine.start()
    try {
      await contact.wait(connectTimeout, signal)
    } catch (error) {
      engine.stop()
      throw error
    }
    return new Horus(engine, payloadBytesMax, requestTimeout)
  }

  // ---- adding ------------------------------------------------------------------------------------------------------

  /**
   * Adds a job; when this resolves it is durable on a majority of its masters. A topic that does not exist is made, with one
   * partition. `name` is 1 to 255 bytes, `data` anything that CBOR can write. Throws NoQuorum (not added), Unknown (perhaps
   * added: repeat it with an idempotency key), Backpressure, PayloadTooLarge, SchemaInvalid, InvalidOption.
   */
  async add<T extends JobTypes, N extends keyof T & string>(topic: AnyTopic<T>, name: N, data: T[N]['input'], options?: AddOptions): Promise<JobHandle<T[N]['output']>> {
    const { options: settings, signal } = jobOptions('add', options)
    const to = topicName(topic as AnyTopic<never>)
    const conformed = conform(topic as AnyTopic<never>, name, 'input', data)
    const item = this.#item(name, conformed instanceof Promise ? await conformed : conformed, settings)
    signal?.throwIfAborted()
    const added = await unlessAborted(this.#adder.add(to, item), signal)
    return new JobHandle(this.#reader, to, added)
  }

  /**
   * Adds many jobs as one batch (a batch for each partition), and returns their handles in the same order. Throws what `add`
   * throws; then some may have been added, so give them idempotency keys to repeat the call.
   */
  async addMany<T extends JobTypes>(topic: AnyTopic<T>, items: readonly AddManyItem<T>[], options?: Waitable): Promise<JobHandle[]> {
    const { signal } = check('addMany', options, { signal: abortSignal })
    const to = topicName(topic as AnyTopic<never>)
    const batch: AddItem[] = []
    for (const { name, data, options: given } of items) {
      const conformed = conform(topic as AnyTopic<never>, name, 'input', data)
      batch.push(this.#item(name, conformed instanceof Promise ? await conformed : conformed, jobOptions('addMany', given).options))
    }
    if (batch.length === 0) return []
    const outcome = await this.#engine.request((request) => ({ kind: 'add', request, topic: to, items: batch, timeoutMs: this.#requestTimeoutMs }), signal)
    if (outcome.kind !== 'added') return []
    return batch.map((_, i) => new JobHandle(this.#reader, to, addedJob(outcome.added, i)))
  }

  #item(name: string, data: unknown, options: AddItem['options']): AddItem {
    let checked: string
    try {
      checked = names(name)
    } catch (error) {
      throw new InvalidOption(`a job's name: ${(error as Error).message}`)
    }
    const payload = encodePayload(data, this.#payloadBytesMax)
    return options === undefined ? { name: checked, payload } : { name: checked, payload, options }
  }

  // ---- working -----------------------------------------------------------------------------------------------------

  /**
   * Works on the topic's jobs until stopped. `handlers` is one function for all names, or one for each name; others are left to
   * other workers. A topic that does not exist is waited for. Throws InvalidOption, and Closed after `close`.
   */
  work<T extends JobTypes>(topic: AnyTopic<T>, handlers: Handlers<T>, options?: WorkOptions): Worker<T> {
    const { concurrency = CONCURRENCY_DEFAULT, lease = LEASE_MS_DEFAULT, signal } = check('work', options, workChecks)
    const from = topicName(topic as AnyTopic<never>)
    const wanted = typeof handlers === 'function' ? [] : Object.keys(handlers)
    if (typeof handlers !== 'function' && wanted.length === 0) throw new InvalidOption('work: a handler is wanted: a function, or an object with one for each job name')
    if (this.#closing !== undefined) throw new HorusError('Closed', 'the client is closed')
    const number = ++this.#lastWorker as WorkerNumber
    const worker: Worker<T> = new Worker<T>(number, this.#context(from), topic, handlers, concurrency, () => {
      this.#workers.delete(worker as Worker)
      this.#engine.letGo(number)
    })
    this.#workers.add(worker as Worker)
    this.#engine.hold(number, worker as Worker)
    if (signal?.aborted === true) void worker.stop()
    else {
      signal?.addEventListener('abort', () => void worker.stop(), { once: true })
      this.#engine.input({ kind: 'work', worker: number, topic: from, names: wanted, concurrency, leaseMs: lease })
    }
    return worker
  }

  /**
   * Leases jobs to be ended by hand; none when there are none within `wait`, or no such topic. Throws NoQuorum, and then nothing is
   * leased, or InvalidOption.
   */
  async acquire<T extends JobTypes>(topic: AnyTopic<T>, options?: AcquireOptions): Promise<LeasedJob<T[keyof T]['input']>[]> {
    const { max = 1, lease = LEASE_MS_DEFAULT, wait = 0, signal } = check('acquire', options, { max: whole(1, ACQUIRE_MAX), lease: ms(100), wait: ms(), signal: abortSignal })
    const from = topicName(topic as AnyTopic<never>)
    const outcome = await this.#engine.request((request) => ({ kind: 'acquire', request, topic: from, max, leaseMs: lease, waitMs: wait, timeoutMs: this.#requestTimeoutMs }), signal)
    return outcome.kind === 'leased' ? this.#pulled.take(outcome.jobs, this.#context(from)) : []
  }

  #context(topic: string): HoldContext {
    return { engine: this.#engine, topic, requestTimeoutMs: this.#requestTimeoutMs, payloadBytesMax: this.#payloadBytesMax }
  }

  // ---- looking -----------------------------------------------------------------------------------------------------

  /**
   * What is known of a job; undefined when there is none of that id (any more): an ended one is kept for an hour, among 10,000.
   * Throws NotFound for a text that is no id, NoQuorum or Unknown.
   */
  async job(topic: AnyTopic, id: string, options?: Waitable): Promise<JobInfo | undefined> {
    const { signal } = check('job', options, { signal: abortSignal })
    const name = topicName(topic)
    const { partition, number } = placeOf(id)
    try {
      const [answer] = await this.#query(name, partition, Query.job, encode(jobQuery, { number }), signal)
      return answer === undefined ? undefined : jobInfo(name, answer.partition, decode(jobView, answer.body))
    } catch (error) {
      if (error instanceof HorusError && error.code === 'NotFound') return undefined
      throw error
    }
  }

  /** Jobs of a topic, partition after partition, by their number. Throws NotFound for an unknown topic, NoQuorum, Unknown, InvalidOption. */
  async jobs(topic: AnyTopic, filter?: JobsFilter): Promise<JobInfo[]> {
    const { state = [], name, after, limit = JOBS_LIMIT_DEFAULT, signal } = check('jobs', filter, {
      state: listOf(oneOf(...stateNames)), name: names, after: text(), limit: whole(1, JOBS_LIMIT_MAX), signal: abortSignal,
    })
    const from = topicName(topic)
    const begin = after === undefined ? undefined : placeOf(after)
    const found: JobInfo[] = []
    for (const partition of await this.#partitionsOf(from, signal)) {
      if (begin !== undefined && partition < begin.partition) continue
      let next = (begin?.partition === partition ? begin.number + 1 : 0) as JobNumber
      while (found.length < limit) {
        const body = encode(jobsQuery, { states: state.map((one) => JobState[one]), name, from: next, limit: Math.min(JOBS_PER_QUERY, limit - found.length) })
        const [answer] = await this.#query(from, partition, Query.jobs, body, signal)
        const page = decode(jobsAnswer, answer!.body)
        for (const view of page.jobs) found.push(jobInfo(from, partition, view))
        // A page that ends where it began is the last one.
        if (page.next <= next || page.jobs.length === 0) break
        next = page.next
      }
    }
    return found
  }

  /** How many jobs of the topic are in which state, over all partitions. Throws NotFound for an unknown topic, NoQuorum, Unknown. */
  async counts(topic: AnyTopic, options?: Waitable): Promise<JobCounts> {
    const { signal } = check('counts', options, { signal: abortSignal })
    const sum = { scheduled: 0, blocked: 0, waiting: 0, active: 0, retrying: 0, completed: 0, cancelled: 0, dead: 0, posting: 0 }
    for (const { body } of await this.#query(topicName(topic), undefined, Query.counts, NO_BODY, signal)) {
      const counts = decode(countsAnswer, body)
      for (const state of Object.keys(sum) as (keyof typeof sum)[]) sum[state] += counts[state]
    }
    return sum
  }

  /** Cancels a job that has not ended; one that runs loses its lease. False when it had ended, or is not known. Throws NotFound for an unknown topic, NoQuorum, Unknown. */
  async cancel(topic: AnyTopic, id: string, options?: Waitable): Promise<boolean> {
    const { signal } = check('cancel', options, { signal: abortSignal })
    const { partition, number } = placeOf(id)
    const outcome = await this.#engine.request((request) => ({ kind: 'cancel', request, topic: topicName(topic), partition, jobs: [number], timeoutMs: this.#requestTimeoutMs }), signal)
    return outcome.kind === 'cancelled' && outcome.missed.length === 0
  }

  /** A topic as a whole. Asks nobody; throws InvalidOption for what is no name. */
  topic(name: AnyTopic): Topic {
    const topic = topicName(name)
    return new Topic(topic, {
      locate: (partitions) => this.#locate(topic, true, partitions, undefined),
      wish: async (partitions, settings) => {
        await this.#engine.request((request) => ({ kind: 'topicWish', request, name: topic, partitions, settings, timeoutMs: this.#requestTimeoutMs }))
      },
    })
  }

  /** What the node that is asked knows of the cluster. Throws Unknown where none answers. */
  async status(options?: Waitable): Promise<ClusterStatus> {
    const { signal } = check('status', options, { signal: abortSignal })
    const outcome = await this.#engine.request((request) => ({ kind: 'status', request, timeoutMs: this.#requestTimeoutMs }), signal)
    if (outcome.kind !== 'status') throw new HorusError('Unknown', 'no status was answered', { retryable: true })
    return decode(statusBody, outcome.body)
  }

  // ---- running the cluster -----------------------------------------------------------------------------------------

  /**
   * Drains a node (its id, 32 hexadecimal digits): its leads move at once, its masterships as soon as others have caught up; what no other node
   * can take it keeps. It takes nothing on while others can, also after a restart, until `undo` or `forget`. Resolves when the cluster knows it;
   * `status` tells how far it is. Throws NotFound for a node that was never admitted, Unknown (then it may be done; repeat it), InvalidOption.
   */
  async drain(node: string, options?: DrainOptions): Promise<void> {
    const { undo = false, signal } = check('drain', options, { undo: yesOrNo, signal: abortSignal })
    await this.#wish(undo ? NodeWish.undrain : NodeWish.drain, node, false, signal)
  }

  /**
   * Strikes a node from the registry for good: it is never let in again under this id, and if it runs it ends once it is master of nothing.
   * Throws Refused where it lives and is not draining, or is still a master of a shard, unless `force` is given; NotFound, Unknown, InvalidOption.
   */
  async forget(node: string, options?: ForgetOptions): Promise<void> {
    const { force = false, signal } = check('forget', options, { force: yesOrNo, signal: abortSignal })
    await this.#wish(NodeWish.forget, node, force, signal)
  }

  async #wish(wish: NodeWish, node: string, force: boolean, signal: AbortSignal | undefined): Promise<void> {
    if (!/^[0-9a-f]{32}$/.test(node)) throw new InvalidOption(`a node is named by its id, 32 hexadecimal digits, and not ${JSON.stringify(node)}`)
    await this.#engine.request((request) => ({ kind: 'wish', request, wish, node: node as NodeId, force, timeoutMs: this.#requestTimeoutMs }), signal)
  }

  async #partitionsOf(topic: string, signal: AbortSignal | undefined): Promise<readonly PartitionId[]> {
    return (await this.#locate(topic, false, 0, signal)).toSorted((a, b) => a - b)
  }

  async #locate(topic: string, create: boolean, partitions: number, signal: AbortSignal | undefined): Promise<PartitionId[]> {
    const outcome = await this.#engine.request((request) => ({ kind: 'locate', request, topic, create, partitions, timeoutMs: this.#requestTimeoutMs }), signal)
    return outcome.kind === 'located' ? outcome.partitions.map((place) => place.partition) : []
  }

  async #query(topic: string, partition: PartitionId | undefined, operation: number, body: Uint8Array, signal: AbortSignal | undefined) {
    const outcome = await this.#engine.request((request) => ({ kind: 'query', request, topic, partition, operation, body, timeoutMs: this.#requestTimeoutMs }), signal)
    return outcome.kind === 'answered' ? outcome.answers : []
  }

  // ---- the end -----------------------------------------------------------------------------------------------------

  /** Stops all workers (`drain`: how long their jobs may go on, default 10 s; true: as long as they take, false: not at all), hands back what is leased, and disconnects. */
  close(options?: { readonly drain?: boolean | Duration; readonly signal?: AbortSignal }): Promise<void> {
    const { drain = CLOSE_DRAIN_MS, signal } = check('close', options, { drain: drainTime, signal: abortSignal })
    this.#closing ??= this.#close(drain)
    return unlessAborted(this.#closing, signal)
  }

  async #close(drainMs: number): Promise<void> {
    const drain = drainMs === Infinity ? true : drainMs === 0 ? false : drainMs
    await Promise.all([...this.#workers].map((worker) => worker.stop({ drain })))
    await this.#engine.request((request) => ({ kind: 'close', request, timeoutMs: CLOSE_TIMEOUT_MS }))
    this.#engine.stop()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

export interface TopicSettings {
  /** 1 to 4,096, default 1; fixed when the topic is made. */
  readonly partitions?: number
  /**
   * The topic, which must exist, that a job is added to when one of this topic is dead: with its name, payload and headers, and with `deadLetter`, which
   * tells its id and why it died. The job itself stays here, dead. `null`: none, as at first. Left out, it stays as it is. A dead-letter topic has
   * none itself: what dies there stays there.
   */
  readonly deadLetter?: AnyTopic | null
}

/** What a topic asks of its client. */
interface TopicAsking {
  locate(partitions: number): Promise<readonly PartitionId[]>
  wish(partitions: number, settings: { readonly deadLetter: string | undefined }): Promise<void>
}

/** Settings of a topic. */
export class Topic {
  readonly name: string
  readonly #asking: TopicAsking

  constructor(name: string, asking: TopicAsking) {
    this.name = name
    this.#asking = asking
  }

  /**
   * Makes the topic where it is not there yet, and tells how many partitions it has. Another count than a topic that exists has throws InvalidOption; a
   * dead-letter topic that is not there, is this one, or has one itself: Refused. A setting counts for jobs that die from a moment later on.
   */
  async configure(settings: TopicSettings): Promise<{ readonly partitions: number }> {
    const { partitions = 0, deadLetter } = check('configure', settings, { partitions: whole(1, PARTITIONS_MAX), deadLetter: topicOrNone })
    if (deadLetter !== undefined) await this.#asking.wish(partitions === 0 ? (await this.#asking.locate(0)).length : partitions, { deadLetter: deadLetter ?? undefined })
    const count = (await this.#asking.locate(partitions)).length
    if (partitions !== 0 && count !== partitions) throw new InvalidOption(`configure: topic ${this.name} has ${count} partitions already, and their count is fixed when a topic is made`)
    return { partitions: count }
  }
}

const topicOrNone = (value: unknown): string | null => (value === null ? null : topicName(value as AnyTopic))

const NO_BODY = new Uint8Array(0)
