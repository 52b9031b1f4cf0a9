import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Now } from '@horus/core/actor'
import type { Decision, FoundingMessage, GossipMessage, Member } from '@horus/core/message/gossip'
import { gossipTable } from '@horus/core/message/gossip'
import { Founding, type FoundingInput, type FoundingOutbox } from '@horus/core/node/founding'
import type { IdentityChanges } from '@horus/core/node/identity'
import type { IdentityState } from '@horus/core/node/identity-file'
import { Random } from '@horus/core/random'
import type { Address, ClusterId, Instant, NodeId } from '@horus/core/units'
import { addressOf, idOf } from '../names.ts'
import { type Host, Network } from './network.ts'

interface Options { readonly expect: number; readonly values?: readonly number[]; readonly ineligible?: readonly number[]; readonly alone?: boolean }

/** One node's founding over a disk that answers late, and a sight of the others that comes late too. */
class Node implements Host, FoundingOutbox {
  readonly i: number
  readonly address: Address
  readonly node: NodeId
  readonly network: Network
  readonly town: Town
  readonly options: Options
  /** What survives a crash. */
  durable: IdentityState
  state: IdentityState
  founding!: Founding
  decision: Decision | undefined
  said: string[] = []
  joins = false
  up = false
  #life = 0
  #diskFreeAt = 0

  constructor(town: Town, i: number, options: Options) {
    this.town = town
    this.network = town.network
    this.i = i
    this.address = addressOf(i)
    this.node = idOf(i)
    this.options = options
    const founding = { promised: undefined, accepted: undefined, expect: 0, ended: false, decided: undefined }
    this.durable = { sequence: 1, nodeId: this.node, value: options.values?.[i] ?? 100 + i, boot: 1, cluster: 'test', clusterId: undefined, generation: 1, bornBefore: 0, founding, recovery: undefined, former: undefined }
    this.state = this.durable
  }

  start(): void {
    this.#life++
    this.up = true
    this.joins = false
    this.state = this.durable = { ...this.durable, boot: this.durable.boot + 1 }
    const { expect, ineligible, alone } = this.options
    this.founding = new Founding({ node: this.node, address: this.address, eligible: !ineligible?.includes(this.i), expect, alone: alone ?? false, random: this.network.random.fork() })
    this.network.add(this)
    this.give({ kind: 'start', identity: this.durable })
    this.network.after(100, this.#inThisLife(() => this.give({ kind: 'scanned' })))
    this.town.tell(this)
  }

  crash(): void {
    if (!this.up) return
    this.up = false
    this.#life++
    this.network.remove(this.address)
    this.town.tell(this)
  }

  #inThisLife(run: () => void): () => void {
    const life = this.#life
    return () => {
      if (life === this.#life) run()
    }
  }

  record(): Member {
    return {
      node: this.node, address: this.address, incarnation: this.state.boot * 1000, boot: this.state.boot, state: this.up ? 'alive' : 'dead', value: this.state.value, zone: '', version: '0',
      eligible: true, expect: this.founding.expect, clusterId: this.durable.clusterId,
    }
  }

  give(input: FoundingInput): void {
    this.founding.receive(this.network.now, input, this)
  }

  get wakeAt(): Instant {
    return this.founding.wakeAt
  }

  wake(now: Now): void {
    this.founding.wake(now, this)
  }

  link(): void {}

  datagram(now: Now, from: Address, bytes: Uint8Array): void
  datagram(to: Address, message: FoundingMessage): void
  datagram(first: Now | Address, second: unknown, bytes?: Uint8Array): void {
    if (typeof first === 'string') return this.network.send(this.address, first, gossipTable.encode(second as GossipMessage))
    const from = second as Address
    const sender = this.town.nodes.find((node) => node.address === from)!
    this.give({ kind: 'datagram', sender: { node: sender.node, address: from, run: 0, clusterId: sender.durable.clusterId }, message: gossipTable.decode(bytes!) as FoundingMessage })
  }

  save(ticket: number, changes: IdentityChanges): void {
    this.state = { ...this.state, ...changes }
    const { state } = this
    this.#diskFreeAt = Math.max(this.#diskFreeAt, this.network.time + this.town.diskMs)
    this.network.after(this.#diskFreeAt - this.network.time, this.#inThisLife(() => {
      this.durable = state
      this.town.watch(this)
      this.give({ kind: 'saved', ticket })
    }))
  }

  decided(decision: Decision): void {
    this.decision = decision
    this.town.decisions.add(JSON.stringify(decision))
    this.town.tell(this)
  }

  ended(): void {
    this.joins = true
    this.town.tell(this)
  }

  redrawn(): void {
    this.town.tell(this)
  }

  log(_level: string, text: string): void {
    this.said.push(text)
  }
}

class Town {
  readonly network: Network
  readonly nodes: Node[]
  readonly decisions = new Set<string>()
  diskMs = 3

  constructor(seed: number, count: number, options: Options | ((i: number) => Options)) {
    this.network = new Network(seed)
    this.nodes = Array.from({ length: count }, (_, i) => new Node(this, i, typeof options === 'function' ? options(i) : options))
  }

  start(): this {
    for (const node of this.nodes) node.start()
    return this
  }

  /** A decision is made when a quorum has durably accepted one ballot, whether or not anybody has noticed. */
  watch(node: Node): void {
    const { accepted } = node.durable.founding
    if (!accepted) return
    const ballot = JSON.stringify(accepted.ballot)
    const nodes = this.#acceptances.get(ballot) ?? new Set()
    this.#acceptances.set(ballot, nodes.add(node.node))
    if (nodes.size >= node.options.expect) this.decisions.add(JSON.stringify(accepted.decision))
  }

  readonly #acceptances = new Map<string, Set<NodeId>>()

  /** Membership's work: everyone hears of a change sooner or later, and a newcomer of all. */
  tell(changed: Node): void {
    for (const other of this.nodes) {
      if (other === changed) continue
      this.network.after(this.network.random.between(1, 60), () => other.up && other.give({ kind: 'member', member: changed.record() }))
      if (changed.up && other.up) this.network.after(this.network.random.between(1, 60), () => changed.up && changed.give({ kind: 'member', member: other.record() }))
    }
  }

  get allFounded(): boolean {
    return this.nodes.every((node) => node.durable.clusterId !== undefined)
  }

  settle(limitMs = 30_000): Decision {
    this.network.until(limitMs, 'all nodes belong to the cluster', () => this.allFounded)
    assert.equal(this.decisions.size, 1)
    assert.equal(new Set(this.nodes.map((node) => node.durable.clusterId)).size, 1)
    return JSON.parse([...this.decisions][0]!) as Decision
  }
}

test('three fresh nodes found one cluster, whose masters are they', () => {
  for (let seed = 1; seed <= 30; seed++) {
    const decision = new Town(seed, 3, { expect: 3 }).start().settle(5000)
    assert.deepEqual(new Set(decision.masters.map((master) => master.node)), new Set([idOf(0), idOf(1), idOf(2)]))
  }
})

test('the first masters are the highest values of those in sight that may be master', () => {
  const decision = new Town(4, 5, { expect: 3, values: [50, 10, 40, 30, 20], ineligible: [2] }).start().settle(5000)
  assert.deepEqual(decision.masters.map((master) => master.node), [idOf(0), idOf(3), idOf(4)])
})

test('a node with neither range nor seeds founds alone, at once', () => {
  const town = new Town(1, 1, { expect: 1, alone: true }).start()
  const took = town.network.until(1000, 'founded', () => town.allFounded)
  assert.ok(took < 50, `${took} ms`)
  assert.deepEqual(town.nodes[0]!.decision?.masters, [{ node: idOf(0), address: addressOf(0) }])
})

test('two of three nodes never found', () => {
  const town = new Town(2, 2, { expect: 3 }).start()
  town.network.run(20_000)
  assert.equal(town.decisions.size, 0)
})

test('with twice as many fresh nodes as expected nobody founds, and all say so', () => {
  const town = new Town(3, 6, { expect: 3 })
  // All are heard of before anybody may propose.
  town.start()
  town.network.run(20_000)
  assert.equal(town.decisions.size, 0)
  for (const node of town.nodes) assert.match(node.said.join(), /nobody founds/)
})

test('a node that expects another number is refused, not counted', () => {
  const town = new Town(5, 3, (i) => ({ expect: i === 2 ? 2 : 3 })).start()
  town.network.run(20_000)
  assert.equal(town.decisions.size, 0)
  assert.match(town.nodes[0]!.said.join(), /same number/)
})

test('nodes that only join are not counted and learn of the cluster by admission alone', () => {
  const town = new Town(6, 6, (i) => ({ expect: i < 3 ? 3 : 0 })).start()
  town.network.run(10_000)
  assert.equal(town.decisions.size, 1)
  for (const node of town.nodes) {
    assert.equal(node.durable.clusterId !== undefined, node.i < 3)
    assert.equal(node.joins, node.i >= 3)
  }
})

test('a late fresh node meets a founded one, loses the right to found, and learns what was decided', () => {
  const town = new Town(7, 4, { expect: 3 })
  for (const node of town.nodes.slice(0, 3)) node.start()
  town.network.until(5000, 'three have founded', () => town.nodes.slice(0, 3).every((node) => node.decision))
  town.network.run(60_000)
  const late = town.nodes[3]!
  late.start()
  town.network.until(5000, 'it has learned', () => late.decision !== undefined)
  assert.equal(late.durable.founding.ended, true)
  assert.equal(town.decisions.size, 1)
})

test('the right to found stays lost over a restart', () => {
  const town = new Town(8, 4, { expect: 3 })
  const [late, ...founders] = [town.nodes[3]!, ...town.nodes.slice(0, 3)]
  for (const node of founders) node.start()
  town.network.until(5000, 'three have founded', () => founders.every((node) => node.decision))
  late.start()
  town.network.until(1000, 'its right has ended', () => late.durable.founding.ended)
  late.crash()
  for (const node of founders) node.crash()
  late.start()
  assert.equal(late.founding.expect, 0)
  assert.equal(late.joins, true)
})

test('equal values are drawn again before anything is proposed', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const town = new Town(seed, 3, { expect: 3, values: [7, 7, 7] }).start()
    town.settle(20_000)
    assert.equal(new Set(town.nodes.map((node) => node.durable.value)).size, 3)
    assert.equal(town.nodes[2]!.durable.value, 7, 'the highest node keeps it')
  }
})

test('a promise that was given is kept over a restart', () => {
  const town = new Town(9, 3, { expect: 3 })
  town.diskMs = 0
  const node = town.nodes[0]!
  node.start()
  const other = { node: idOf(1), address: addressOf(1), run: 0, clusterId: undefined }
  const high = { round: 9, value: 1, node: idOf(1) }
  node.give({ kind: 'datagram', sender: other, message: { kind: 'prepare', ballot: high, expect: 3 } })
  town.network.run(1)
  node.crash()
  node.start()
  const answers: FoundingMessage[] = []
  node.founding.receive(town.network.now, { kind: 'datagram', sender: other, message: { kind: 'prepare', ballot: { ...high, round: 8 }, expect: 3 } }, { datagram: (_to, message) => answers.push(message), save: () => assert.fail('nothing is promised'), decided: () => {}, ended: () => {}, redrawn: () => {}, log: () => {} })
  assert.equal(answers[0]?.kind, 'refused')
})

test('nothing is promised or accepted before it is durable', () => {
  const town = new Town(10, 3, { expect: 3 })
  town.diskMs = 1_000_000
  const node = town.nodes[0]!
  node.start()
  const other = { node: idOf(1), address: addressOf(1), run: 0, clusterId: undefined }
  const ballot = { round: 1, value: 1, node: idOf(1) }
  node.give({ kind: 'datagram', sender: other, message: { kind: 'prepare', ballot, expect: 3 } })
  node.give({ kind: 'datagram', sender: other, message: { kind: 'prepare', ballot, expect: 3 } })
  node.give({ kind: 'datagram', sender: other, message: { kind: 'accept', ballot, expect: 3, decision: { clusterId: 'a'.repeat(32) as ClusterId, masters: [] } } })
  town.network.run(1000)
  assert.equal(town.network.sent, 0)
})

test('nobody hears of a ballot before its proposer has promised it durably, so none is ever used twice', () => {
  const town = new Town(11, 3, { expect: 3 })
  town.diskMs = 1_000_000
  town.start()
  town.network.run(5000)
  assert.equal(town.network.sent, 0)
})

test('crashes, restarts, loss and duelling proposers never make two decisions, and when it is quiet there is one', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = new Random(seed, 77)
    const count = random.between(3, 5)
    const town = new Town(seed, count, { expect: 3, ...(random.chance(0.3) && { values: [5, 5, 6, 6, 5] }) }).start()
    const span = random.pick([1500, 15_000])
    town.network.loss = random.pick([0, 0.1, 0.4])
    town.network.duplicate = 0.1
    town.network.delayMs = random.pick([[1, 10], [1, 300], [50, 900]])
    town.diskMs = random.pick([0, 5, 200])
    const crashes = random.between(0, 25)
    for (let k = 0; k < crashes; k++) {
      const node = random.pick(town.nodes)
      town.network.after(random.below(span), () => (node.up ? node.crash() : node.start()))
      town.network.after(random.below(span), () => (node.up ? undefined : node.start()))
    }
    town.network.run(15_000)
    town.network.loss = 0
    town.network.delayMs = [1, 10]
    town.diskMs = 5
    for (const node of town.nodes) if (!node.up) node.start()
    for (const node of town.nodes) town.tell(node)
    town.settle(60_000)
  }
})

test('a copy of a founding goes on as the original would', () => {
  const town = new Town(12, 3, { expect: 3 }).start()
  town.network.run(150)
  const original = town.nodes[2]!.founding
  const copy = original.clone()
  const said: unknown[][] = [[], []]
  for (const [k, one] of [original, copy].entries()) {
    const outbox = { datagram: (...args: unknown[]) => said[k]!.push(args), save: (...args: unknown[]) => said[k]!.push(args), decided: () => {}, ended: () => {}, redrawn: () => {}, log: () => {} }
    one.wake({ ...town.network.now, monotonic: 5000 as Instant }, outbox)
  }
  assert.deepEqual(said[0], said[1])
  assert.ok(said[0]!.length > 0)
  assert.equal(copy.digest(), original.digest())
})
