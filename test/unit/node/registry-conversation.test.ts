import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Now } from '@horus/core/actor'
import { Code } from '@horus/core/message/command'
import { decode } from '@horus/core/message/layout'
import { type NodeRecord, registryLogTable, registryTable, RegistryCode, type RegistryMessage, type RegistryWish, topicAnswer } from '@horus/core/message/registry'
import { Admission, type AdmissionOutbox } from '@horus/core/node/admission'
import type { IdentityChanges } from '@horus/core/node/identity'
import { Registrar, type RegistrarOutbox, type RegistrarView } from '@horus/core/node/registrar'
import { type CallerOutbox, RegistryCaller, type RegistryUser } from '@horus/core/node/registry-caller'
import { type FollowerOutbox, RegistryFeed, RegistryFollower } from '@horus/core/node/registry-feed'
import { Random } from '@horus/core/random'
import { Registry, type RegistryEffects, type ShardRecord } from '@horus/core/registry/registry'
import type { Address, ClusterId, Instant, LeaseTime, LogIndex, NodeId, WallTime } from '@horus/core/units'
import { CLUSTER, addressOf, idOf } from '../names.ts'
import { type Host, Network } from './network.ts'

/** Shard 0's log without consensus: whoever leads appends, the masters apply a moment later. */
class Ledger {
  readonly network: Network
  readonly nodes: Node[] = []
  readonly entries: Uint8Array[] = []
  leader = 0
  quorum = true
  readonly dead = new Set<NodeId>()

  constructor(seed: number) {
    this.network = new Network(seed)
  }

  add(options: { value?: number; master?: boolean; follows?: boolean } = {}): Node {
    const node = new Node(this, this.nodes.length, options)
    this.nodes.push(node)
    return node
  }

  lead(i: number): void {
    this.leader = i
    for (const node of this.nodes) node.tellRole()
  }

  append(entry: Uint8Array): void {
    this.entries.push(entry)
    for (const node of this.nodes) if (node.master) this.network.after(this.network.random.between(1, 5), () => node.applyAll())
  }
}

/** Everything of a node that talks about the registry. */
class Node implements Host, CallerOutbox, RegistrarOutbox, FollowerOutbox, AdmissionOutbox, RegistryEffects {
  readonly ledger: Ledger
  readonly i: number
  readonly node: NodeId
  readonly address: Address
  readonly master: boolean
  registry = new Registry()
  readonly caller: RegistryCaller
  readonly registrar: Registrar
  readonly feed = new RegistryFeed()
  readonly follower: RegistryFollower
  readonly admission: Admission
  record: NodeRecord
  clusterId: ClusterId | undefined
  readonly outcomes: { readonly ticket: number; readonly code: number; readonly body: Uint8Array }[] = []
  readonly births: ShardRecord[] = []
  readonly said: string[] = []
  images = 0

  constructor(log: Ledger, i: number, options: { value?: number; master?: boolean }) {
    const { random } = log.network
    this.ledger = log
    this.i = i
    this.node = idOf(i)
    this.address = addressOf(i)
    this.master = options.master ?? false
    this.record = { node: this.node, address: this.address, value: options.value ?? i, zone: '', version: '1', eligible: true }
    this.caller = new RegistryCaller({ node: this.node, random: random.fork() })
    this.registrar = new Registrar({ node: this.node })
    this.follower = new RegistryFollower({ random: random.fork() })
    this.admission = new Admission({ record: this.record, random: random.fork() })
    log.network.add(this)
  }

  get now(): Now {
    return this.ledger.network.now
  }

  start(): void {
    this.tellRole()
    const masters = this.ledger.nodes.filter((node) => node.master).map((node) => node.node)
    this.caller.receive(this.now, { kind: 'targets', leader: undefined, masters: [], others: this.ledger.nodes.filter((node) => node !== this).map((node) => node.node) }, this)
    if (!this.master) {
      this.follower.receive(this.now, { kind: 'masters', masters }, this)
      this.follower.receive(this.now, { kind: 'start', applied: 0 as LogIndex }, this)
    }
  }

  tellRole(): void {
    const leading = this.ledger.leader === this.i
    this.registrar.receive(this.now, { kind: 'role', leading, leader: this.master ? idOf(this.ledger.leader) : idOf(0), proposable: leading && this.ledger.quorum }, this)
  }

  get view(): RegistrarView {
    const { registry, ledger } = this
    return {
      registry, decision: { clusterId: CLUSTER, masters: [{ node: this.node, address: this.address }] }, generation: 1,
      candidates: registry.nodes.filter(({ node }) => !registry.isDraining(node)),
      reserve: registry.nodes.filter(({ node }) => registry.isDraining(node)),
      isLive: (node) => !ledger.dead.has(node),
      isMaster: (node) => ledger.nodes.some((one) => one.node === node && one.master) || registry.shards.some(({ masters }) => masters.includes(node)),
    }
  }

  tend(): void {
    this.registrar.receive(this.now, { kind: 'tend', view: this.view }, this)
  }

  create(ticket: number, topic: string, partitions: number): void {
    this.caller.receive(this.now, { kind: 'ask', user: 'client', ticket, wish: { kind: 'createTopic', topic, partitions, settings: new Uint8Array(0), births: [] } }, this)
  }

  applyAll(): void {
    while (this.registry.applied < this.ledger.entries.length) {
      const index = (this.registry.applied + 1) as LogIndex
      const entry = this.ledger.entries[index - 1]!
      this.registry.apply(index, entry, this)
      this.feed.receive(this.now, { kind: 'applied', index, entry }, this)
    }
    this.feed.receive(this.now, { kind: 'turn' }, this)
  }

  // the host

  get wakeAt(): Instant {
    return Math.min(this.caller.wakeAt, this.follower.wakeAt, this.admission.wakeAt) as Instant
  }

  wake(now: Now): void {
    this.caller.wake(now, this)
    this.follower.wake(now, this)
    this.admission.wake(now, this)
  }

  send(to: NodeId, message: RegistryMessage): void {
    this.ledger.network.send(this.address, addressOf(parseInt(to, 16) - 1), registryTable.encode(message))
  }

  link(): void {}

  datagram(now: Now, sender: Address, bytes: Uint8Array): void {
    const from = this.ledger.nodes.find((node) => node.address === sender)!.node
    const message = registryTable.decode(bytes)
    switch (message.kind) {
      case 'registryCommand':
        return this.registrar.receive(now, { kind: 'command', from, message, view: this.view }, this)
      case 'registryAnswer':
        return this.caller.receive(now, { kind: 'answer', message }, this)
      case 'registryFollow':
        return this.master ? this.feed.receive(now, { kind: 'follow', from, index: message.from, registry: this.registry }, this) : undefined
      default:
        return this.follower.receive(now, { kind: 'message', from, message }, this)
    }
  }

  // what the actors say

  propose(entry: Uint8Array): void {
    this.ledger.append(entry)
  }

  done(user: RegistryUser, ticket: number, code: number, body: Uint8Array): void {
    if (user === 'admission') this.admission.receive(this.now, { kind: 'answer', ticket, code, body }, this)
    else this.outcomes.push({ ticket, code, body })
  }

  entries(first: LogIndex, entries: readonly Uint8Array[]): void {
    for (const [at, entry] of entries.entries()) this.registry.apply((first + at) as LogIndex, entry, this)
  }

  image(_index: LogIndex, image: Uint8Array): void {
    this.images++
    this.registry = Registry.restore(image)
  }

  ask(ticket: number, wish: RegistryWish): void {
    this.caller.receive(this.now, { kind: 'ask', user: 'admission', ticket, wish }, this)
  }

  save(ticket: number, changes: IdentityChanges): void {
    this.ledger.network.after(2, () => {
      if (changes.clusterId) this.clusterId = changes.clusterId
      this.admission.receive(this.now, { kind: 'saved', ticket }, this)
    })
  }

  redrawn(value: number): void {
    this.record = { ...this.record, value }
  }

  struck(destroyed: boolean): void {
    this.said.push(destroyed ? 'destroyed' : 'struck')
  }

  admitted(record: NodeRecord | ClusterId): void {
    if (typeof record === 'string') this.said.push('admitted')
  }

  log(_level: string, text: string): void {
    this.said.push(text)
  }

  answer(origin: NodeId, request: number, code: number, body: Uint8Array): void {
    this.registrar.receive(this.now, { kind: 'outcome', origin, request, code, body }, this)
  }

  forgotten(): void {}
  topic(): void {}
  born(shard: ShardRecord): void {
    this.births.push(shard)
  }
}

function cluster(seed: number, newcomers: number, values: readonly number[] = []): { log: Ledger; nodes: Node[]; network: Network } {
  const log = new Ledger(seed)
  for (let i = 0; i < 3 + newcomers; i++) log.add({ master: i < 3, ...(values[i] !== undefined && { value: values[i] }) })
  for (const node of log.nodes) node.start()
  log.nodes[0]!.tend()
  log.network.run(50)
  return { log, nodes: log.nodes, network: log.network }
}

const admitAll = (nodes: readonly Node[]): void => {
  for (const node of nodes) node.admission.receive(node.now, { kind: 'start', clusterId: undefined }, node)
}

test('newcomers that ask anybody are admitted, and take the cluster’s id for good', () => {
  for (let seed = 1; seed <= 10; seed++) {
    const { nodes, network } = cluster(seed, 4)
    network.loss = seed > 5 ? 0.3 : 0
    admitAll(nodes)
    network.until(60_000, 'all are admitted', () => nodes.every((node) => node.said.includes('admitted')))
    assert.ok(nodes.every((node) => node.clusterId === CLUSTER))
    assert.equal(nodes[0]!.registry.nodes.length, 7)
  }
})

test('of equal values all but one are drawn again, and the redrawn one is what the registry has', () => {
  const { nodes, network } = cluster(1, 3, [7, 7, 7, 7, 7, 8])
  admitAll(nodes)
  network.until(60_000, 'all are admitted', () => nodes.every((node) => node.said.includes('admitted')))
  assert.equal(new Set(nodes[0]!.registry.nodes.map((node) => node.value)).size, 6)
  for (const node of nodes) assert.equal(nodes[0]!.registry.node(node.node)?.value, node.record.value)
})

test('a change of the leader while everybody asks loses nobody', () => {
  for (let seed = 1; seed <= 10; seed++) {
    const { log, nodes, network } = cluster(seed, 4)
    admitAll(nodes)
    network.run(seed * 2)
    log.lead(1)
    network.until(60_000, 'all are admitted', () => nodes.every((node) => node.said.includes('admitted')))
  }
})

test('without a quorum nothing is admitted; with one again, everybody is', () => {
  const { log, nodes, network } = cluster(2, 2)
  log.quorum = false
  log.lead(0)
  admitAll(nodes)
  network.run(40_000)
  assert.equal(log.entries.length, 1)
  log.quorum = true
  log.lead(0)
  network.until(20_000, 'all are admitted', () => nodes.every((node) => node.said.includes('admitted')))
})

test('a node whose address has changed tells the registry when it sees its old record', () => {
  const { nodes, network } = cluster(3, 1)
  admitAll(nodes)
  network.until(20_000, 'all are admitted', () => nodes.every((node) => node.said.includes('admitted')))
  const newcomer = nodes[3]!
  newcomer.record = { ...newcomer.record, version: '2' }
  newcomer.admission.receive(newcomer.now, { kind: 'changed', record: newcomer.record }, newcomer)
  network.until(5000, 'the registry knows', () => nodes[0]!.registry.node(newcomer.node)?.version === '2')
})

test('a node that was struck from the registry says so and does not come back by itself', () => {
  const { nodes, network } = cluster(4, 1)
  admitAll(nodes)
  network.until(20_000, 'all are admitted', () => nodes.every((node) => node.said.includes('admitted')))
  const newcomer = nodes[3]!
  newcomer.admission.receive(newcomer.now, { kind: 'registered', record: newcomer.record }, newcomer)
  nodes[1]!.caller.receive(nodes[1]!.now, { kind: 'ask', user: 'operator', ticket: 1, wish: { kind: 'forget', node: newcomer.node, force: true } }, nodes[1]!)
  network.until(20_000, 'the copy shows it', () => newcomer.registry.applied > 0 && newcomer.registry.node(newcomer.node) === undefined)
  newcomer.admission.receive(newcomer.now, { kind: 'registered', record: undefined }, newcomer)
  network.run(10_000)
  assert.match(newcomer.said.at(-1)!, /struck/)
  assert.equal(nodes[0]!.registry.node(newcomer.node), undefined)
})

test('only a node that is dead, or drained, and master of nothing is forgotten, unless it is forced; and it is not let in again', () => {
  const { nodes, network, log: ledger } = cluster(5, 2)
  admitAll(nodes)
  network.until(20_000, 'all are admitted', () => nodes.every((node) => node.said.includes('admitted')))
  const ask = (wish: RegistryWish): number => {
    const { outcomes } = nodes[4]!
    const ticket = outcomes.length + 1
    nodes[4]!.caller.receive(nodes[4]!.now, { kind: 'ask', user: 'operator', ticket, wish }, nodes[4]!)
    network.until(20_000, 'it is answered', () => outcomes.length === ticket)
    return outcomes.at(-1)!.code
  }
  const forget = (i: number, force = false): number => ask({ kind: 'forget', node: idOf(i), force })
  const drain = (i: number): number => ask({ kind: 'drain', node: idOf(i), draining: true, wish: i })
  assert.deepEqual([forget(1), forget(3), forget(9)], [RegistryCode.master, RegistryCode.lives, RegistryCode.lives])
  ledger.dead.add(idOf(1))
  assert.deepEqual([forget(1), drain(1), forget(1), forget(1, true)], [RegistryCode.master, Code.ok, RegistryCode.master, Code.ok])
  assert.deepEqual([drain(3), drain(9), forget(3), forget(3)], [Code.ok, Code.notFound, Code.ok, Code.ok])
  const struck = nodes[3]!
  struck.admission.receive(struck.now, { kind: 'changed', record: { ...struck.record, version: '2' } }, struck)
  network.until(20_000, 'it is told', () => /struck/.test(struck.said.at(-1)!))
  const asked = struck.said.length
  network.run(20_000)
  assert.equal(struck.said.length, asked)
  assert.equal(nodes[0]!.registry.node(idOf(3)), undefined)
})

test('shards are born on nodes that stay, and on draining ones only where there are too few', () => {
  const { nodes, network } = cluster(6, 2)
  admitAll(nodes)
  network.until(20_000, 'all are admitted', () => nodes.every((node) => node.said.includes('admitted')))
  const born = (): number[] => nodes[0]!.births.at(-1)!.masters.map((node) => Number.parseInt(node, 16) - 1).sort()
  const drain = (i: number): void => nodes[0]!.ledger.append(registryLogTable.encode({ kind: 'drain', leaseNow: 0 as LeaseTime, wallNow: 0 as WallTime, origin: idOf(0), request: 0, node: idOf(i), draining: true, wish: i }))
  const create = (topic: string): void => {
    const count = nodes[0]!.births.length
    nodes[4]!.create(1, topic, 2)
    network.until(20_000, 'it is born', () => nodes[0]!.births.length === count + 2)
  }
  for (const i of [0, 2]) drain(i)
  network.run(100)
  create('enough')
  assert.deepEqual(born(), [1, 3, 4])
  drain(1)
  network.run(100)
  create('too few')
  const masters = born()
  assert.deepEqual([masters.includes(3), masters.includes(4), masters.length], [true, true, 3])
})

test('a topic that any node asks for gets its shards, born with three masters', () => {
  const { nodes, network } = cluster(5, 3)
  admitAll(nodes)
  network.until(20_000, 'all are admitted', () => nodes.every((node) => node.said.includes('admitted')))
  nodes[5]!.create(1, 'orders', 3)
  network.until(20_000, 'it is there', () => nodes[5]!.outcomes.length === 1)
  assert.deepEqual([nodes[5]!.outcomes[0]!.code, decode(topicAnswer, nodes[5]!.outcomes[0]!.body).shards], [Code.ok, [9, 10, 11]])
  assert.ok(nodes[0]!.births.every((shard) => shard.masters.length === 3))
  assert.deepEqual(nodes[0]!.births.map((shard) => shard.shard), [9, 10, 11])
})

test('shards that could not be born with their topic are born once enough nodes are in sight', () => {
  const { nodes, network } = cluster(6, 0)
  nodes[1]!.create(1, 'early', 2)
  network.until(20_000, 'it is there', () => nodes[1]!.outcomes.length === 1)
  assert.deepEqual(nodes[0]!.registry.unborn, [9, 10])
  nodes[0]!.tend()
  network.run(100)
  assert.deepEqual(nodes[0]!.births, [])
  admitAll(nodes)
  network.until(20_000, 'all are admitted', () => nodes.every((node) => node.said.includes('admitted')))
  network.run(1000)
  nodes[0]!.tend()
  network.until(1000, 'both are born', () => nodes[2]!.births.length === 2)
  assert.ok(nodes[2]!.births.every((shard) => shard.masters.length === 3))
})

test('a copy of the registry follows the original, entry by entry', () => {
  const { nodes, network } = cluster(7, 2)
  admitAll(nodes)
  network.until(20_000, 'all are admitted', () => nodes.every((node) => node.said.includes('admitted')))
  for (let k = 0; k < 50; k++) nodes[k % 5]!.create(k, `t${k}`, 1)
  const same = (): boolean => nodes.every((node) => node.registry.digest() === nodes[0]!.registry.digest() && node.registry.topics.length === 50)
  const took = network.until(20_000, 'all copies are the same', same)
  assert.ok(took < 2500, `${took} ms`)
  assert.equal(nodes[3]!.images + nodes[4]!.images, 0)
})

test('a copy that missed too much gets the whole state, and goes on from there', () => {
  const { log, nodes, network } = cluster(8, 1)
  for (let k = 0; k < 1500; k++) log.append(noise(k))
  network.run(20)
  const late = log.add()
  late.start()
  network.until(10_000, 'it has caught up', () => late.registry.digest() === nodes[0]!.registry.digest())
  assert.equal(late.images, 1)
  log.append(noise(1))
  network.until(1000, 'it goes on', () => late.registry.applied === log.entries.length)
  assert.equal(late.images, 1)
})

test('a follower survives lost messages, dead masters, and masters that lag', () => {
  for (let seed = 1; seed <= 10; seed++) {
    const { log, nodes, network } = cluster(seed, 1)
    network.loss = 0.3
    network.duplicate = 0.2
    network.delayMs = [1, 200]
    const follower = nodes[3]!
    for (let k = 0; k < 100; k++) network.after(network.random.below(20_000), () => log.append(noise(k)))
    network.after(5000, () => network.remove(nodes[1]!.address))
    network.run(21_000)
    network.until(30_000, 'it has everything', () => follower.registry.applied === 101)
    assert.equal(follower.registry.digest(), nodes[0]!.registry.digest())
  }
})

/** An entry of the masters themselves. */
function noise(k: number): Uint8Array {
  const bytes = new Uint8Array(17)
  bytes[0] = 0x41
  bytes[16] = k
  return bytes
}

test('a follower that nobody has answered yet asks again soon, and ever less often; an answer makes it patient', () => {
  const asked: NodeId[] = []
  const out: FollowerOutbox = { send: (to) => void asked.push(to), entries: () => {}, image: () => {} }
  const follower = new RegistryFollower({ random: new Random(1) })
  const at = (monotonic: number): Now => ({ monotonic, wall: 0 }) as Now
  follower.receive(at(0), { kind: 'start', applied: 0 as LogIndex }, out)
  follower.receive(at(0), { kind: 'masters', masters: [idOf(1), idOf(2)] }, out)
  const waits: number[] = []
  for (let time = 0; waits.length < 7; time = follower.wakeAt) {
    if (time > 0) follower.wake(at(time), out)
    waits.push(follower.wakeAt - time)
  }
  assert.deepEqual(waits, [50, 100, 200, 400, 800, 1000, 1000])
  const time = follower.wakeAt
  follower.receive(at(time), { kind: 'message', from: asked.at(-1)!, message: { kind: 'registryFeed', applied: 0 as LogIndex, first: 0 as LogIndex, entries: [] } }, out)
  assert.equal(follower.wakeAt, time + 5000)
})
