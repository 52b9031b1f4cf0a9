//! The simulated disk has the habits of a real one.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DeviceAnswer, DeviceRequest } from '@horus/core/device'
import { Random } from '@horus/core/random'
import { SECTOR_BYTES, SimulatedDevice } from '@horus/core/world/device'

function filled(length: number, value: number): Uint8Array {
  return new Uint8Array(length).fill(value)
}

function write(at: number, bytes: Uint8Array, durable: boolean, request = 7): DeviceRequest {
  return { kind: 'write', request, file: 'a', at, pieces: [bytes], durable }
}

function run(device: SimulatedDevice, request: DeviceRequest): DeviceAnswer {
  const answer = device.execute(request)
  device.complete(request)
  return answer
}

function withFile(size = 4096): SimulatedDevice {
  const device = new SimulatedDevice()
  run(device, { kind: 'create', request: 1, file: 'a', size })
  return device
}

test('a write is read back at once, whatever its alignment and pieces', () => {
  const device = withFile()
  run(device, { kind: 'write', request: 2, file: 'a', at: 500, pieces: [filled(20, 1), filled(600, 2)], durable: false })
  const answer = device.execute({ kind: 'read', request: 3, file: 'a', at: 499, length: 700 })
  assert.ok(answer.kind === 'bytes')
  assert.deepEqual(answer.bytes, new Uint8Array([0, ...filled(20, 1), ...filled(600, 2), ...filled(79, 0)]))
})

test('a durable write that was answered outlives any crash; one that was not may survive in parts', () => {
  let partly = 0
  for (let seed = 1; seed <= 50; seed++) {
    const device = withFile()
    run(device, write(0, filled(1024, 1), true))
    device.execute(write(0, filled(2048, 2), true, 8))
    device.crash(new Random(seed))
    const content = device.content('a')!
    for (let i = 0; i < 1024; i++) assert.ok(content[i] === 1 || content[i] === 2)
    if (content.subarray(0, 2048).some((byte) => byte === 2) && content.subarray(0, 2048).some((byte) => byte !== 2)) partly++
  }
  assert.ok(partly > 10)
})

test('a torn sector begins with the new bytes and ends with the old', () => {
  let torn = 0
  for (let seed = 1; seed <= 50; seed++) {
    const device = withFile()
    device.execute(write(0, filled(SECTOR_BYTES, 9), true))
    device.crash(new Random(seed))
    const sector = device.content('a')!.subarray(0, SECTOR_BYTES)
    const count = sector.filter((byte) => byte === 9).length
    assert.ok(sector.subarray(0, count).every((byte) => byte === 9))
    if (count > 0 && count < SECTOR_BYTES) torn++
  }
  assert.ok(torn > 5)
})

test('a killed process leaves the page cache behind, and a later crash may take it', () => {
  const device = withFile()
  device.execute(write(0, filled(100, 3), true))
  device.kill()
  assert.equal(device.content('a')![0], 3)
  const lost = Array.from({ length: 30 }, (_, seed) => {
    const copy = device.clone()
    copy.crash(new Random(seed + 1))
    return copy.content('a')![0] === 0
  })
  assert.ok(lost.includes(true) && lost.includes(false))
  assert.equal(device.content('a')![0], 3, 'a clone is another disk')
})

test('a flush makes durable what was written before it', () => {
  const device = withFile()
  run(device, write(0, filled(100, 3), false))
  run(device, { kind: 'flush', request: 9, file: 'a' })
  device.crash(new Random(1))
  assert.equal(device.content('a')![99], 3)
})

test('file names hold in order: none without the ones before it', () => {
  for (let seed = 1; seed <= 40; seed++) {
    const device = new SimulatedDevice()
    device.execute({ kind: 'create', request: 1, file: 'x', size: 512 })
    device.execute({ kind: 'rename', request: 2, file: 'x', to: 'y' })
    device.execute({ kind: 'create', request: 3, file: 'z', size: 512 })
    device.crash(new Random(seed))
    const names = device.files().map(({ name }) => name).join()
    assert.ok(['', 'x', 'y', 'y,z'].includes(names), names)
  }
})

test('a full disk refuses a new file, and errors strike once', () => {
  const device = new SimulatedDevice(1000)
  assert.equal(run(device, { kind: 'create', request: 1, file: 'a', size: 600 }).kind, 'created')
  const full = run(device, { kind: 'create', request: 2, file: 'b', size: 600 })
  assert.ok(full.kind === 'error' && full.error === 'full')
  device.inject({ kind: 'error', on: 'write', error: 'failed' })
  assert.equal(run(device, write(0, filled(10, 1), true)).kind, 'error')
  assert.equal(run(device, write(0, filled(10, 1), true)).kind, 'written')
})

test('writes can be lost or misdirected, bytes can rot, sectors become unreadable until written again', () => {
  const device = withFile()
  device.inject({ kind: 'lost' })
  run(device, write(0, filled(10, 1), true))
  assert.equal(device.content('a')![0], 0)
  device.inject({ kind: 'misdirected', at: 1024 })
  run(device, write(0, filled(10, 1), true))
  assert.deepEqual([device.content('a')![0], device.content('a')![1024]], [0, 1])
  device.rot('a', 1024, 0x80)
  assert.equal(device.content('a')![1024], 0x81)
  device.spoil('a', 1024)
  const read: DeviceRequest = { kind: 'read', request: 5, file: 'a', at: 1000, length: 100 }
  assert.equal(device.execute(read).kind, 'error')
  run(device, write(1024, filled(512, 1), true))
  assert.equal(device.execute(read).kind, 'bytes')
})
