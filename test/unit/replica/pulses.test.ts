//! Pulses: one message between two nodes speaks for all shards at rest between them, and proves for each what it would have proven
//! by itself, however messages are lost, doubled and reordered.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Now } from '@horus/core/actor'
import type { PulseMessage } from '@horus/core/message/pulse'
import { Random } from '@horus/core/random'
import { Pulses, type PulsesOutbox } from '@horus/core/replica/pulse/pulses'
import type { NodeId, ShardId } from '@horus/core/units'
import { idOf } from '../names.ts'

const ELECTION_MS = 1000
const SETTINGS = { electionMs: ELECTION_MS, gapMs: 250, pulseMsMax: 200 }

/** A node with copies that do as they are told; those that it leads rest when all others agree. */
class Node {
  readonly id: NodeId
  pulses: Pulses
  /** Led: asked for, or at rest. */
  readonly led = new Map<ShardId, 'asked' | 'rests'>()
  /** Followed at rest, and when the last rest was left. */
  readonly holds = new Set<ShardId>()
  readonly leftAt = new Map<ShardId, number>()
  agreesTo = true
  readonly #world: World

  constructor(id: NodeId, world: World) {
    this.id = id
    this.#world = world
    this.pulses = new Pulses(world.random.fork(), SETTINGS)
  }

  readonly out: PulsesOutbox = {
    freeBytes: 1,
    send: (to, message) => this.#world.send(this.id, to, message),
    agrees: (_leader, { shard }) => {
      if (this.agreesTo) this.holds.add(shard)
      return this.agreesTo
    },
    agreed: (shard) => {
      if (this.led.has(shard)) this.led.set(shard, 'rests')
    },
    rouse: (shard) => this.rouse(shard),
  }

  ask(shard: ShardId): void {
    this.led.set(shard, 'asked')
    this.pulses.rest(this.#world.time, shard, { term: 1 as never, from: 1 as never, index: 7 as never, peers: this.#world.others(this.id).map((node) => ({ node, replica: 2 as never })) })
  }

  /** Something happens to the shard here, or the pulses say so. */
  rouse(shard: ShardId): void {
    const rested = this.led.delete(shard)
    const followed = this.holds.delete(shard)
    if (followed) this.leftAt.set(shard, this.#world.now)
    if (rested || followed) this.pulses.rest(this.#world.time, shard, undefined)
  }

  restart(): void {
    for (const shard of this.holds) this.leftAt.set(shard, this.#world.now)
    this.led.clear()
    this.holds.clear()
    this.pulses = new Pulses(this.#world.random.fork(), SETTINGS)
  }
}

class World {
  now = 0
  sent = 0
  loss = 0
  disorder = 0
  readonly random: Random
  readonly nodes: Node[]
  #mail: { readonly at: number; readonly from: NodeId; readonly to: NodeId; readonly message: PulseMessage }[] = []
  readonly silent = new Set<NodeId>()

  constructor(count: number, seed = 1) {
    this.random = new Random(seed)
    this.nodes = Array.from({ length: count }, (_, i) => new Node(idOf(i), this))
  }

  get time(): Now {
    return { monotonic: this.now, wall: this.now } as unknown as Now
  }

  others(id: NodeId): NodeId[] {
    return this.nodes.filter((node) => node.id !== id).map((node) => node.id)
  }

  send(from: NodeId, to: NodeId, message: PulseMessage): void {
    this.sent++
    if (this.silent.has(from) || this.random.chance(this.loss)) return
    for (let copies = this.random.chance(this.disorder / 2) ? 2 : 1; copies > 0; copies--) {
      this.#mail.push({ at: this.now + 1 + (this.random.chance(this.disorder) ? this.random.below(700) : 0), from, to, message })
    }
  }

  /** In steps of a millisecond, everybody being woken when it wants to be. */
  run(ms: number, each = (): void => {}): void {
    for (const end = this.now + ms; this.now < end; this.now++) {
      const due = this.#mail.filter(({ at }) => at <= this.now)
      this.#mail = this.#mail.filter(({ at }) => at > this.now)
      for (const { from, to, message } of due) {
        const node = this.nodes.find(({ id }) => id === to)!
        node.pulses.called(this.time)
        node.pulses.receive(this.time, from, message, node.out)
      }
      for (const node of this.nodes) {
        node.pulses.called(this.time)
        if (node.pulses.wakeAt <= this.now) node.pulses.wake(this.time, node.out)
      }
      each()
    }
  }
}

const shard = (number: number): ShardId => number as ShardId

test('a shard rests when all others agree, and one message to each speaks for hundreds', () => {
  const world = new World(3)
  const [leader, b, c] = world.nodes as [Node, Node, Node]
  for (let i = 1; i <= 500; i++) leader.ask(shard(i))
  world.run(100)
  assert.ok([...leader.led.values()].every((state) => state === 'rests'))
  assert.equal(b.holds.size + c.holds.size, 1000)
  const before = world.sent
  world.run(2000)
  assert.ok(world.sent - before <= 2 * 2 * 11, `${world.sent - before} messages in two seconds`)
  assert.equal(leader.led.size, 500)
})

test('where one does not agree the shard does not rest, and the leader is told', () => {
  const world = new World(3)
  const [leader, , c] = world.nodes as [Node, Node, Node]
  c.agreesTo = false
  leader.ask(shard(1))
  world.run(100)
  assert.equal(leader.led.size, 0)
})

test('a copy that leaves its rest is no longer spoken for: no answer after that proves anything for its shard', () => {
  const world = new World(2)
  const [leader, follower] = world.nodes as [Node, Node]
  leader.ask(shard(1))
  leader.ask(shard(2))
  world.run(500)
  const provenAt = leader.pulses.proofOf(follower.id)!.provenAt
  assert.ok(provenAt > 0)
  follower.rouse(shard(1))
  world.run(300, () => {
    if (leader.led.has(shard(1))) assert.ok(leader.pulses.proofOf(follower.id)!.provenAt <= follower.leftAt.get(shard(1))!)
  })
  assert.deepEqual([...leader.led], [[shard(2), 'rests']])
  assert.ok(leader.pulses.proofOf(follower.id)!.provenAt > follower.leftAt.get(shard(1))!)
})

test('a leader that ends a rest ends it for all, whatever becomes of the rest of its shards', () => {
  const world = new World(3)
  const [leader, b, c] = world.nodes as [Node, Node, Node]
  leader.ask(shard(1))
  leader.ask(shard(2))
  world.run(100)
  leader.rouse(shard(1))
  world.run(300)
  for (const follower of [b, c]) assert.deepEqual([...follower.holds], [shard(2)])
})

test('a node that falls silent is left by its followers after one election time-out, and asked anew by its leaders after half of one', () => {
  const world = new World(2)
  const [leader, follower] = world.nodes as [Node, Node]
  for (let i = 1; i <= 20; i++) leader.ask(shard(i))
  world.run(1000)
  world.silent.add(leader.id)
  world.run(ELECTION_MS - 250)
  assert.equal(follower.holds.size, 20)
  world.run(250)
  assert.equal(follower.holds.size, 0)
  world.silent.clear()
  for (let i = 1; i <= 20; i++) leader.ask(shard(i))
  world.run(2000)
  for (let i = 1; i <= 20; i++) if (!leader.led.has(shard(i))) leader.ask(shard(i))
  world.run(1000)
  assert.equal(leader.led.size, 20)
  world.silent.add(follower.id)
  world.run(ELECTION_MS / 2 + 450)
  assert.equal(leader.led.size, 0)
})

test('a node that was started again holds nothing, and a leader that was leads nothing at rest', () => {
  for (const who of [0, 1]) {
    const world = new World(2)
    const [leader, follower] = world.nodes as [Node, Node]
    leader.ask(shard(1))
    world.run(500)
    world.nodes[who]!.restart()
    leader.ask(shard(2))
    world.run(1500)
    assert.ok(!follower.holds.has(shard(1)))
    assert.ok(!leader.led.has(shard(1)))
  }
})

test('the time that a node ran is counted without the gaps in which it stood still', () => {
  const pulses = new Pulses(new Random(1), SETTINGS)
  for (const monotonic of [1000, 1100, 1200, 9000, 9100]) pulses.called({ monotonic, wall: 0 } as unknown as Now)
  assert.equal(pulses.awakeMs, 100 + 100 + 250 + 100)
})

test('under loss, doubling, disorder and restarts nothing is proven that was not so, and in the end all agree', () => {
  for (let seed = 1; seed <= 40; seed++) {
    const world = new World(3, seed)
    const [leader, ...followers] = world.nodes as [Node, Node, Node]
    world.loss = 0.2
    world.disorder = 0.3
    const askedAt = new Map<ShardId, number>()
    const proven = (): void => {
      for (const [one, state] of leader.led) {
        if (state !== 'rests') continue
        for (const follower of followers) {
          const left = follower.leftAt.get(one) ?? -Infinity
          // One that has left since this rest was asked for, and does not hold it, was proven for no later time.
          if (left >= askedAt.get(one)! && !follower.holds.has(one)) assert.ok(leader.pulses.proofOf(follower.id)!.provenAt <= left, `seed ${seed} at ${world.now}: shard ${one} left at ${left}`)
        }
      }
    }
    for (let step = 0; step < 60; step++) {
      const one = shard(1 + world.random.below(8))
      const happens = world.random.below(12)
      if (happens < 6 && !leader.led.has(one)) {
        askedAt.set(one, world.now)
        leader.ask(one)
      } else if (happens < 8) world.random.pick(followers).rouse(one)
      else if (happens < 10) leader.rouse(one)
      else if (happens === 10 && world.random.chance(0.3)) world.random.pick(world.nodes).restart()
      else if (world.random.chance(0.3)) {
        const node = world.random.pick(world.nodes)
        node.pulses.linkDown(world.random.pick(world.others(node.id)), node.out)
      }
      world.run(world.random.below(300), proven)
    }
    world.loss = world.disorder = 0
    world.run(4000, proven)
    for (const one of leader.led.keys()) leader.rouse(one)
    world.run(1000)
    for (let i = 1; i <= 8; i++) leader.ask(shard(i))
    world.run(1500)
    for (let i = 1; i <= 8; i++) if (!leader.led.has(shard(i))) leader.ask(shard(i))
    world.run(500)
    assert.equal([...leader.led.values()].filter((state) => state === 'rests').length, 8, `seed ${seed}`)
    for (const follower of followers) assert.equal(follower.holds.size, 8)
  }
})
