import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '@horus/core/random'
import { FrameBatch, FrameReader } from '@horus/transport/frame'

function drawn(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.below(256))
}

function streamOf(bodies: readonly Uint8Array[]): Uint8Array {
  const batch = new FrameBatch()
  for (const body of bodies) batch.add(body)
  const { bytes } = batch
  const stream = Buffer.concat(batch.take())
  assert.equal(stream.length, bytes)
  return new Uint8Array(stream)
}

test('frames come out as they went in, however the stream is cut', () => {
  const random = new Random(7)
  for (let round = 0; round < 200; round++) {
    const bodies = Array.from({ length: random.between(1, 8) }, () => drawn(random, random.pick([0, 1, 3, 17, 300, 17_000])))
    const stream = streamOf(bodies)
    const got: Uint8Array[] = []
    const reader = new FrameReader(20_000, (payload) => got.push(payload.slice()))
    for (let at = 0; at < stream.length;) {
      const size = random.pick([1, 2, 5, 1000, 40_000])
      reader.push(stream.subarray(at, at + size))
      at += size
    }
    assert.deepEqual(got, bodies)
  }
})

test('a frame that lies whole in its chunk is a view of it, and no Buffer', () => {
  const stream = streamOf([Uint8Array.of(1, 2, 3), Uint8Array.of(4)])
  const got: Uint8Array[] = []
  new FrameReader(100, (payload) => got.push(payload)).push(Buffer.from(stream.buffer))
  assert.ok(got.every((payload) => payload.buffer === stream.buffer && Object.getPrototypeOf(payload) === Uint8Array.prototype))
})

test('a frame over the limit is refused at its header, before any of it is kept', () => {
  const reader = new FrameReader(4096, () => assert.fail('no frame'))
  assert.throws(() => reader.push(Uint8Array.of(0, 0, 16, 1)), /4097 bytes where 4096 are allowed/)
  const slow = new FrameReader(4096, () => assert.fail('no frame'))
  slow.push(Uint8Array.of(255, 255))
  assert.throws(() => slow.push(Uint8Array.of(255, 255)), /4294967295 bytes/)
})

test('the limit may be raised between two frames of one chunk, and a stopped reader hands over nothing more', () => {
  const stream = streamOf([Uint8Array.of(1), new Uint8Array(50), Uint8Array.of(2)])
  const lengths: number[] = []
  const reader = new FrameReader(10, (payload) => {
    lengths.push(payload.length)
    reader.limit = 100
    if (lengths.length === 2) reader.stop()
  })
  reader.push(stream)
  assert.deepEqual(lengths, [1, 50])
})

test('many small frames are one piece, and a large body goes out uncopied', () => {
  const large = new Uint8Array(100_000)
  const batch = new FrameBatch()
  for (let i = 0; i < 100; i++) batch.add(new Uint8Array(20))
  batch.add(large)
  for (let i = 0; i < 100; i++) batch.add(new Uint8Array(20))
  const pieces = batch.take()
  assert.equal(pieces.length, 3)
  assert.equal(pieces[1], large)
  assert.deepEqual(batch.take(), [])
})
