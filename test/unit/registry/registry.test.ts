import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Code, logTable, stampEntry } from '@horus/core/message/command'
import { decode, encode, MalformedMessage } from '@horus/core/message/layout'
import { topicSettings } from '@horus/core/message/posts'
import { admitted, type NodeRecord, RegistryCode, type RegistryEntry, registryLogTable, topicAnswer } from '@horus/core/message/registry'
import { Random } from '@horus/core/random'
import { WISHES_PER_NODE_MAX } from '@horus/core/registry/image'
import { Registry, type RegistryEffects, type ShardRecord } from '@horus/core/registry/registry'
import type { Address, ClusterId, LeaseTime, LogIndex, NodeId, ShardId, WallTime } from '@horus/core/units'
import { CLUSTER, idOf } from '../names.ts'

const stamps = { leaseNow: 0 as LeaseTime, wallNow: 0 as WallTime }
const NONE = new Uint8Array(0)
const deadLetter = (topic: string | undefined): Uint8Array => encode(topicSettings, { deadLetter: topic })
const record = (i: number, changes: Partial<NodeRecord> = {}): NodeRecord => ({ node: idOf(i), address: `10.0.0.${i}:1` as Address, value: i, zone: '', version: '1', eligible: true, ...changes })

interface Answer { readonly origin: NodeId; readonly request: number; readonly code: number; readonly body: Uint8Array }

/** A registry with its log: what it answered and what it bore. */
class Log implements RegistryEffects {
  registry = new Registry()
  readonly entries: Uint8Array[] = []
  readonly answers: Answer[] = []
  readonly births: ShardRecord[] = []
  readonly told: string[] = []
  #request = 0

  append(entry: RegistryEntry): Answer {
    this.appendBytes(registryLogTable.encode(entry))
    return this.answers.at(-1)!
  }

  appendBytes(bytes: Uint8Array): void {
    stampEntry(bytes, 5 as LeaseTime, 7 as WallTime)
    this.entries.push(bytes)
    this.registry.apply(this.entries.length as LogIndex, bytes, this)
  }

  found(): this {
    this.append({ kind: 'founded', ...stamps, clusterId: CLUSTER, generation: 1, masters: [{ node: idOf(0), address: '10.0.0.0:1' as Address }] })
    return this
  }

  get asked(): { leaseNow: LeaseTime; wallNow: WallTime; origin: NodeId; request: number } {
    return { ...stamps, origin: idOf(9), request: ++this.#request }
  }

  admit(node: NodeRecord): Answer {
    return this.append({ kind: 'admit', ...this.asked, record: node })
  }

  create(topic: string, partitions: number, births: readonly { shard: number; masters: readonly NodeId[] }[] = []): readonly number[] {
    const { code, body } = this.append({ kind: 'createTopic', ...this.asked, topic, partitions, settings: NONE, births: births.map((birth) => ({ shard: birth.shard as ShardId, masters: birth.masters })) })
    assert.equal(code, Code.ok)
    return decode(topicAnswer, body).shards
  }

  answer(origin: NodeId, request: number, code: number, body: Uint8Array): void {
    this.answers.push({ origin, request, code, body })
  }

  admitted(node: NodeRecord): void {
    this.told.push(`admitted ${node.value}`)
  }

  forgotten(node: NodeId): void {
    this.told.push(`forgotten ${node.slice(-1)}`)
  }

  born(shard: ShardRecord): void {
    this.births.push(shard)
  }

  topic(topic: { topic: string }): void {
    this.told.push(`topic ${topic.topic}`)
  }
}

test('nobody is admitted before the registry knows its cluster; then the answer names it', () => {
  const log = new Log()
  assert.equal(log.admit(record(1)).code, RegistryCode.notFounded)
  const answer = log.found().admit(record(1))
  assert.equal(answer.origin, idOf(9))
  assert.deepEqual(decode(admitted, answer.body), { clusterId: CLUSTER, generation: 1 })
})

test('the first founding counts', () => {
  const log = new Log().found()
  log.append({ kind: 'founded', ...stamps, clusterId: 'd'.repeat(32) as ClusterId, generation: 4, masters: [] })
  assert.equal(log.registry.clusterId, CLUSTER)
  assert.equal(log.registry.generation, 1)
})

test('a newcomer with another node’s value is told of the tie; a known node is updated', () => {
  const log = new Log().found()
  log.admit(record(1, { value: 50 }))
  assert.equal(log.admit(record(2, { value: 50 })).code, RegistryCode.tie)
  assert.equal(log.registry.nodes.length, 1)
  assert.equal(log.admit(record(1, { value: 50, address: '10.9.9.9:1' as Address })).code, Code.ok)
  assert.equal(log.registry.node(idOf(1))?.address, '10.9.9.9:1')
  assert.equal(log.admit(record(2, { value: 51 })).code, Code.ok)
})

test('a forgotten node is gone, and its value is free', () => {
  const log = new Log().found()
  log.admit(record(1))
  log.append({ kind: 'forget', ...log.asked, node: idOf(1), force: false })
  assert.equal(log.registry.node(idOf(1)), undefined)
  assert.equal(log.admit(record(2, { value: 1 })).code, Code.ok)
  assert.deepEqual(log.told, ['admitted 1', 'forgotten 2', 'admitted 1'])
})

test('a forgotten node is not let in again, and forgetting it twice is no mistake; one that was never here is none to forget', () => {
  const log = new Log().found()
  log.admit(record(1))
  const forget = (i: number): number => log.append({ kind: 'forget', ...log.asked, node: idOf(i), force: false }).code
  assert.deepEqual([forget(1), forget(1), forget(2)], [Code.ok, Code.ok, Code.notFound])
  assert.equal(log.admit(record(1)).code, RegistryCode.struck)
  assert.deepEqual([log.registry.isStruck(idOf(1)), log.registry.isStruck(idOf(2)), log.registry.nodes.length], [true, false, 0])
})

test('a node drains until the contrary is said, through an admission anew and a snapshot, and no longer than it is known', () => {
  const log = new Log().found()
  let wish = 0
  const drain = (i: number, draining: boolean): number => log.append({ kind: 'drain', ...log.asked, node: idOf(i), draining, wish: ++wish }).code
  assert.equal(drain(1, true), Code.notFound)
  for (const i of [1, 2]) log.admit(record(i))
  assert.deepEqual([drain(1, true), drain(1, true), drain(2, true), drain(2, false)], [Code.ok, Code.ok, Code.ok, Code.ok])
  log.admit(record(1, { version: '2' }))
  const copy = Registry.restore(log.registry.snapshot())
  for (const registry of [log.registry, copy]) assert.deepEqual([1, 2].map((i) => registry.isDraining(idOf(i))), [true, false])
  log.append({ kind: 'forget', ...log.asked, node: idOf(1), force: false })
  assert.equal(log.registry.isDraining(idOf(1)), false)
})

test('a drain that is said again when it was taken back does nothing, whoever is asked and whatever was restored', () => {
  const log = new Log().found()
  log.admit(record(1))
  const drain = (draining: boolean, wish: number): number => log.append({ kind: 'drain', ...log.asked, node: idOf(1), draining, wish }).code
  assert.deepEqual([drain(true, 7), drain(false, 8), drain(true, 7)], [Code.ok, Code.ok, Code.ok])
  assert.equal(log.registry.isDraining(idOf(1)), false)
  log.registry = Registry.restore(log.registry.snapshot())
  drain(true, 7)
  assert.equal(log.registry.isDraining(idOf(1)), false)
  drain(true, 9)
  assert.equal(log.registry.isDraining(idOf(1)), true)
  // A bounded number is kept.
  for (let wish = 100; wish < 100 + WISHES_PER_NODE_MAX; wish++) drain(false, wish)
  drain(true, 9)
  assert.equal(log.registry.isDraining(idOf(1)), true)
})

test('topics of one partition share shards 1 to 8, the emptiest first, the lowest of equals', () => {
  const log = new Log().found()
  const shards = Array.from({ length: 17 }, (_, i) => log.create(`t${i}`, 1)[0])
  assert.deepEqual(shards, [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1])
})

test('each partition of a larger topic gets a shard of its own that nobody else gets', () => {
  const log = new Log().found()
  assert.deepEqual(log.create('a', 3), [9, 10, 11])
  assert.deepEqual(log.create('b', 1), [1])
  assert.deepEqual(log.create('c', 2), [12, 13])
})

test('no two topics number a partition alike', () => {
  const log = new Log().found()
  for (const [topic, partitions] of [['a', 3], ['b', 1], ['c', 2]] as const) log.create(topic, partitions)
  assert.deepEqual(log.registry.topics.map((topic) => topic.firstPartition), [1, 4, 5])
})

test('creating a topic again changes nothing and gives the same shards; with other partitions it is refused', () => {
  const log = new Log().found()
  const shards = log.create('a', 3)
  assert.deepEqual(log.create('a', 3), shards)
  const other = log.append({ kind: 'createTopic', ...log.asked, topic: 'a', partitions: 4, settings: new Uint8Array(0), births: [] })
  assert.equal(other.code, RegistryCode.differs)
  assert.deepEqual(decode(topicAnswer, other.body).shards, shards)
  assert.equal(log.append({ kind: 'createTopic', ...log.asked, topic: 'z', partitions: 0, settings: new Uint8Array(0), births: [] }).code, RegistryCode.malformed)
})

test('a shard is born once, by its topic’s entry or later, and a birth says at which index', () => {
  const log = new Log().found()
  const masters = [idOf(0), idOf(1), idOf(2)]
  assert.deepEqual(log.registry.birthsFor(2), [9, 10])
  log.create('a', 2, [{ shard: 9, masters }])
  assert.deepEqual(log.births.map((shard) => [shard.shard, shard.masters, shard.bornAt]), [[9, masters, 2]])
  assert.deepEqual(log.registry.unborn, [10])
  log.append({ kind: 'shardBorn', ...stamps, birth: { shard: 10 as ShardId, masters } })
  log.append({ kind: 'shardBorn', ...stamps, birth: { shard: 10 as ShardId, masters: [idOf(7)] } })
  log.append({ kind: 'shardBorn', ...stamps, birth: { shard: 44 as ShardId, masters } })
  assert.deepEqual(log.births.map((shard) => shard.shard), [9, 10])
  assert.deepEqual(log.registry.shard(10 as ShardId)?.masters, masters)
  assert.deepEqual(log.registry.unborn, [])
})

test('a birth that was foreseen for another shard than the one that comes is ignored', () => {
  const log = new Log().found()
  log.create('a', 1, [{ shard: 2, masters: [idOf(0)] }])
  assert.deepEqual(log.births, [])
  assert.deepEqual(log.registry.unborn, [1])
})

test('settings of a topic can change, its shards cannot', () => {
  const log = new Log().found()
  const shards = log.create('a', 2)
  log.create('d', 2)
  assert.equal(log.append({ kind: 'configureTopic', ...log.asked, topic: 'a', settings: deadLetter('d') }).code, Code.ok)
  assert.deepEqual(log.registry.topic('a'), { topic: 'a', firstPartition: 1, shards, settings: deadLetter('d'), configuredAt: 4 })
  assert.equal(log.append({ kind: 'configureTopic', ...log.asked, topic: 'b', settings: new Uint8Array(0) }).code, Code.notFound)
})

test('a topic that exists takes the settings it is made with again, and keeps those it has where none are given', () => {
  const log = new Log().found()
  log.create('dead', 2)
  log.create('a', 1)
  const make = (settings: Uint8Array): number => log.append({ kind: 'createTopic', ...log.asked, topic: 'a', partitions: 1, settings, births: [] }).code
  const places = (): unknown => log.registry.deadLettersOf(log.registry.topic('a')!)
  assert.deepEqual(places(), [])
  assert.equal(make(deadLetter('dead')), Code.ok)
  assert.deepEqual(places(), [{ partition: 1, shard: 9 }, { partition: 2, shard: 10 }])
  assert.equal(make(NONE), Code.ok)
  assert.equal((places() as unknown[]).length, 2)
  assert.equal(make(deadLetter(undefined)), Code.ok)
  assert.deepEqual(places(), [])
  assert.equal(log.registry.topic('a')!.configuredAt, 6)
})

test('a dead-letter topic exists and has none itself, whoever says so first', () => {
  const log = new Log().found()
  for (const topic of ['a', 'b', 'dead']) log.create(topic, 1)
  const set = (topic: string, to: string): number => log.append({ kind: 'configureTopic', ...log.asked, topic, settings: deadLetter(to) }).code
  assert.equal(set('a', 'nowhere'), RegistryCode.noDeadLetter)
  assert.equal(set('a', 'a'), RegistryCode.deadLetterChain)
  assert.equal(set('a', 'dead'), Code.ok)
  assert.equal(set('b', 'a'), RegistryCode.deadLetterChain)
  assert.equal(set('dead', 'b'), RegistryCode.deadLetterChain)
  assert.equal(set('b', 'dead'), Code.ok)
  const made = log.append({ kind: 'createTopic', ...log.asked, topic: 'new', partitions: 1, settings: deadLetter('new'), births: [] })
  assert.equal(made.code, RegistryCode.deadLetterChain)
  assert.equal(log.registry.topic('new'), undefined)
  assert.equal(log.append({ kind: 'configureTopic', ...log.asked, topic: 'a', settings: new Uint8Array([9]) }).code, RegistryCode.malformed)
})

test('entries of the masters themselves only move the index', () => {
  const log = new Log().found()
  const before = log.registry.nodes
  log.appendBytes(logTable.encode({ kind: 'noop', ...stamps }))
  assert.equal(log.registry.applied, 2)
  assert.deepEqual(log.registry.nodes, before)
})

test('a restored snapshot goes on exactly as the original does', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new Random(seed)
    const log = new Log().found()
    const act = (): void => {
      const i = random.below(12)
      const kind = random.below(6)
      if (kind === 0) log.admit(record(i, { value: random.below(15) }))
      else if (kind === 1) log.append({ kind: 'forget', ...log.asked, node: idOf(i), force: random.chance(0.5) })
      else if (kind === 2) log.append({ kind: 'createTopic', ...log.asked, topic: `t${random.below(30)}`, partitions: random.pick([1, 1, 2, 5]), settings: random.chance(0.5) ? deadLetter(`t${random.below(30)}`) : NONE, births: random.chance(0.5) ? [{ shard: random.between(1, 20) as ShardId, masters: [idOf(i)] }] : [] })
      else if (kind === 3) log.append({ kind: 'drain', ...log.asked, node: idOf(i), draining: random.chance(0.7), wish: random.below(100) })
      else if (kind === 4) log.append({ kind: 'configureTopic', ...log.asked, topic: `t${random.below(30)}`, settings: deadLetter(random.chance(0.8) ? `t${random.below(30)}` : undefined) })
      else log.append({ kind: 'shardBorn', ...stamps, birth: { shard: random.between(1, 30) as ShardId, masters: [idOf(i), idOf(i + 1)] } })
    }
    for (let k = 0; k < 60; k++) act()
    const copy = Registry.restore(log.registry.snapshot())
    const twin = log.registry.clone()
    const from = log.entries.length
    const answered = log.answers.length
    for (let k = 0; k < 60; k++) act()
    const again = new Log()
    again.registry = copy
    for (let at = from; at < log.entries.length; at++) copy.apply((at + 1) as LogIndex, log.entries[at]!, again)
    assert.equal(copy.digest(), log.registry.digest())
    assert.deepEqual(again.answers, log.answers.slice(answered))
    assert.notEqual(twin.digest(), log.registry.digest())
    assert.deepEqual(copy.snapshot(), log.registry.snapshot())
  }
})

test('a recovered shard has the epoch that was confirmed first; a copy of an earlier one is outdated, and the destroyed are never let in again', () => {
  const log = new Log().found()
  for (const i of [1, 2, 3]) log.admit(record(i))
  log.create('a', 1, [{ shard: 1, masters: [idOf(1), idOf(2), idOf(3)] }])
  const recovered = (node: number, recovery: number, shard = 1): number => log.append({ kind: 'shardRecovered', ...log.asked, shard: shard as ShardId, recovery, node: idOf(node), destroyed: [idOf(1), idOf(2)] }).code
  assert.equal(recovered(3, 1, 2), Code.notFound)
  assert.equal(recovered(3, 2), RegistryCode.outdated)
  assert.equal(log.registry.node(idOf(1))?.value, 1)
  assert.equal(recovered(3, 1), Code.ok)
  assert.equal(recovered(3, 1), Code.ok)
  assert.equal(recovered(4, 1), RegistryCode.outdated)
  assert.deepEqual([log.registry.recoveryOf(1 as ShardId), log.registry.recoveryOf(2 as ShardId)], [1, 0])
  assert.deepEqual(log.registry.nodes.map(({ node }) => node), [idOf(3)])
  assert.equal(log.admit(record(1)).code, RegistryCode.destroyed)
  assert.equal(recovered(4, 2), Code.ok)
  const copy = Registry.restore(log.registry.snapshot())
  assert.deepEqual([copy.recoveryOf(1 as ShardId), copy.isDestroyed(idOf(2)), copy.isStruck(idOf(2)), copy.isDestroyed(idOf(3))], [2, true, true, false])
})

test('a recovered registry is of the next generation, numbers nothing as a lost master may have, and takes entries of its new log only', () => {
  const log = new Log().found()
  for (const i of [1, 2, 3]) log.admit(record(i))
  log.create('many', 2)
  const { registry } = log
  const before = registry.topic('many')!
  registry.recover(1, [idOf(1)])
  const base = 2 ** 44
  assert.deepEqual([registry.generation, registry.applied, registry.isDestroyed(idOf(1)), registry.node(idOf(1))], [2, base, true, undefined])
  const created = registryLogTable.encode({ kind: 'createTopic', ...log.asked, topic: 'more', partitions: 2, settings: new Uint8Array(0), births: [] })
  registry.apply((base + 1) as LogIndex, created, log)
  const { shards, firstPartition } = registry.topic('more')!
  assert.deepEqual([shards, firstPartition], [[2 ** 24, 2 ** 24 + 1], 2 ** 24])
  assert.deepEqual(registry.topic('many'), before)
  assert.throws(() => registry.recover(1, []), /behind everything/)
})

/** Behind the shards, where nobody is draining or struck, nothing was wished and nothing recovered: two counts, then one, then two. */
const DRAINING_BYTES = 16
const WISHES_BYTES = 8
const RECOVERIES_BYTES = 16
/** Of one topic. */
const CONFIGURED_BYTES = 8

test('an image that is cut or of a newer format is refused, never half read; an older one is read', () => {
  const log = new Log().found()
  log.admit(record(1))
  log.create('a', 3, [{ shard: 9, masters: [idOf(1)] }])
  const image = log.registry.snapshot()
  for (let length = 0; length < image.length; length++) assert.throws(() => Registry.restore(image.subarray(0, length)), MalformedMessage)
  // The first format ended with the shards; nobody drained then. The second did not know wishes, the third no recoveries, the fourth not since when a topic is as it is.
  const unknown = image.slice()
  unknown.fill(0, -CONFIGURED_BYTES)
  for (const [format, lacks] of [[1, DRAINING_BYTES + WISHES_BYTES + RECOVERIES_BYTES], [2, WISHES_BYTES + RECOVERIES_BYTES], [3, RECOVERIES_BYTES], [4, 0]] as const) {
    const older = image.slice(0, -lacks - CONFIGURED_BYTES)
    older[0] = format
    assert.deepEqual(Registry.restore(older).snapshot(), unknown)
  }
  const newer = image.slice()
  newer[0] = 6
  assert.throws(() => Registry.restore(newer), /format 6/)
})
