//! A client that says what no client should: random bytes, messages cut short or too long, and well-formed messages about sessions,
//! shards and partitions that are nobody's. It is answered, refused or cut off; nobody else may notice.

import type { Now } from '@horus/core/actor'
import { joined } from '@horus/core/bytes'
import type { ConnectionMessage } from '@horus/core/message/messages'
import { connectionTable } from '@horus/core/message/messages'
import type { Random } from '@horus/core/random'
import type { Address, ConnectionId, Instant } from '@horus/core/units'
import type { ClientActor, ClientProcessInput, ClientProcessOutbox } from '@horus/core/world/client'
import { noise } from '@horus/core/world/faults/garbage'

const CONNECTIONS_MAX = 4
const BODY_BYTES_MAX = 200

export class Vandal implements ClientActor {
  wakeAt: Instant
  readonly #random: Random
  readonly #seeds: readonly Address[]
  readonly #everyMs: number
  /** Told of every message that leaves; says whether one may. */
  readonly #strikes: () => boolean
  readonly #open = new Set<ConnectionId>()
  #next = 1

  constructor(random: Random, seeds: readonly Address[], everyMs: number, strikes: () => boolean) {
    this.#random = random
    this.#seeds = seeds
    this.#everyMs = everyMs
    this.#strikes = strikes
    this.wakeAt = 0 as Instant
  }

  receive(now: Now, input: ClientProcessInput): void {
    if (input.kind === 'start') this.wakeAt = (now.monotonic + this.#everyMs) as Instant
    else if (input.kind === 'connected') this.#open.add(input.connection)
    else if (input.kind === 'disconnected') this.#open.delete(input.connection)
  }

  wake(now: Now, outbox: ClientProcessOutbox): void {
    this.wakeAt = (now.monotonic + this.#random.fraction() * 2 * this.#everyMs + 1) as Instant
    if (this.#open.size < CONNECTIONS_MAX && this.#random.chance(0.2)) outbox.connect(this.#next++ as ConnectionId, this.#random.pick(this.#seeds))
    if (this.#open.size > 0 && this.#strikes()) outbox.transmit(this.#random.pick([...this.#open]), this.#bytes())
  }

  clone(): this {
    throw new Error('users are not explored')
  }

  digest(): string {
    return ''
  }

  #bytes(): Uint8Array {
    const random = this.#random
    const message = connectionTable.encode(this.#message())
    switch (random.below(9)) {
      case 0:
        return noise(random, 1 + random.below(100), random.below(256))
      case 1:
        return message.slice(0, random.below(message.length))
      case 2:
        return joined([message, new Uint8Array(1 + random.below(20))])
      case 3: {
        message[random.below(message.length)]! ^= 1 << random.below(8)
        return message
      }
      default:
        return message
    }
  }

  /** Sessions that it makes up lie far above any real one. */
  #message(): ConnectionMessage {
    const random = this.#random
    const shard = random.pick([0, 1, 2, 11, 999]) as never
    const session = (1e9 + random.below(1e9)) as never
    const partition = (1 + random.below(5)) as never
    const body = noise(random, 1 + random.below(BODY_BYTES_MAX), random.below(256))
    switch (random.below(8)) {
      case 0:
        return { kind: 'status', request: random.u32() }
      case 1:
        return { kind: 'locate', request: random.u32(), topic: `nothing-${random.below(1000)}`, create: false, partitions: random.below(100) }
      case 2:
        return { kind: 'query', request: random.u32(), shard, partition, operation: random.below(6), body }
      case 3:
        return { kind: 'demand', shard, partition, session, number: random.u32(), grant: random.u32(), leaseMs: random.u32(), stamp: random.u32(), names: [] }
      case 4:
        return { kind: 'resume', shard, session, stamp: random.u32(), leases: [{ partition, number: random.below(100) as never, token: random.below(1000) as never }] }
      case 5:
        return { kind: 'beat', shard, session, stamp: random.u32() }
      case 6:
        return { kind: 'received', shard, session, token: random.below(1000) as never, number: random.below(100) as never }
      default:
        return { kind: 'command', leaseNow: random.u32() as never, wallNow: random.u32() as never, shard, session, sequence: random.below(10), lowest: random.below(10), stamp: random.u32(), operation: (1 + random.below(12)) as never, body }
    }
  }
}
