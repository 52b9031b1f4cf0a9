import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Now } from '@horus/core/actor'
import type { Member, ShardHint, SyncMessage } from '@horus/core/message/gossip'
import { DATAGRAM_BYTES_MAX } from '@horus/core/message/gossip'
import { Discovery } from '@horus/core/node/discovery'
import { Gate } from '@horus/core/node/gate'
import { Membership, type MembershipInput, type MembershipOutbox } from '@horus/core/node/membership/membership'
import type { MembershipSettings } from '@horus/core/node/membership/settings'
import { Random } from '@horus/core/random'
import type { Address, ClusterId, Epoch, Instant, NodeId, ShardId, Term } from '@horus/core/units'
import { CLUSTER, addressOf, idOf } from '../names.ts'
import { type Host, Network } from './network.ts'

interface Options { readonly cluster?: string; readonly clusterId?: ClusterId; readonly boot?: number; readonly address?: Address; readonly range?: number; readonly settings?: Partial<MembershipSettings> }

/** Gate, discovery and membership of one node. */
class Node implements Host, MembershipOutbox {
  readonly address: Address
  readonly node: NodeId
  readonly gate: Gate
  readonly membership: Membership
  readonly discovery: Discovery
  readonly network: Network
  scans = true
  readonly twins: Address[] = []
  readonly foreign: string[] = []
  readonly history: string[] = []

  constructor(network: Network, i: number, options: Options = {}) {
    const random = network.random.fork()
    const run = random.u32()
    this.network = network
    this.address = options.address ?? addressOf(i)
    this.node = idOf(i)
    this.gate = new Gate({ cluster: options.cluster ?? 'test', node: this.node, run })
    const clusterId = options.clusterId ?? CLUSTER
    this.gate.adopt(clusterId)
    const self = { node: this.node, address: this.address, boot: options.boot ?? 1, value: i * 10, zone: '', version: '0.1.0', eligible: true, expect: 0, clusterId }
    this.membership = new Membership({ self, run, random: random.fork(), ...(options.settings && { settings: options.settings }) })
    const candidates = Array.from({ length: options.range ?? 8 }, (_, k) => addressOf(k))
    this.discovery = new Discovery({ self: this.address, candidates, seeds: [], enough: 2, random: random.fork() })
    network.add(this)
    this.give({ kind: 'start' })
    this.discovery.receive(network.now, { kind: 'start' }, this.discoveryOutbox)
  }

  readonly discoveryOutbox = { probe: (to: Address): void => (this.scans ? this.give({ kind: 'probe', to }) : undefined), scanned: (): void => {} }

  give(input: MembershipInput): void {
    this.membership.receive(this.network.now, input, this)
  }

  get wakeAt(): Instant {
    return Math.min(this.membership.wakeAt, this.discovery.wakeAt) as Instant
  }

  wake(now: Now): void {
    if (this.membership.wakeAt <= now.monotonic) this.membership.wake(now, this)
    if (this.discovery.wakeAt <= now.monotonic) this.discovery.wake(now, this.discoveryOutbox)
  }

  datagram(now: Now, from: Address, bytes: Uint8Array): void
  datagram(to: Address, message: Parameters<MembershipOutbox['datagram']>[1]): void
  datagram(first: Now | Address, second: unknown, bytes?: Uint8Array): void {
    if (typeof first === 'string') return this.network.send(this.address, first, this.gate.seal(second as Parameters<MembershipOutbox['datagram']>[1]))
    const opened = this.gate.open(second as Address, bytes!, { foreign: (text) => this.foreign.push(text) })
    if (opened) this.membership.receive(first, { kind: 'datagram', ...opened }, this)
  }

  link(_now: Now, from: Address, message: unknown): void {
    const sender = [...this.network.hosts.values()].find((host) => host.address === from)
    if (sender instanceof Node) this.give({ kind: 'sync', from: sender.node, message: message as SyncMessage })
  }

  sync(to: NodeId, message: SyncMessage): void {
    const member = this.membership.member(to)
    if (member) this.network.link(this.address, member.address, message)
  }

  changed(member: Member): void {
    this.history.push(`${member.node.slice(-2)} ${member.state}`)
    this.discovery.receive(this.network.now, { kind: member.state === 'alive' ? 'known' : 'unknown', address: member.address }, this.discoveryOutbox)
  }

  hinted(_hint: ShardHint): void {}

  twin(at: Address): void {
    this.twins.push(at)
    this.network.remove(this.address)
  }

  sees(state: Member['state']): number {
    return this.membership.members.filter((member) => member.state === state).length
  }
}

function cluster(seed: number, count: number, options: Options = {}): { network: Network; nodes: Node[] } {
  const network = new Network(seed)
  const nodes = Array.from({ length: count }, (_, i) => new Node(network, i, options))
  network.until(10_000, 'all see all', () => nodes.every((node) => node.sees('alive') === count))
  return { network, nodes }
}

test('nodes that scan the same range all see each other, and no datagram is too long', () => {
  for (let seed = 1; seed <= 5; seed++) {
    const { network } = cluster(seed, 8)
    assert.ok(network.longest <= DATAGRAM_BYTES_MAX)
  }
})

test('forty nodes see each other even where each scans only a few addresses', () => {
  const network = new Network(7)
  const nodes = Array.from({ length: 40 }, (_, i) => new Node(network, i, { range: 3 }))
  network.until(15_000, 'all see all', () => nodes.every((node) => node.sees('alive') === 40))
  assert.ok(network.longest <= DATAGRAM_BYTES_MAX)
})

test('a crash is noticed by everyone within seconds, and nobody else is blamed', () => {
  for (let seed = 1; seed <= 5; seed++) {
    const { network, nodes } = cluster(seed, 6)
    network.remove(nodes[3]!.address)
    const others = nodes.filter((_, i) => i !== 3)
    const took = network.until(20_000, 'the crash is noticed', () => others.every((node) => node.sees('dead') === 1))
    assert.ok(took >= 500, 'a suspicion gives time to refute')
    for (const node of others) assert.equal(node.sees('alive'), 5)
  }
})

test('a tenth of all datagrams lost kills nobody', () => {
  for (let seed = 1; seed <= 4; seed++) {
    const { network, nodes } = cluster(seed, 6)
    network.loss = 0.1
    network.duplicate = 0.05
    network.run(60_000)
    for (const node of nodes) assert.equal(node.history.some((line) => line.endsWith('dead')), false, `seed ${seed}: ${node.history.join(', ')}`)
  }
})

test('a false suspicion is refuted by a higher incarnation', () => {
  const { network, nodes } = cluster(3, 5)
  const victim = nodes[2]!
  const before = nodes[0]!.membership.member(victim.node)!
  nodes[0]!.give({ kind: 'sync', from: nodes[1]!.node, message: { kind: 'syncAnswer', wanted: { members: [], hints: [] }, updates: [{ member: { ...before, state: 'suspect' }, by: nodes[1]!.node }], hints: [] } })
  assert.equal(nodes[0]!.membership.member(victim.node)!.state, 'suspect')
  network.until(2000, 'it is refuted everywhere', () => nodes.every((node) => node.membership.member(victim.node)!.incarnation > before.incarnation && node.sees('alive') === 5))
})

test('a process that stood still blames nobody for it when it goes on', () => {
  const { network, nodes } = cluster(4, 5)
  const sleeper = nodes[1]!
  network.pause(sleeper.address)
  network.until(20_000, 'the others give it up', () => nodes[0]!.sees('dead') === 1)
  network.resume(sleeper.address)
  network.until(20_000, 'it is back', () => nodes.every((node) => node.sees('alive') === 5))
  assert.equal(sleeper.history.some((line) => line.endsWith('dead')), false, sleeper.history.join(', '))
})

test('the halves of a healed partition find each other again, also without discovery', () => {
  for (let seed = 1; seed <= 3; seed++) {
    const { network, nodes } = cluster(seed, 6)
    network.groups = [nodes.slice(0, 3).map((node) => node.address), nodes.slice(3).map((node) => node.address)]
    network.until(40_000, 'the halves give each other up', () => nodes.every((node) => node.sees('alive') === 3 && node.sees('dead') === 3))
    for (const node of nodes) node.scans = false
    network.groups = []
    network.until(30_000, 'all are one again', () => nodes.every((node) => node.sees('alive') === 6))
  }
})

test('a node that restarts under its old identity replaces what was known of it', () => {
  const { network, nodes } = cluster(5, 5)
  network.remove(nodes[4]!.address)
  network.until(20_000, 'its death is known', () => nodes.slice(0, 4).every((node) => node.sees('dead') === 1))
  const again = new Node(network, 4, { boot: 2, address: '10.0.0.77:6470' as Address })
  network.until(10_000, 'it is back at another address', () => nodes.slice(0, 4).every((node) => node.membership.member(again.node)?.address === again.address && node.sees('alive') === 5))
})

test('a node that leaves is not suspected first', () => {
  const { network, nodes } = cluster(6, 5)
  nodes[0]!.give({ kind: 'leave' })
  network.after(50, () => network.remove(nodes[0]!.address))
  network.until(5000, 'everyone knows', () => nodes.slice(1).every((node) => node.sees('left') === 1))
  assert.equal(nodes[1]!.history.includes('01 suspect'), false)
})

test('twins find out about each other and both stop', () => {
  for (let seed = 1; seed <= 5; seed++) {
    const { network, nodes } = cluster(seed, 4)
    const twin = new Node(network, 2, { boot: seed % 2 === 0 ? 1 : 2, address: addressOf(6) })
    network.until(30_000, 'both know', () => twin.twins.length > 0 && nodes[2]!.twins.length > 0)
  }
})

test('a quick restart at the same address is no twin', () => {
  for (let seed = 1; seed <= 5; seed++) {
    const { network, nodes } = cluster(seed, 4)
    network.remove(nodes[2]!.address)
    const again = new Node(network, 2, { boot: 2 })
    network.run(20_000)
    assert.deepEqual(again.twins, [])
    assert.ok(nodes.filter((_, i) => i !== 2).every((node) => node.sees('alive') === 4))
  }
})

test('nodes of another cluster or another name are ignored, and reported once', () => {
  const network = new Network(8)
  const ours = [0, 1, 2].map((i) => new Node(network, i))
  const others = [3, 4].map((i) => new Node(network, i, { clusterId: 'd'.repeat(32) as ClusterId }))
  const strangers = [5].map((i) => new Node(network, i, { cluster: 'other' }))
  network.run(20_000)
  for (const node of ours) {
    assert.equal(node.membership.members.length, 3)
    assert.equal(node.foreign.length, 2)
  }
  for (const node of others) assert.equal(node.membership.members.length, 2)
  for (const node of strangers) assert.equal(node.membership.members.length, 1)
})

test('of two hints the one of the higher term reaches everyone', () => {
  const { network, nodes } = cluster(9, 6)
  const hint = (epoch: number, term: number, leader: number): ShardHint => ({ shard: 3 as ShardId, epoch: epoch as Epoch, term: term as Term, leader: idOf(leader), masters: [idOf(0), idOf(1), idOf(2)] })
  nodes[1]!.give({ kind: 'hint', hint: hint(2, 4, 1) })
  nodes[2]!.give({ kind: 'hint', hint: hint(1, 9, 2) })
  network.until(5000, 'the hint is everywhere', () => nodes.every((node) => node.membership.hint(3 as ShardId)?.leader === idOf(2)))
})

test('a change of one’s own record reaches everyone', () => {
  const { network, nodes } = cluster(10, 6)
  nodes[5]!.give({ kind: 'self', changes: { value: 4242 } })
  network.until(5000, 'the value is everywhere', () => nodes.every((node) => node.membership.member(idOf(5))?.value === 4242))
})

test('a closed link makes the next probe go there at once', () => {
  const { network, nodes } = cluster(11, 5)
  network.run(5000)
  network.remove(nodes[4]!.address)
  for (const node of nodes.slice(0, 4)) node.give({ kind: 'doubt', node: idOf(4) })
  const took = network.until(5000, 'it is suspected', () => nodes.slice(0, 4).some((node) => node.sees('suspect') === 1))
  assert.ok(took <= 1100, `${took} ms`)
})

test('a quiet cluster says little: about two datagrams a probe interval and node', () => {
  const { network } = cluster(12, 6)
  network.run(20_000)
  const before = network.sent
  network.run(10_000)
  // 6 nodes x 20 probes x (ping + pong) and the slow discovery of two empty addresses.
  assert.ok(network.sent - before < 6 * 20 * 2 + 6 * 30, `${network.sent - before} datagrams`)
})

test('a new identity at an old address takes its place, and the old one dies', () => {
  const { network, nodes } = cluster(14, 5)
  network.remove(nodes[4]!.address)
  const wiped = new Node(network, 5, { address: addressOf(4) })
  network.until(20_000, 'the new one lives, the old one is dead', () => [...nodes.slice(0, 4), wiped].every((node) => node.sees('alive') === 5) && nodes.slice(0, 4).every((node) => node.membership.member(idOf(4))?.state === 'dead'))
})

test('whatever crashes, pauses, restarts and parts, in the end everybody sees who is there', () => {
  for (let seed = 1; seed <= 5; seed++) {
    const { network, nodes } = cluster(seed, 7)
    const random = new Random(seed, 3)
    const boots = nodes.map(() => 1)
    network.loss = random.pick([0, 0.1, 0.3])
    network.delayMs = random.pick([[1, 10], [1, 200]])
    for (let k = 0; k < 25; k++) {
      const i = random.below(nodes.length)
      const act = random.below(4)
      if (act === 0) network.remove(nodes[i]!.address)
      else if (act === 1 && !network.hosts.has(nodes[i]!.address)) nodes[i] = new Node(network, i, { boot: ++boots[i]! })
      else if (act === 2) {
        network.pause(nodes[i]!.address)
        network.after(random.below(6000), () => network.resume(nodes[i]!.address))
      } else network.groups = random.chance(0.5) ? [] : [nodes.filter((_, n) => n % 2 === 0).map((node) => node.address), nodes.filter((_, n) => n % 2 === 1).map((node) => node.address)]
      network.run(random.below(8000))
    }
    network.groups = []
    network.loss = 0
    const here = nodes.filter((node) => network.hosts.get(node.address) === node)
    const there = here.map((node) => node.node).sort().join()
    network.until(90_000, `seed ${seed}: all see who is there`, () => here.every((node) => node.membership.members.filter((member) => member.state === 'alive').map((member) => member.node).sort().join() === there))
    assert.ok(here.every((node) => node.twins.length === 0))
  }
})

test('a copy of a membership goes on as the original would', () => {
  const { network, nodes } = cluster(13, 4)
  network.loss = 0.2
  network.run(3000)
  const original = nodes[0]!.membership
  const copy = original.clone()
  assert.equal(copy.digest(), original.digest())
  const at = { ...network.now, monotonic: (original.wakeAt + 1) as Instant }
  const said: unknown[][] = [[], []]
  for (const [i, one] of [original, copy].entries()) one.wake(at, { datagram: (...args) => said[i]!.push(args), sync: (...args) => said[i]!.push(args), changed: () => {}, hinted: () => {}, twin: () => {} })
  assert.deepEqual(said[0], said[1])
  assert.equal(copy.digest(), original.digest())
})
