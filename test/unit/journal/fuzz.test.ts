//! A journal is driven at random, crashed at random, and must come back in a state that it was in.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '@horus/core/random'
import { logIndex, shardId, term as termOf } from '@horus/core/units'
import { SimulatedDevice } from '@horus/core/world/device'
import { JournalHost, blob } from './host.ts'
import { ShardModel, checkReads } from './model.ts'

/** HORUS_FUZZ_SEEDS raises it for a longer look. */
const SEEDS = Number(process.env['HORUS_FUZZ_SEEDS'] ?? 30)
const FROM = Number(process.env['HORUS_FUZZ_FROM'] ?? 1)

interface Begun {
  readonly index: number
  readonly term: number
  readonly bytes: Uint8Array
  at: number
}

class Run {
  readonly random: Random
  readonly device = new SimulatedDevice()
  host: JournalHost
  models = new Map<number, ShardModel>()
  /** Snapshots whose last piece is not handed in yet, by shard. */
  readonly #begun = new Map<number, Begun>()
  #blobs = 0
  #starts = 0

  constructor(seed: number) {
    this.random = new Random(seed)
    this.host = JournalHost.started(this.device, this.#seed())
  }

  operate(): void {
    const { random } = this
    const model = this.#model(random.below(3))
    const newest = model.log.newest
    switch (random.below(14)) {
      case 0:
        return this.#hardState(model)
      case 1:
        return this.#snapshot(model)
      case 2:
      case 3:
        return this.#trim(model)
      case 4:
        return this.#release(model)
      case 5:
        if (random.chance(0.2)) this.#install(model)
        else if (random.chance(0.1)) this.#drop(model)
        return
      case 6:
        return this.#append(model, Math.max(model.trimmed, model.snapshot.newest?.index ?? 0, this.#begun.get(model.id)?.index ?? 0, newest.last - random.below(6)) + 1)
      case 7:
        if (newest.last > 0) checkReads(this.host, model, random.between(1, newest.last))
        return
      case 8:
        if (newest.last > 0 && random.chance(0.5)) this.host.input({ kind: 'fetch', shard: shardId(model.id), from: logIndex(random.between(1, newest.last)), to: logIndex(newest.last), maxBytes: 5000 })
        return
      case 9:
        return this.#pass()
      default:
        return this.#append(model, newest.last + 1)
    }
  }

  /** Requests are answered in any order, turns come and time passes. */
  #pass(): void {
    const { random, host } = this
    host.time += random.below(30)
    if (host.journal.wakeAt <= host.time) host.wake()
    if (random.chance(0.1)) {
      const twin = host.journal.clone()
      assert.equal(twin.digest(), host.journal.digest())
      host.journal = twin
    }
  }

  drive(): void {
    const { random, host } = this
    if (random.chance(0.5)) host.turn()
    while (random.chance(0.6) && host.stepAny(random));
  }

  crash(): void {
    const { random } = this
    const durable = this.host.durableTicketMax
    for (;;) {
      if (random.chance(0.3)) this.device.kill()
      else this.device.crash(random)
      this.host = new JournalHost(this.device, this.#seed())
      this.host.input({ kind: 'start' })
      // Every third start is itself cut short.
      const steps = random.chance(0.3) ? random.below(12) : Infinity
      let taken = 0
      while (taken < steps && this.host.step()) taken++
      if (this.host.recoveredJournal) break
    }
    assert.equal(this.host.failure, undefined)
    this.#begun.clear()
    this.host.settle()
    assert.equal(this.host.recoveredJournal!.doubt, false)
    for (const shard of this.host.recoveredJournal!.shards) assert.equal(shard.suspect, false, `shard ${shard.shard} is not suspect`)
    for (const model of this.models.values()) {
      model.check(this.host, durable)
      if (random.chance(0.5)) this.#keep(model)
    }
    for (const { shard } of this.host.recoveredJournal!.shards) assert.ok(this.models.has(shard), 'no shard appears from nowhere')
  }

  /** In two ranges, since a live copy goes through them one by one. */
  #keep(model: ShardModel): void {
    const through = model.snapshot.newest?.index ?? 0
    const middle = this.random.below(through + 1)
    const indexes = [...model.payloads.keys()].sort((a, b) => a - b)
    for (const [from, to] of [[1, middle], [middle + 1, through]] as const) {
      this.host.input({ kind: 'keep', shard: shardId(model.id), from: logIndex(from), through: logIndex(to), indexes: indexes.filter((index) => index >= from && index <= to).map(logIndex) })
    }
  }

  #seed(): number {
    return this.random.u32() + ++this.#starts
  }

  #model(id: number): ShardModel {
    let model = this.models.get(id)
    if (!model) {
      model = new ShardModel(id)
      this.models.set(id, model)
    }
    return model
  }

  #next(): number {
    return this.host.ticket
  }

  #append(model: ShardModel, from: number): void {
    const { random } = this
    const bodies = Array.from({ length: random.between(1, 4) }, () => blob(random.chance(0.2) ? random.below(9000) : random.below(700), ++this.#blobs))
    const term = Math.max(model.hardState.newest?.term ?? 0, 1)
    const ticket = this.#next()
    this.host.input({ kind: 'append', shard: shardId(model.id), ticket, entries: bodies.map((bytes, i) => ({ index: logIndex(from + i), term: termOf(term), bytes })) })
    model.append(ticket, from, bodies, term)
  }

  #hardState(model: ShardModel): void {
    const term = (model.hardState.newest?.term ?? 0) + 1
    const ticket = this.host.hardState(model.id, term, 1)
    model.hardState.add(ticket, { term, self: 1 })
  }

  /** Begins a snapshot, goes on with the one that was begun, or gives that up for a newer one. */
  #snapshot(model: ShardModel): void {
    const { random } = this
    const begun = this.#begun.get(model.id)
    if (begun !== undefined && random.chance(0.9)) return this.#goOn(model, begun)
    const newest = model.snapshot.newest?.index ?? 0
    const { last, entries } = model.log.newest
    if (last <= newest) return
    const index = random.between(newest + 1, last)
    const bytes = blob(random.chance(0.3) ? random.below(30_000) : random.below(500), ++this.#blobs)
    const term = entries.get(index)!.term
    this.host.beginSnapshot(model.id, index, term)
    this.#begun.set(model.id, { index, term, bytes, at: 0 })
    if (random.chance(0.5)) this.#goOn(model, this.#begun.get(model.id)!)
  }

  #goOn(model: ShardModel, begun: Begun): void {
    const { index, term, bytes, at } = begun
    begun.at = Math.min(bytes.length, at + this.random.between(0, this.random.pick([100, 10_000, 40_000])))
    const last = begun.at === bytes.length
    const ticket = this.host.piece(model.id, bytes.subarray(at, begun.at), last)
    if (!last) return
    this.#begun.delete(model.id)
    model.snapshot.add(ticket, { index, term, bytes })
  }

  #trim(model: ShardModel): void {
    const { random, host } = this
    const through = model.snapshot.durable(host.durableTicketMax)?.index ?? 0
    if (through <= model.trimmed || model.droppedAt > host.durableTicketMax) return
    const keep = [...model.log.newest.entries.keys()].filter((index) => index <= through && random.chance(0.1)).sort((a, b) => a - b)
    host.trim(model.id, through, keep)
    model.trim(through, keep)
  }

  #release(model: ShardModel): void {
    const durable = this.host.durableTicketMax
    const indexes = [...model.payloads].filter(([, { ticket }]) => ticket <= durable && this.random.chance(0.4)).map(([index]) => index)
    this.host.input({ kind: 'release', shard: shardId(model.id), indexes: indexes.sort((a, b) => a - b).map(logIndex) })
    for (const index of indexes) model.payloads.delete(index)
  }

  #drop(model: ShardModel): void {
    this.host.input({ kind: 'drop', shard: shardId(model.id) })
    this.#begun.delete(model.id)
    // Durable with whatever comes after it.
    model.drop(this.#next())
  }

  #install(model: ShardModel): void {
    const { random, host } = this
    const index = Math.max(model.log.newest.last, model.snapshot.newest?.index ?? 0) + random.below(20) + 1
    const term = (model.hardState.newest?.term ?? 0) + 1
    const bytes = blob(random.below(3000), ++this.#blobs)
    this.#begun.delete(model.id)
    model.hardState.add(host.hardState(model.id, term, 1), { term, self: 1 })
    model.snapshot.add(host.snapshot(model.id, index, term, bytes), { index, term, bytes })
    const live = [...new Set([random.between(1, index), random.between(1, index)])].sort((a, b) => a - b)
    const entries = live.map((at) => ({ index: logIndex(at), term: termOf(term), bytes: blob(random.below(900), ++this.#blobs) }))
    const ticket = this.#next()
    host.input({ kind: 'payloads', shard: shardId(model.id), ticket, entries })
    // What was kept before is not part of the new books.
    host.input({ kind: 'release', shard: shardId(model.id), indexes: [...model.payloads.keys()].filter((at) => !live.includes(at)).map(logIndex) })
    model.payloads.clear()
    for (const each of entries) model.payloads.set(each.index, { ticket, bytes: each.bytes })
    const resetTicket = this.#next()
    host.input({ kind: 'reset', shard: shardId(model.id), ticket: resetTicket, index: logIndex(index), term: termOf(term) })
    model.reset(resetTicket, index)
  }
}

test('whatever the crash, what was durable is found and nothing else is made up', () => {
  for (let seed = FROM; seed < FROM + SEEDS; seed++) {
    try {
      const run = new Run(seed)
      for (let i = 0; i < 500; i++) {
        run.operate()
        run.drive()
        if (run.random.chance(0.02)) run.crash()
      }
      run.crash()
    } catch (error) {
      throw new Error(`seed ${seed}: HORUS_FUZZ_FROM=${seed} HORUS_FUZZ_SEEDS=1 replays it`, { cause: error })
    }
  }
})
