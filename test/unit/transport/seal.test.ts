import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TransportError } from '@horus/transport/errors'
import { Keyring } from '@horus/transport/keyring'
import { PlainSealer, ReplayWindow, SEAL_BYTES, SecretSealer, type Unsealed } from '@horus/transport/seal'

const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const payloadOf = (unsealed: Unsealed): string | undefined => (unsealed.kind === 'payload' ? new TextDecoder().decode(unsealed.payload) : undefined)
const reasonOf = (unsealed: Unsealed): string | undefined => (unsealed.kind === 'dropped' ? unsealed.reason : undefined)

test('a sealed datagram opens for whoever has the secret, and shows nothing of its payload', () => {
  const sealed = new SecretSealer(new Keyring('a long common secret')).seal(text('who is there?'))
  assert.equal(sealed.length, 13 + SEAL_BYTES)
  assert.ok(!Buffer.from(sealed).includes('who'))
  assert.equal(payloadOf(new SecretSealer(new Keyring('a long common secret')).open(sealed)), 'who is there?')
})

test('another secret, plain bytes, and any single changed bit are foreign', () => {
  const sealed = new SecretSealer(new Keyring('a long common secret')).seal(text('hello'))
  const receiver = new SecretSealer(new Keyring('a long common secret'))
  assert.equal(reasonOf(new SecretSealer(new Keyring('another secret')).open(sealed)), 'foreign')
  assert.equal(reasonOf(receiver.open(new PlainSealer().seal(text('hello')))), 'foreign')
  assert.equal(reasonOf(new PlainSealer().open(sealed)), 'foreign')
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const changed = Uint8Array.from(sealed)
    changed[bit >> 3]! ^= 1 << (bit & 7)
    assert.equal(reasonOf(receiver.open(changed)), 'foreign', `bit ${bit}`)
  }
  for (let length = 0; length < sealed.length; length++) assert.equal(reasonOf(receiver.open(sealed.subarray(0, length))), 'foreign')
  assert.equal(payloadOf(receiver.open(sealed)), 'hello')
})

test('a datagram is let through once', () => {
  const keyring = new Keyring('a long common secret')
  const sender = new SecretSealer(keyring)
  const receiver = new SecretSealer(keyring)
  const datagrams = Array.from({ length: 2000 }, (_, i) => sender.seal(text(String(i))))
  assert.equal(payloadOf(receiver.open(datagrams[1999]!)), '1999')
  assert.equal(payloadOf(receiver.open(datagrams[1990]!)), '1990')
  assert.equal(reasonOf(receiver.open(datagrams[1999]!)), 'replayed')
  assert.equal(reasonOf(receiver.open(datagrams[1990]!)), 'replayed')
  assert.equal(reasonOf(receiver.open(datagrams[10]!)), 'replayed', 'too old to be told from a repeated one')
})

test('the replay window knows each of its counters', () => {
  const window = new ReplayWindow()
  for (const counter of [1, 5, 1030, 3000, 2999, 1977]) {
    assert.ok(window.fresh(counter), String(counter))
    window.mark(counter)
    assert.ok(!window.fresh(counter), String(counter))
  }
  assert.ok(window.fresh(2998) && window.fresh(2500))
  assert.ok(!window.fresh(1976) && !window.fresh(5) && !window.fresh(0))
})

test('a secret is changed without a pause: add, use, remove', () => {
  const left = new Keyring('the first secret')
  const right = new Keyring('the first secret')
  const sender = new SecretSealer(left)
  const receiver = new SecretSealer(right)
  const first = right.current
  const second = right.add('the second secret')
  assert.equal(payloadOf(receiver.open(sender.seal(text('1')))), '1')
  left.use(left.add('the second secret'))
  assert.equal(payloadOf(receiver.open(sender.seal(text('2')))), '2')
  right.use(second)
  right.remove(first)
  assert.equal(payloadOf(receiver.open(sender.seal(text('3')))), '3')
  left.use(first)
  assert.equal(reasonOf(receiver.open(sender.seal(text('4')))), 'foreign')
})

test('a keyring refuses what would leave it without a key', () => {
  const keyring = new Keyring('short')
  assert.ok(keyring.weak)
  assert.ok(!new Keyring('sixteen bytes and more').weak)
  for (const wrong of [() => new Keyring(''), () => keyring.remove(keyring.current), () => keyring.use('00000000')]) {
    assert.throws(wrong, (error) => error instanceof TransportError && error.code === 'secret')
  }
  assert.equal(keyring.add('short'), keyring.current)
  for (let i = 0; i < 7; i++) keyring.add(`secret ${i}`)
  assert.throws(() => keyring.add('one too many'), /more than 8/)
})
