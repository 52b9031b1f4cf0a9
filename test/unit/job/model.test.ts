import assert from 'node:assert/strict'
import { test } from 'node:test'
import { joined } from '@horus/core/bytes'
import type { Imaging } from '@horus/core/message/image'
import { JobState } from '@horus/core/message/client'
import { Backoff, cancelBody, Code, extendBody, FailMode, type JobOptions, leasedBody, Operation } from '@horus/core/message/command'
import { encode } from '@horus/core/message/layout'
import { Random } from '@horus/core/random'
import { Shard } from '@horus/core/shard'
import type { LogIndex } from '@horus/core/units'
import { addOf, bytesOf, groupsOf, type Held, type Item, none, Seen, SHARD, TestLog } from './log.ts'
import { type Expected, Model, ModelPartition } from './model.ts'

const NAMES = ['bill', 'mail', 'scan']
const PARTITIONS = [4, 9]

/** A log whose entries are applied twice: to books that live on, and to books that are often restored from a snapshot. */
class TwinLog extends TestLog {
  twin = new Shard(SHARD)

  override append(bytes: Uint8Array): Seen {
    const seen = super.append(bytes)
    const other = new Seen()
    this.twin.apply(this.index as LogIndex, bytes, other.effects)
    assert.deepEqual(other, seen, 'restored books do as books that lived on')
    return seen
  }
}

interface Sent {
  readonly session: number
  readonly operation: number
  readonly body: Uint8Array
  readonly sequence: number
}

/** One random history; every entry's outcome is compared, and now and then everything that can be asked. */
class Play {
  readonly #random: Random
  readonly #log = new TwinLog()
  readonly #model = new Model()
  readonly #sequences = new Map<number, number>()
  #sessions: number[] = []
  #images: { readonly expected: Uint8Array; readonly imaging: Imaging; readonly pieces: Uint8Array[] }[] = []
  readonly #sent: Sent[] = []
  /** Leases that were given at any time, also stale ones. */
  readonly #given: (Held & { readonly partition: number; readonly session: number })[] = []

  constructor(seed: number) {
    this.#random = new Random(seed)
    for (const partition of PARTITIONS) {
      this.#log.openPartition(partition as never)
      this.#model.partitions.set(partition, new ModelPartition())
    }
    for (let i = 0; i < 3; i++) this.#open()
  }

  run(steps: number): void {
    for (let i = 0; i < steps; i++) {
      this.#step()
      this.#image()
      if (this.#random.chance(0.05)) this.#log.twin = Shard.restore(SHARD, this.#log.twin.snapshot())
      if (this.#random.chance(0.02)) this.#log.twin = this.#log.shard.clone()
      if (i % 25 === 0) this.#compare()
    }
    this.#compare()
  }

  /** Now and then a snapshot is taken in steps, while the log goes on: it must be what it would have been at once. */
  #image(): void {
    const random = this.#random
    if (this.#images.length < 2 && random.chance(0.1)) this.#images.push({ expected: this.#log.shard.snapshot(), imaging: this.#log.shard.freeze(), pieces: [] })
    for (const image of this.#images.splice(0)) {
      const { piece, last } = image.imaging.step(random.pick([1, 1, 1, 20]))
      image.pieces.push(piece)
      if (!last) this.#images.push(image)
      else assert.deepEqual(joined(image.pieces), image.expected, 'a snapshot is the state at its index, whatever was applied meanwhile')
    }
    if (this.#images.length > 0 && random.chance(0.01)) this.#images.pop()!.imaging.end()
  }

  #step(): void {
    const random = this.#random
    const draw = random.below(100)
    if (draw < 22) this.#add()
    else if (draw < 45) this.#acquire()
    else if (draw < 60) this.#complete()
    else if (draw < 68) this.#fail()
    else if (draw < 73) this.#extend()
    else if (draw < 77) this.#release()
    else if (draw < 81) this.#cancel()
    else if (draw < 92) this.#tick()
    else if (draw < 95) this.#repeat()
    else if (draw < 97) this.#odd()
    else if (draw < 98) this.#close()
    else this.#log.noop()
    if (this.#sessions.length < 3) this.#open()
  }

  #open(): void {
    this.#begin()
    const session = this.#log.open()
    this.#model.open(session)
    this.#sessions.push(session)
  }

  #add(): void {
    const partition = this.#random.pick(PARTITIONS)
    const items = Array.from({ length: this.#random.between(1, 8) }, () => this.#item())
    this.#command(Operation.add, addOf(items, partition as never), () => this.#model.add(partition, this.#log.index, items))
  }

  #item(): Item {
    const random = this.#random
    const options: { -readonly [K in keyof JobOptions]: JobOptions[K] } = {}
    if (random.chance(0.2)) options.priority = random.below(3)
    if (random.chance(0.1)) options.delay = random.below(20_000)
    if (random.chance(0.05)) options.runAt = this.#log.wallNow + random.between(-5000, 20_000)
    if (random.chance(0.1)) options.maxAttempts = random.between(1, 3)
    if (random.chance(0.05)) options.leaseMs = random.between(1000, 40_000)
    if (random.chance(0.1)) options.idempotencyKey = `key ${random.below(20)}`
    if (random.chance(0.05)) options.timeoutMs = 5000
    if (random.chance(0.05)) options.headers = [['trace', 'on']]
    if (random.chance(0.05)) options.backoff = { kind: random.pick([Backoff.fixed, Backoff.exponential]), baseMs: random.pick([0, 10, 9000]), maxMs: 8000 }
    return { name: random.pick(NAMES), payload: bytesOf('p'), ...(Object.keys(options).length > 0 ? { options } : {}) }
  }

  #acquire(): void {
    const random = this.#random
    const partition = random.pick(PARTITIONS)
    const session = random.chance(0.05) ? 12_345 : random.pick(this.#sessions)
    const names = random.chance(0.6) ? [] : [random.pick(NAMES), random.pick([...NAMES, 'nobody'])]
    const count = random.between(1, 12)
    const grant = random.between(1, 25)
    const leaseMs = random.pick([5000, 10_000, 30_000])
    this.#begin()
    const seen = this.#log.acquire(session, count, { grant, leaseMs, names, partition: partition as never })
    this.#model.acquire(partition, session, this.#log.index, count, grant, leaseMs, names)
    this.#check(seen)
    for (const job of seen.jobs) this.#given.push({ ...job, partition, session })
  }

  /** Some leases of one partition, mostly of one session and valid, sometimes neither. */
  #leases(): { partition: number; session: number; jobs: Held[] } | undefined {
    const random = this.#random
    if (this.#given.length === 0) return undefined
    const { partition, session } = this.#given[random.between(Math.max(0, this.#given.length - 20), this.#given.length - 1)]!
    const recent = this.#given.slice(-60).filter((lease) => lease.partition === partition && (lease.session === session || random.chance(0.05)))
    const jobs = recent.filter(() => random.chance(0.5)).map(({ number, token }) => ({ number, token: random.chance(0.02) ? token + 1 : token }))
    if (jobs.length > 0 && random.chance(0.1)) jobs.push(jobs[0]!)
    // As the groups on the wire: by token, in the order in which a token first occurs.
    const tokens = [...new Set(jobs.map((job) => job.token))]
    return { partition, session, jobs: tokens.flatMap((token) => jobs.filter((job) => job.token === token)) }
  }

  #complete(): void {
    const leases = this.#leases()
    if (!leases) return
    const { partition, session, jobs } = leases
    const result = bytesOf('r'.repeat(this.#random.below(40)))
    const body = encode(leasedBody, { partition: partition as never, groups: groupsOf(jobs, (writer, number) => writer.complete(number, result)) })
    this.#command(Operation.complete, body, () => this.#model.complete(partition, session, jobs, result), session)
  }

  #fail(): void {
    const leases = this.#leases()
    if (!leases) return
    const { partition, session, jobs } = leases
    const mode = this.#random.pick([FailMode.retry, FailMode.retry, FailMode.permanent, FailMode.retryAfter])
    const after = this.#random.pick([0, 3000])
    const error = this.#random.chance(0.5) ? bytesOf('broken') : none
    const body = encode(leasedBody, { partition: partition as never, groups: groupsOf(jobs, (writer, number) => writer.fail(number, mode, after, error)) })
    this.#command(Operation.fail, body, () => this.#model.fail(partition, session, jobs, mode, after, error), session)
  }

  #extend(): void {
    const leases = this.#leases()
    if (!leases) return
    const { partition, session, jobs } = leases
    const leaseMs = this.#random.pick([0, 0, 1000, 60_000])
    const body = encode(extendBody, { partition: partition as never, leaseMs, groups: groupsOf(jobs, (writer, number) => writer.leased(number)) })
    this.#command(Operation.extend, body, () => this.#model.extend(partition, session, jobs, leaseMs), session)
  }

  #release(): void {
    const leases = this.#leases()
    if (!leases) return
    const { partition, session, jobs } = leases
    const body = encode(leasedBody, { partition: partition as never, groups: groupsOf(jobs, (writer, number) => writer.leased(number)) })
    this.#command(Operation.release, body, () => this.#model.release(partition, session, jobs), session)
  }

  #cancel(): void {
    const partition = this.#random.pick(PARTITIONS)
    const next = this.#model.partitions.get(partition)!.next
    const numbers = Array.from({ length: this.#random.between(1, 10) }, () => this.#random.between(Math.max(0, next - 60), next))
    this.#command(Operation.cancel, encode(cancelBody, { partition: partition as never, jobs: numbers as never }), () => this.#model.cancel(partition, numbers))
  }

  #tick(): void {
    const random = this.#random
    this.#log.pass(random.chance(0.01) ? 25 * 3_600_000 : random.chance(0.03) ? 3_600_000 : random.below(6000))
    this.#begin()
    const through = this.#log.leaseNow + (random.chance(0.3) ? random.between(-9000, 500) : 0)
    const seen = this.#log.tick(through)
    this.#model.tick(through)
    this.#check(seen)
  }

  /** An earlier command once more, maybe one whose answer is no longer kept. */
  #repeat(): void {
    if (this.#sent.length === 0) return
    const { session, operation, body, sequence } = this.#sent[this.#random.between(Math.max(0, this.#sent.length - 30), this.#sent.length - 1)]!
    this.#send(session, operation, body, sequence, Math.max(0, sequence - this.#random.below(4)), () => assert.fail('a repeat runs nothing'))
  }

  /** Commands that are wrong in themselves. */
  #odd(): void {
    const random = this.#random
    const session = random.pick(this.#sessions)
    const malformed = (): Expected => ({ code: Code.malformed, body: none })
    if (random.chance(0.3)) this.#send(session, Operation.add, addOf([{}], 99 as never), this.#next(session), 0, () => ({ code: Code.unknownPartition, body: none }))
    else if (random.chance(0.3)) this.#send(session, Operation.add, addOf([{}], 4 as never), 1_000_000, 5, malformed)
    else this.#command(random.pick([2, 3, 4, 5, 6, 7, 77]), Uint8Array.from({ length: random.between(9, 40) }, () => 255), malformed, session)
  }

  #close(): void {
    const session = this.#random.pick(this.#sessions)
    this.#command(Operation.close, none, () => this.#model.close(session), session)
    this.#sessions = this.#sessions.filter((each) => each !== session)
  }

  #next(session: number): number {
    const sequence = (this.#sequences.get(session) ?? 0) + 1
    this.#sequences.set(session, sequence)
    return sequence
  }

  #command(operation: number, body: Uint8Array, run: () => Expected, session = this.#random.pick(this.#sessions)): void {
    const sequence = this.#next(session)
    this.#send(session, operation, body, sequence, Math.max(0, sequence - this.#random.below(6)), run)
    this.#sent.push({ session, operation, body, sequence })
  }

  #send(session: number, operation: number, body: Uint8Array, sequence: number, lowest: number, run: () => Expected): void {
    this.#begin()
    const answer = this.#log.command(session, operation, body, sequence, lowest)
    const entry = this.#log.index
    const expected = this.#model.command(session, sequence, lowest, run)
    assert.deepEqual({ code: answer.code, body: answer.body }, { code: expected.code, body: Uint8Array.from(expected.body) })
    const keeps = [...this.#model.partitions.values()].some((partition) => [...partition.jobs.values()].some((job) => job.entry === entry))
    if (operation === Operation.add && !keeps) this.#model.effects.free.push(entry)
    this.#check(answer.seen)
  }

  #begin(): void {
    this.#model.begin(this.#log.leaseNow, this.#log.wallNow)
  }

  #check(seen: Seen): void {
    const { leased, lost, free } = this.#model.effects
    assert.deepEqual(seen.leased.map((batch) => ({ ...batch, jobs: [...batch.jobs] })), leased)
    assert.deepEqual(seen.lost, lost)
    assert.deepEqual(seen.free, free)
  }

  #compare(): void {
    const shard = this.#log.shard
    assert.equal(this.#log.twin.digest(), shard.digest(), 'restored books equal books that lived on')
    assert.equal(this.#log.twin.results, shard.results)
    const entries = new Set<number>()
    for (const [partition, model] of this.#model.partitions) {
      const p = partition as never
      for (let number = 0; number <= model.next; number++) this.#compareJob(partition, number, entries)
      const counts = shard.counts(p)!
      for (const [name, state] of Object.entries(JobState)) assert.equal(counts[name as keyof typeof counts], model.of(state).length, name)
      for (const name of NAMES) assert.equal(shard.waiting(p, [name]), model.of(JobState.waiting).filter((job) => job.name === name).length)
      for (const session of this.#sessions) assert.equal(shard.held(p, session as never), this.#model.held(partition, session))
      const states = [this.#random.between(1, 8), this.#random.between(1, 8)]
      const from = this.#random.below(model.next)
      const listed = shard.jobs(p, { states, name: NAMES[0], from }, 10).jobs.map((job) => job.number)
      assert.deepEqual(listed, model.of(...states).filter((job) => job.name === NAMES[0] && job.number >= from).slice(0, 10).map((job) => job.number))
    }
    assert.deepEqual(shard.liveEntries(), [...entries].sort((a, b) => a - b))
    const all = [...this.#model.partitions.values()]
    const least = (times: number[]): number => Math.min(Infinity, ...times)
    assert.equal(shard.dueNext, least(all.flatMap((model) => model.of(JobState.scheduled, JobState.retrying).map((job) => job.dueAt))))
    assert.equal(shard.leaseDeadlineNext, least(all.flatMap((model) => model.of(JobState.active).map((job) => job.deadline))))
    for (const session of this.#sessions) assert.equal(shard.hasSession(session as never), this.#model.sessions.has(session))
  }

  #compareJob(partition: number, number: number, entries: Set<number>): void {
    const view = this.#log.shard.job(partition as never, number as never)
    const job = this.#model.partitions.get(partition)!.jobs.get(number)
    if (!job) return assert.equal(view, undefined)
    const ended = job.state === JobState.completed || job.state === JobState.cancelled
    const { name, priority, state, attempt, maxAttempts, addedAt, dueAt, endedAt, result, error } = job
    assert.deepEqual(view, {
      number, name, priority, state, attempt, maxAttempts, lostLeases: job.lost, addedAt, dueAt, endedAt: ended || state === JobState.dead ? endedAt : 0,
      token: state === JobState.active ? job.token : 0, result, error, payload: undefined,
    })
    const place = this.#log.shard.payloadOf(partition as never, number as never)
    if (ended) return
    assert.deepEqual(place, { entryIndex: job.entry, ordinal: job.ordinal })
    entries.add(job.entry)
  }
}

for (const [from, count, steps] of [[1, 24, 250], [1000, 2, 2500]] as const) {
  test(`books do as the plain model does, also when restored at any time: ${count} histories of ${steps} entries`, () => {
    for (let seed = from; seed < from + count; seed++) {
      try {
        new Play(seed).run(steps)
      } catch (error) {
        throw new Error(`seed ${seed}: ${error instanceof Error ? error.stack : error}`)
      }
    }
  })
}
