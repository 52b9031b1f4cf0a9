import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Now } from '@horus/core/actor'
import { Random } from '@horus/core/random'
import type { ReplicaInput, ReplicaOutbox } from '@horus/core/replica'
import type { Address, Instant } from '@horus/core/units'
import { NodeProcess } from '@horus/core/world/node'
import { World } from '@horus/core/world/world'
import { emptyDisk, idOf, Silent, Toy } from './toys.ts'

/** Sends its peer a number every millisecond and notes what it gets. */
class Chatter extends Toy {
  readonly got: number[] = []
  readonly links: string[] = []
  readonly #self: number
  readonly #peer: number
  #sent = 0

  constructor(self: number, peer: number) {
    super()
    this.#self = self
    this.#peer = peer
  }

  receive(now: Now, input: ReplicaInput, outbox: ReplicaOutbox): void {
    if (input.kind === 'start') {
      outbox.identity({ nodeId: idOf(this.#self), value: 1, boot: 1, cluster: 'toys', clusterId: undefined, generation: 0 })
      outbox.address(idOf(this.#peer), addressOf(this.#peer))
      this.wakeAt = now.monotonic
    } else if (input.kind === 'message') this.got.push(new DataView(input.bytes.buffer).getUint32(0))
    else if (input.kind === 'linkUp' || input.kind === 'linkDown') this.links.push(input.kind)
  }

  override wake(now: Now, outbox: ReplicaOutbox): void {
    const bytes = new Uint8Array(4)
    new DataView(bytes.buffer).setUint32(0, ++this.#sent)
    outbox.send(idOf(this.#peer), bytes)
    this.wakeAt = (now.monotonic + 1) as Instant
  }
}

const addressOf = (number: number): Address => `10.0.0.${number}:6470` as Address

interface Pair {
  readonly world: World
  readonly one: NodeProcess
  readonly two: NodeProcess
}

function pair(seed: number): Pair {
  const world = new World(new Random(seed), new Silent())
  const add = (self: number, peer: number): NodeProcess =>
    world.add((index) => new NodeProcess(world, index, `chatter-${self}`, addressOf(self), { device: emptyDisk(), make: () => new Chatter(self, peer) }))
  const result = { world, one: add(1, 2), two: add(2, 1) }
  result.one.start()
  result.two.start()
  return result
}

const chatterOf = (node: NodeProcess): Chatter => node.actor as Chatter

function isRising(numbers: readonly number[]): boolean {
  return numbers.every((number, i) => i === 0 || number > numbers[i - 1]!)
}

test('two nodes that dial each other at once keep one link and lose nothing', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const { world, one, two } = pair(seed)
    world.runUntil(100)
    for (const node of [one, two]) {
      assert.deepEqual(chatterOf(node).links, ['linkUp'], `seed ${seed}`)
      assert.deepEqual(chatterOf(node).got, chatterOf(node).got.map((_, i) => i + 1))
      assert.ok(chatterOf(node).got.length > 95)
    }
    assert.equal(world.network.standing().length, 1)
  }
})

test('a link keeps its order, whatever the delays are', () => {
  const { world, one } = pair(1)
  world.network.conditions.settings = { ...world.network.conditions.settings, delayMsMax: 40, spikeChance: 0.1, spikeMsMax: 500 }
  world.runUntil(5000)
  assert.ok(isRising(chatterOf(one).got))
  assert.ok(chatterOf(one).got.length > 3000)
})

test('an adversary loses, doubles and reorders messages of a link', () => {
  const { world, one } = pair(2)
  world.network.conditions.settings = { ...world.network.conditions.settings, delayMsMax: 4, adversaryChance: 0.3 }
  world.runUntil(2000)
  const { got } = chatterOf(one)
  assert.ok(!isRising(got))
  assert.ok(new Set(got).size < got.length)
  assert.ok(new Set(got).size < 1990)
})

test('a peer without power is believed in until the system gives up, and then dialled again', () => {
  const { world, one, two } = pair(3)
  world.runUntil(100)
  two.crash('unreachable')
  world.restart(two, 50)
  world.runUntil(20_000)
  assert.deepEqual(chatterOf(one).links.slice(0, 3), ['linkUp', 'linkDown', 'linkUp'])
  const { got } = chatterOf(two)
  // Messages are lost between the crash and the new link, and none comes out of order.
  assert.ok(isRising(got))
  assert.ok(got.length > 10_000)
})

test('a link outlives a short partition or is dialled again after it', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const { world, one, two } = pair(seed)
    world.runUntil(100)
    world.network.block(one, two, 1000)
    world.network.block(two, one, 1000)
    const before = chatterOf(one).got.length
    world.runUntil(1000)
    assert.ok(chatterOf(one).got.length <= before + 2)
    world.runUntil(20_000)
    assert.ok(chatterOf(one).got.at(-1)! > 19_000, `seed ${seed}`)
    assert.ok(isRising(chatterOf(one).got))
  }
})
