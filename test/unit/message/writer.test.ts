import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Reader, Writer } from '@horus/core/message/layout'
import { readPacked, writePacked } from '@horus/core/message/packed'
import { Random } from '@horus/core/random'

test('a writer that grows in the middle of any value loses nothing', () => {
  for (let before = 0; before < 16; before++) {
    const writer = new Writer(16)
    writer.raw(new Uint8Array(before))
    writer.u8(1)
    writer.u16(0x0203)
    writer.u32(0x04050607)
    writer.u53(2 ** 53 - 1)
    writer.f64(-1.5)
    writer.raw(new Uint8Array(40).fill(9))
    writer.u16(0x0a0b)
    const reader = new Reader(writer.take(), before)
    assert.deepEqual([reader.u8(), reader.u16(), reader.u32(), reader.u53(), reader.f64()], [1, 0x0203, 0x04050607, 2 ** 53 - 1, -1.5])
    assert.deepEqual(reader.raw(40), new Uint8Array(40).fill(9))
    assert.deepEqual([reader.u16(), reader.left], [0x0a0b, 0])
  }
})

test('a packed number comes back, in one to eight bytes', () => {
  const random = new Random(1)
  const writer = new Writer(4)
  for (const value of [0, 127, 128, 2 ** 32, 2 ** 53 - 1, ...Array.from({ length: 500 }, () => random.below(2 ** random.between(1, 53)))]) {
    writePacked(writer.reset(), value)
    assert.ok(writer.at <= 8)
    assert.equal(readPacked(new Reader(writer.take())), value)
  }
})

test('a packed number over 2^53 is malformed', () => {
  assert.throws(() => readPacked(new Reader(new Uint8Array(9).fill(0xff))), { name: 'MalformedMessage' })
  assert.throws(() => readPacked(new Reader(Uint8Array.of(0x80))), { name: 'MalformedMessage' })
})
