import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '@horus/core/random'
import type { Address } from '@horus/core/units'
import { ClientProcess } from '@horus/core/world/client'
import { Faults } from '@horus/core/world/faults/faults'
import type { FaultGuard } from '@horus/core/world/faults/source'
import { drawPlan } from '@horus/core/world/faults/plan'
import { emptyDisk, startBoth, toyWorld, type ToyWorld } from './toys.ts'

function run(seed: number, ms = 2000): ToyWorld {
  const toys = toyWorld(seed)
  startBoth(toys)
  toys.world.runUntil(ms)
  return toys
}

const guardOf = (toys: ToyWorld): FaultGuard => ({ lull: () => [], mayWipe: () => false, mayLose: () => [], mayStillLose: () => false, recover: () => [], isRecovered: () => true, returns: () => {}, foundOut: () => {}, mayBeAlone: () => false, wiped: () => {}, mayDamage: () => false, damaged: () => {}, mayForget: () => false, forgets: () => {}, leaders: () => [toys.counter], masters: () => [toys.counter], join: () => [], otherHome: () => undefined, twin: () => undefined, meet: () => [], drain: () => undefined, endDrain: () => false, forgetLost: () => [], emptyDisk })

function runWithFaults(seed: number, careless: boolean): ToyWorld {
  const toys = toyWorld(seed, careless, 50)
  const faults = new Faults(toys.world, drawPlan(new Random(seed)), new Random(seed, 1), guardOf(toys))
  faults.begin()
  faults.addNode(toys.counter)
  faults.addNode(toys.pinger)
  startBoth(toys)
  toys.world.runUntil(15_000)
  faults.heal()
  toys.world.runUntil(25_000)
  return toys
}

test('the same seed gives the same trace, another seed another one', () => {
  assert.equal(run(1).world.trace.digest(), run(1).world.trace.digest())
  assert.notEqual(run(1).world.trace.digest(), run(2).world.trace.digest())
})

test('a leap moves all wall clocks alike, also of processes that come later, and no monotonic clock', () => {
  const { world } = run(1)
  const read = () => world.processes.map((process) => process.clock.read(world.now))
  const before = read()
  world.leap(86_400_000)
  assert.deepEqual(read(), before.map(({ monotonic, wall }) => ({ monotonic, wall: wall + 86_400_000 })))
  const late = world.add((index) => new ClientProcess(world, index, 'late', '10.9.9.9:1' as Address, () => assert.fail('it is never started')))
  assert.equal(late.clock.read(world.now).wall, before[0]!.wall + 86_400_000)
})

test('the same seed gives the same trace under every fault', () => {
  for (let seed = 1; seed <= 8; seed++) assert.equal(runWithFaults(seed, false).world.trace.digest(), runWithFaults(seed, false).world.trace.digest())
})

test('without faults every ping is counted and told in order', () => {
  const { told, watcher } = run(3)
  assert.deepEqual(watcher.errors, [])
  assert.ok(told.counts.length > 500)
  assert.deepEqual(told.counts, told.counts.map((_, i) => i + 1))
})

test('a counter that waits for its disk never tells a count twice, whatever happens', () => {
  for (let seed = 1; seed <= 30; seed++) {
    const { told, watcher } = runWithFaults(seed, false)
    assert.deepEqual(watcher.errors, [])
    // An adversarial link may double or reorder answers, so that only those of plain seeds must rise strictly.
    if (drawPlan(new Random(seed)).network.settings.adversaryChance === 0) assert.equal(told.fellBack, 0, `seed ${seed}`)
  }
})

/** Power is lost again and again, just as the counter has done something. */
function runWithPowerLosses(seed: number, careless: boolean): ToyWorld {
  const toys = toyWorld(seed, careless)
  toys.counter.restartAfterMs = 5
  startBoth(toys)
  for (let i = 1; i <= 40; i++) {
    toys.world.runUntil(i * 50)
    toys.counter.crashAfter(1 + (i % 4), 'restarted')
  }
  return toys
}

test('a counter that answers before its disk has forgets counts that it told when power is lost, a careful one does not', () => {
  for (let seed = 1; seed <= 5; seed++) {
    assert.ok(runWithPowerLosses(seed, true).told.fellBack > 0, `seed ${seed}`)
    assert.equal(runWithPowerLosses(seed, false).told.fellBack, 0, `seed ${seed}`)
  }
})

test('pings go on after every fault has been healed', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const toys = runWithFaults(seed, false)
    const before = toys.told.counts.length
    toys.world.runUntil(27_000)
    assert.ok(toys.told.counts.length > before + 25, `seed ${seed}`)
  }
})

test('a paused process gets nothing until it goes on, and then everything', () => {
  const toys = run(4, 500)
  toys.world.pause(toys.pinger, 1000)
  const before = toys.told.counts.length
  toys.world.runUntil(1499)
  assert.equal(toys.told.counts.length, before)
  toys.world.runUntil(2000)
  assert.ok(toys.told.counts.length > before + 100)
  assert.deepEqual(toys.told.counts, toys.told.counts.map((_, i) => i + 1))
})

test('a crash between two effects drops the later ones', () => {
  const toys = run(5, 500)
  const sent = toys.told.wakes.length
  toys.pinger.crashAfter(1)
  toys.world.runUntil(600)
  assert.equal(toys.pinger.running, false)
  // The message was sent, and the datagram behind it was not.
  assert.equal(toys.told.wakes.length, sent + 1)
  assert.equal(toys.told.datagrams.length <= sent, true)
})

test('a partition of one direction stops that direction only', () => {
  const toys = run(6, 500)
  toys.world.network.block(toys.counter, toys.pinger, 60_000)
  const asked = toys.world.counts.get('datagram') ?? 0
  const told = toys.told.datagrams.length
  toys.world.runUntil(600)
  assert.ok((toys.world.counts.get('datagram') ?? 0) > asked + 50)
  assert.ok(toys.told.datagrams.length <= told + 1)
})

test('a cut link comes to both sides as down and is dialled again', () => {
  const toys = run(7, 500)
  for (const link of toys.world.network.standing()) toys.world.network.cut(link)
  toys.world.runUntil(10_000)
  assert.deepEqual(toys.told.links, ['linkUp', 'linkDown', 'linkUp'])
  assert.ok(toys.told.counts.length > 4000)
})

test('a killed process is noticed within milliseconds, one without power later', () => {
  const killed = run(8, 500)
  killed.counter.crash('killed')
  killed.world.runUntil(510)
  assert.ok(killed.told.links.includes('linkDown'))
})

test('a fast clock wakes early by true time, never early by its own', () => {
  const toys = toyWorld(9)
  toys.pinger.clock.setRate(1.05)
  startBoth(toys)
  toys.world.runUntil(10_000)
  const { wakes } = toys.told
  const elapsed = wakes.at(-1)! - wakes[0]!
  assert.ok(elapsed > 10_400 && elapsed < 10_600, `${elapsed} ms`)
})

test('an actor that never moves its wake on is reported', () => {
  const toys = toyWorld(10, false, 0)
  startBoth(toys)
  toys.world.runUntil(1000)
  assert.equal(toys.watcher.errors.length, 1)
})
