import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DeviceAnswer, DeviceRequest } from '@horus/core/device'
import { Identity, type IdentityOutbox } from '@horus/core/node/identity'
import { IDENTITY_FILE, type IdentityState } from '@horus/core/node/identity-file'
import { Random } from '@horus/core/random'
import type { ClusterId, Instant, WallTime } from '@horus/core/units'

const NOW = { monotonic: 0 as Instant, wall: 0 as WallTime }
const SLOT = 4096

/** A disk of one file that can tear the last write. */
class Disk {
  file: Uint8Array | undefined
  /** Offsets that cannot be read. */
  bad: readonly number[] = []

  answer(request: DeviceRequest): DeviceAnswer {
    switch (request.kind) {
      case 'read':
        if (this.bad.some((at) => at >= request.at && at < request.at + request.length)) return { kind: 'error', request: request.request, error: 'failed', detail: 'a sector is lost' }
        return this.file ? { kind: 'bytes', request: request.request, bytes: this.file.slice(request.at, request.at + request.length) } : { kind: 'error', request: request.request, error: 'missing', detail: 'no such file' }
      case 'create':
        this.file = new Uint8Array(request.size)
        return { kind: 'created', request: request.request }
      case 'write':
        assert.equal(request.durable, true)
        this.write(request, Infinity)
        return { kind: 'written', request: request.request }
      default:
        throw new Error(`${request.kind} is not wanted`)
    }
  }

  write(request: Extract<DeviceRequest, { kind: 'write' }>, bytesMax: number): void {
    this.file!.set(request.pieces[0]!.subarray(0, bytesMax), request.at)
  }
}

class Host implements IdentityOutbox {
  readonly disk: Disk
  readonly identity: Identity
  readonly pending: DeviceRequest[] = []
  loadedState: IdentityState | undefined
  savedTickets: number[] = []
  refusal: string | undefined
  failure: string | undefined

  constructor(disk: Disk, options: { cluster?: string; seed?: number } = {}) {
    this.disk = disk
    this.identity = new Identity({ cluster: options.cluster ?? 'test', random: new Random(options.seed ?? 1) })
    this.identity.receive(NOW, { kind: 'start' }, this)
  }

  device(request: DeviceRequest): void {
    assert.equal('file' in request && request.file, IDENTITY_FILE)
    this.pending.push(request)
  }

  loaded(identity: IdentityState): void {
    this.loadedState = identity
  }

  saved(_user: string, ticket: number): void {
    this.savedTickets.push(ticket)
  }

  refused(reason: string): void {
    this.refusal = reason
  }

  failed(reason: string): void {
    this.failure = reason
  }

  /** Answers the oldest request. */
  step(): void {
    const request = this.pending.shift()!
    this.identity.receive(NOW, { kind: 'device', answer: this.disk.answer(request) }, this)
  }

  settle(): this {
    while (this.pending.length > 0) this.step()
    return this
  }

  save(ticket: number, changes: Parameters<Identity['receive']>[1] extends infer I ? I extends { kind: 'save'; changes: infer C } ? C : never : never): void {
    this.identity.receive(NOW, { kind: 'save', user: 'founding', ticket, changes }, this)
  }
}

test('an identity is drawn once, and every start raises the boot counter', () => {
  const disk = new Disk()
  const first = new Host(disk, { seed: 1 }).settle().loadedState!
  const second = new Host(disk, { seed: 2 }).settle().loadedState!
  assert.equal(second.nodeId, first.nodeId)
  assert.equal(second.value, first.value)
  assert.deepEqual([first.boot, second.boot], [1, 2])
})

test('nothing is reported before both copies are durable', () => {
  const host = new Host(new Disk())
  while (host.pending.length > 0) {
    assert.equal(host.loadedState, undefined)
    host.step()
  }
  assert.ok(host.loadedState)
  host.save(7, { generation: 3 })
  host.step()
  assert.deepEqual(host.savedTickets, [])
  host.step()
  assert.deepEqual(host.savedTickets, [7])
})

test('saves that come while one is under way go to the disk together, and are answered in their order', () => {
  const host = new Host(new Disk()).settle()
  host.save(1, { value: 5 })
  host.save(2, { generation: 2 })
  host.save(3, { generation: 3 })
  host.settle()
  assert.deepEqual(host.savedTickets, [1, 2, 3])
  const again = new Host(host.disk).settle().loadedState!
  assert.deepEqual([again.value, again.generation], [5, 3])
})

test('a crash at any write, torn anywhere, loses nothing that was answered', () => {
  for (let crashAt = 0; crashAt < 12; crashAt++) {
    for (const torn of [0, 1, 11, 60, 511, SLOT]) {
      const disk = new Disk()
      const host = new Host(disk).settle()
      let asked = 0
      for (let write = 0; write <= crashAt; write++) {
        if (host.pending.length === 0) host.save(++asked, { generation: asked + 1 })
        if (write < crashAt) host.step()
      }
      disk.write(host.pending[0] as Extract<DeviceRequest, { kind: 'write' }>, torn)
      const answered = host.savedTickets.length
      const again = new Host(disk).settle()
      assert.equal(again.loadedState?.nodeId, host.loadedState!.nodeId)
      assert.ok(again.loadedState!.generation >= answered + 1, `crash at ${crashAt}, ${torn} bytes written`)
      assert.ok(again.loadedState!.boot > host.loadedState!.boot)
    }
  }
})

test('a crash of the very first start leaves a directory that starts', () => {
  for (let steps = 0; steps < 4; steps++) {
    const disk = new Disk()
    const host = new Host(disk)
    for (let i = 0; i < steps; i++) host.step()
    const next = host.pending[0]
    if (next?.kind === 'write') disk.write(next, 30)
    assert.ok(new Host(disk, { seed: 9 }).settle().loadedState, `after ${steps} steps`)
  }
})

test('a slot that rots costs nothing; with both the node refuses, and changes nothing', () => {
  const disk = new Disk()
  const host = new Host(disk).settle()
  host.save(1, { generation: 9 })
  host.settle()
  for (const slot of [0, 1]) {
    const copy = new Disk()
    copy.file = disk.file!.slice()
    copy.file[slot * SLOT + 20]! ^= 1
    assert.equal(new Host(copy).settle().loadedState?.generation, 9)
  }
  disk.file![20]! ^= 1
  disk.file![SLOT + 20]! ^= 1
  const before = disk.file!.slice()
  const refused = new Host(disk).settle()
  assert.match(refused.refusal!, /damaged/)
  assert.deepEqual(disk.file, before)
})

test('a sector that cannot be read costs one of the slots; one in each of them is the end', () => {
  const disk = new Disk()
  const { loadedState } = new Host(disk).settle()
  for (const bad of [0, SLOT + 512]) {
    disk.bad = [bad]
    const host = new Host(disk).settle()
    assert.equal(host.loadedState?.nodeId, loadedState!.nodeId)
  }
  disk.bad = [0, SLOT]
  const host = new Host(disk).settle()
  assert.deepEqual([host.loadedState, host.failure], [undefined, 'the file identity cannot be used: a sector is lost'])
})

test('a directory of another cluster, or of a newer version, is refused and left as it is', () => {
  const disk = new Disk()
  new Host(disk).settle()
  const before = disk.file!.slice()
  assert.match(new Host(disk, { cluster: 'other' }).settle().refusal!, /belongs to cluster "test"/)
  assert.deepEqual(disk.file, before)
  disk.file![5] = 3
  disk.file![SLOT + 5] = 3
  assert.match(new Host(disk).settle().refusal!, /newer version/)
})

test('a node never takes another cluster', () => {
  const host = new Host(new Disk()).settle()
  host.save(1, { clusterId: 'a'.repeat(32) as ClusterId })
  host.settle()
  assert.throws(() => host.save(2, { clusterId: 'b'.repeat(32) as ClusterId }), /never takes another cluster/)
})

test('a disk that fails ends the node', () => {
  const host = new Host(new Disk()).settle()
  host.save(1, { generation: 2 })
  const request = host.pending[0]!.request
  host.identity.receive(NOW, { kind: 'device', answer: { kind: 'error', request, error: 'failed', detail: 'input/output error' } }, host)
  assert.match(host.failure!, /input\/output error/)
  assert.deepEqual(host.savedTickets, [])
})

test('an identity whose promises are lost is drawn anew: it belongs nowhere, and may join the cluster of before but never found', () => {
  const host = new Host(new Disk()).settle()
  host.save(1, { clusterId: 'ab'.repeat(16) as ClusterId, bornBefore: 9 })
  const before = host.settle().loadedState!
  host.identity.receive(NOW, { kind: 'renew' }, host)
  host.step()
  assert.equal(host.loadedState, before, 'nobody hears of it before it is durable')
  const after = host.settle().loadedState!
  assert.notEqual(after.nodeId, before.nodeId)
  assert.deepEqual([after.clusterId, after.bornBefore, after.boot, after.founding.ended], [undefined, 0, 1, true])
  const again = new Host(host.disk, { seed: 5 }).settle().loadedState!
  assert.deepEqual([again.nodeId, again.boot, again.founding.ended, again.former], [after.nodeId, 2, true, 'ab'.repeat(16)])
})
