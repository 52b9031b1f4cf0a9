import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encode } from '@horus/core/message/layout'
import { memberRecord } from '@horus/core/message/gossip'
import { Discovery, type DiscoveryOptions } from '@horus/core/node/discovery'
import { Gate } from '@horus/core/node/gate'
import { Membership } from '@horus/core/node/membership/membership'
import { Random } from '@horus/core/random'
import type { Address, ClusterId, Instant, NodeId, WallTime } from '@horus/core/units'

const candidates = Array.from({ length: 100 }, (_, i) => `10.0.0.${i}:6470` as Address)

class Scan {
  readonly discovery: Discovery
  time = 0
  probes: { readonly to: Address; readonly at: number }[] = []
  rounds = 0

  constructor(options: Partial<DiscoveryOptions> = {}) {
    this.discovery = new Discovery({ self: candidates[0]!, candidates, seeds: [], enough: 2, random: new Random(1), ...options })
    this.discovery.receive(this.now, { kind: 'start' }, this)
  }

  get now(): { monotonic: Instant; wall: WallTime } {
    return { monotonic: this.time as Instant, wall: 0 as WallTime }
  }

  run(until: number): void {
    while (this.discovery.wakeAt <= until) {
      this.time = Math.max(this.time, this.discovery.wakeAt)
      this.discovery.wake(this.now, this)
    }
    this.time = until
  }

  probe(to: Address): void {
    this.probes.push({ to, at: this.time })
  }

  scanned(): void {
    this.rounds++
  }
}

test('every candidate but oneself is asked once a round, seeds first, at the pace that was set', () => {
  const scan = new Scan({ seeds: ['seed:1' as Address, candidates[50]!] })
  scan.run(500)
  const first = scan.probes.slice(0, 100).map((probe) => probe.to)
  assert.deepEqual(new Set(first), new Set([...candidates.slice(1), 'seed:1']))
  assert.deepEqual(first.slice(0, 2), ['seed:1', candidates[50]])
  assert.equal(scan.rounds, 1)
  assert.ok(scan.probes.length <= 201 * 0.5 + 64)
})

test('two nodes do not ask in the same order', () => {
  const orders = [1, 2].map((seed) => {
    const scan = new Scan({ random: new Random(seed) })
    scan.run(500)
    return scan.probes.slice(0, 99).map((probe) => probe.to).join()
  })
  assert.notEqual(orders[0], orders[1])
})

test('once enough are known it goes on slowly, without those, and quickly again when they are gone', () => {
  const scan = new Scan()
  for (const address of candidates.slice(1, 3)) scan.discovery.receive(scan.now, { kind: 'known', address }, scan)
  scan.run(60_000)
  assert.ok(scan.probes.length > 200 && scan.probes.length < 400, `${scan.probes.length}`)
  assert.equal(scan.probes.some((probe) => candidates.slice(1, 3).includes(probe.to)), false)
  const before = scan.probes.length
  scan.discovery.receive(scan.now, { kind: 'unknown', address: candidates[1]! }, scan)
  scan.run(61_000)
  assert.ok(scan.probes.length - before > 150, `${scan.probes.length - before}`)
})

test('a process that stood still does not send all it missed at once', () => {
  const scan = new Scan()
  scan.time = 600_000
  scan.probes = []
  scan.discovery.wake(scan.now, scan)
  assert.ok(scan.probes.length <= 64)
})

test('with nobody to ask the scan is over at once', () => {
  const scan = new Scan({ candidates: [], seeds: [] })
  scan.run(10)
  assert.equal(scan.rounds, 1)
  assert.equal(scan.discovery.wakeAt, Infinity)
})

test('an answer is never longer than its probe', () => {
  const node = 'a'.repeat(32) as NodeId
  const clusterId = 'c'.repeat(32) as ClusterId
  const gate = new Gate({ cluster: 'test', node, run: 1 })
  gate.adopt(clusterId)
  const self = { node, address: '255.255.255.255:65535' as Address, boot: 1, value: 1, zone: 'z'.repeat(64), version: 'v'.repeat(32), eligible: true, expect: 3, clusterId }
  const membership = new Membership({ self, run: 1, random: new Random(1) })
  const lengths: number[] = []
  const outbox = { datagram: (_to: Address, message: Parameters<Gate['seal']>[0]) => lengths.push(gate.seal(message).length), sync: () => {}, changed: () => {}, hinted: () => {}, twin: () => {} }
  const now = { monotonic: 0 as Instant, wall: 0 as WallTime }
  membership.receive(now, { kind: 'probe', to: candidates[1]! }, outbox)
  membership.receive(now, { kind: 'datagram', sender: { node: 'b'.repeat(32) as NodeId, address: candidates[1]!, run: 2, clusterId }, message: { kind: 'probe', nonce: 1, padding: new Uint8Array(0) } }, outbox)
  assert.ok(lengths[1]! <= lengths[0]!)
  assert.ok(encode(memberRecord, membership.self).length + 60 <= lengths[0]!)
})

test('where many are known each asks so seldom that all together ask as often as few would', () => {
  const perSecond = (known: number): number => {
    const scan = new Scan({ candidates: Array.from({ length: 2000 }, (_, i) => `10.0.${i >> 8}.${i & 255}:6470` as Address) })
    for (let i = 1; i <= known; i++) scan.discovery.receive(scan.now, { kind: 'known', address: `10.0.${i >> 8}.${i & 255}:6470` as Address }, scan)
    scan.run(20_000)
    const before = scan.probes.length
    scan.run(220_000)
    return (scan.probes.length - before) / 200
  }
  assert.ok(Math.abs(perSecond(10) - 5) < 0.2)
  const [few, many] = [perSecond(100) * 101, perSecond(1000) * 1001]
  assert.ok(Math.abs(many / few - 1) < 0.1, `${few} and ${many} probes a second of all nodes together`)
})
