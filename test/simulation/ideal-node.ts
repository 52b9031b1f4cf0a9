//! A node that never fails, beside the real one: one log in memory, the books and the services of core on top, no quorum, no
//! disk. It outlives its crashes, as a cluster does. Users and checkers are tried on it, so that what they say about the
//! real replica can be believed.

import type { Now } from '@horus/core/actor'
import { type Directory, Front, type Services, type ShardMessage, type ShardService } from '@horus/core/front/front'
import type { Endpoint } from '@horus/core/lead/endpoint'
import { type Led, Service } from '@horus/core/lead/service'
import { Code, logTable, stampEntry } from '@horus/core/message/command'
import type { Identity, ReplicaInput, ReplicaOutbox } from '@horus/core/replica'
import { answerQuery } from '@horus/core/replica/queries'
import { Shard, type ShardEffects } from '@horus/core/shard'
import type { Address, Instant, LeaseTime, LogIndex, NodeId, PartitionId, ShardId, Term } from '@horus/core/units'
import { never } from '@horus/core/units'
import type { ReplicaActor } from '@horus/core/world/node'

const SHARD = 1 as ShardId
const SELF = '00000000000000000000000000000001' as NodeId
const TICK_MS = 20

/** What a cluster keeps: given to every run of the node. */
export class IdealLog {
  readonly entries: Uint8Array[] = []
  readonly topics = new Map<string, PartitionId[]>()
  books = new Shard(SHARD)
  partitions = 0
  /** The lease clock goes on from here, whatever the monotonic clock of the next run begins with. */
  leaseAt = 0
  term = 0
  /** Of the last entry. */
  lastTerm = 0
}

export class IdealNode implements ReplicaActor {
  readonly #log: IdealLog
  readonly #address: Address
  readonly #service: Service
  readonly #front: Front
  #pending: { readonly index: LogIndex; readonly entry: Uint8Array }[] = []
  #outbox: ReplicaOutbox | undefined
  #now: Now | undefined
  #leaseFrom = 0
  #leaseBase = 0
  wakeAt: Instant = never

  constructor(log: IdealLog, address: Address) {
    this.#log = log
    this.#address = address
    this.#service = new Service(this.#led())
    this.#front = new Front(() => SELF, this.#directory(), this.#services())
  }

  receive(now: Now, input: ReplicaInput, outbox: ReplicaOutbox): void {
    this.#now = now
    this.#outbox = outbox
    switch (input.kind) {
      case 'start':
        return this.#start(now, outbox)
      case 'clientUp':
        return this.#front.up(input.connection)
      case 'clientDown':
        return this.#front.down(input.connection, outbox)
      case 'clientMessage':
        return this.#front.receive(now, input.connection, input.bytes, outbox)
      case 'turn':
        this.#front.wake(now, outbox)
        this.#service.turn(now)
        return this.#commit(outbox)
      default:
    }
  }

  wake(now: Now, outbox: ReplicaOutbox): void {
    this.#now = now
    this.#outbox = outbox
    const expireThrough = this.#leaseNow(now)
    this.#propose(now, logTable.encode({
      kind: 'tick', leaseNow: 0 as never, wallNow: 0 as never, expireThrough,
      knownFrom: 0 as never, knownThrough: this.#log.entries.length as never, unreceived: this.#service.unreceived(expireThrough),
    }))
    this.wakeAt = (now.monotonic + TICK_MS) as Instant
  }

  clone(): this {
    throw new Error('an ideal node is not explored')
  }

  digest(): string {
    return this.#log.books.digest()
  }

  // ---- a shard's service -------------------------------------------------------------------------------------------

  /** `receive` of a shard: the front hands over what is for it. */
  serve(now: Now, from: Endpoint, bytes: Uint8Array, message: ShardMessage): void {
    switch (message.kind) {
      case 'command':
        return this.#service.command(now, from, bytes.slice(), message)
      case 'demand':
        return this.#service.demand(now, from, message)
      case 'received':
        return this.#service.received(message)
      case 'beat':
        return this.#service.beat(now, from, message)
      case 'resume':
        return this.#service.resume(now, from, message)
      case 'query':
        return this.#front.send(from, answerQuery(this.#log.books, message), this.#outbox!)
      default:
        message satisfies never
    }
  }

  gone(endpoint: Endpoint): void {
    this.#service.gone(endpoint)
  }

  #start(now: Now, outbox: ReplicaOutbox): void {
    this.#leaseFrom = now.monotonic
    this.#leaseBase = this.#log.leaseAt
    this.#log.term++
    outbox.identity({ nodeId: SELF, value: 1, boot: 1, cluster: 'simulated', clusterId: undefined, generation: 0 } satisfies Identity)
    outbox.observe?.({ kind: 'leader', shard: SHARD, term: this.#log.term as Term, replica: 1 as never })
    outbox.observe?.({ kind: 'restored', shard: SHARD, index: this.#log.entries.length as LogIndex, term: this.#log.lastTerm as Term })
    this.wakeAt = now.monotonic
  }

  #leaseNow(now: Now): LeaseTime {
    this.#log.leaseAt = Math.max(this.#log.leaseAt, this.#leaseBase + now.monotonic - this.#leaseFrom)
    return this.#log.leaseAt as LeaseTime
  }

  #propose(now: Now, entry: Uint8Array): LogIndex {
    const index = (this.#log.entries.length + this.#pending.length + 1) as LogIndex
    stampEntry(entry, this.#leaseNow(now), now.wall)
    this.#pending.push({ index, entry })
    this.#outbox!.observe?.({ kind: 'proposed', shard: SHARD, index, term: this.#log.term as Term, entry })
    return index
  }

  #commit(outbox: ReplicaOutbox): void {
    while (this.#pending.length > 0) {
      for (const { index, entry } of this.#pending.splice(0)) {
        this.#log.entries.push(entry)
        this.#log.lastTerm = this.#log.term
        outbox.observe?.({ kind: 'applied', shard: SHARD, index, term: this.#log.term as Term, entry })
        this.#log.books.apply(index, entry, this.#effects)
        this.#service.applied(index)
      }
      this.#service.turn(this.#now!)
    }
  }

  readonly #effects: ShardEffects = {
    answer: (index, session, sequence, code, body) => this.#service.answer(index, session, sequence, code, body),
    leased: (batch) => this.#service.leased(batch),
    lostLease: (partition, session, reason, jobs) => this.#service.lostLease(partition, session, reason, jobs),
    payloadFree: () => {},
  }

  #led(): Led {
    const log = this.#log
    const term = (): Term => log.term as Term
    return {
      shard: SHARD,
      get books() {
        return log.books
      },
      proposable: 'yes',
      tooFewMasters: false,
      lacksRoom: false,
      get term() {
        return term()
      },
      leaseNow: (now) => this.#leaseNow(now),
      wallNow: (now) => now.wall,
      leadsSurely: () => true,
      propose: (now, entry) => this.#propose(now, entry),
      entry: (index) => log.entries[index - 1],
      fetch: () => {},
      redirect: () => this.#front.redirect(SHARD),
      send: (to, message) => this.#front.send(to, message, this.#outbox!),
    }
  }

  #directory(): Directory {
    return {
      partitionsOf: (topic) => this.#log.topics.get(topic)?.map((partition) => ({ partition, shard: SHARD })),
      leaderOf: () => SELF,
      addressOf: () => this.#address,
      currentAt: (now) => now.monotonic,
      refresh: () => {},
      createTopic: (now, topic, partitions) => this.#createTopic(now, topic, partitions),
      // A node alone has nothing to move: nobody asks it to, and a wish is never answered.
      wish: () => 0,
      status: () => ({ kind: 'queryAnswer', request: 0, code: Code.notFound, body: new Uint8Array(0) }),
    }
  }

  #services(): Services {
    const service: ShardService = { receive: (now, from, bytes, message) => this.serve(now, from, bytes, message), gone: (endpoint) => this.gone(endpoint) }
    return { led: (shard) => (shard === SHARD ? service : undefined), all: () => [service] }
  }

  #createTopic(now: Now, topic: string, partitions: number): void {
    if (this.#log.topics.has(topic)) return
    const made = Array.from({ length: Math.max(1, partitions) }, () => ++this.#log.partitions as PartitionId)
    this.#log.topics.set(topic, made)
    for (const partition of made) this.#propose(now, logTable.encode({ kind: 'partitionOpen', leaseNow: 0 as never, wallNow: 0 as never, partition, topic, settings: new Uint8Array(0) }))
  }
}
