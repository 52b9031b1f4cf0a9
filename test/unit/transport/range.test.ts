import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ADDRESSES_MAX, parsePorts, Range, resolveSeeds } from '@horus/transport/range'
import { parseAddress } from '@horus/transport/address'
import { TransportError } from '@horus/transport/errors'

const clear = (pattern: RegExp) => (error: unknown) => error instanceof TransportError && error.code === 'address' && pattern.test(error.message) && !error.message.includes('\n')

test('a range times its ports gives every address once, in order', () => {
  assert.deepEqual(new Range('127.0.0.0/30').addresses(), ['127.0.0.0:6470', '127.0.0.1:6470', '127.0.0.2:6470', '127.0.0.3:6470'])
  assert.deepEqual(new Range('10.0.0.7', '6470-6472').addresses(), ['10.0.0.7:6470', '10.0.0.7:6471', '10.0.0.7:6472'])
  assert.deepEqual(new Range(['10.0.0.8/31', '10.0.0.8/32', '10.0.0.9/32'], [7000]).addresses(), ['10.0.0.8:7000', '10.0.0.9:7000'])
  assert.deepEqual(new Range('10.0.0.5/31').addresses(), ['10.0.0.4:6470', '10.0.0.5:6470'])
})

test('a range of 65,536 addresses is taken, one more is refused with the advice to use seeds', () => {
  assert.equal(new Range('10.1.0.0/16').addresses().length, ADDRESSES_MAX)
  assert.throws(() => new Range('10.1.0.0/16,10.2.0.0/32'), clear(/65537 addresses.*seeds/))
  assert.throws(() => new Range('10.1.0.0/16', '6470,6471'), clear(/131072 addresses.*seeds/))
  assert.throws(() => new Range('0.0.0.0/0'), clear(/seeds/))
})

test('what is no range is refused in one line that shows it', () => {
  for (const text of ['10.0.0.0/33', '10.0.0/24', '10.0.0.256/30', '010.0.0.1/30', '10.0.0.0/24/2', '10.0.0.0/', '::1/128', 'somewhere', '10.0.0.0/-1']) {
    assert.throws(() => new Range(text), clear(new RegExp(`"${text.replaceAll('.', '\\.')}" is no range`)), text)
  }
})

test('a range is the allow-list too, whatever the port', () => {
  const range = new Range('10.0.0.0/24,192.168.1.4')
  assert.ok(range.allows('10.0.0.255') && range.allows('10.0.0.0:1234') && range.allows('192.168.1.4'))
  assert.ok(!range.allows('10.0.1.0') && !range.allows('192.168.1.5') && !range.allows('::1') && !range.allows('localhost'))
})

test('ports are a number, a span or a list', () => {
  assert.deepEqual(parsePorts(6470), [6470])
  assert.deepEqual(parsePorts('6474,6470-6472,6471'), [6470, 6471, 6472, 6474])
  for (const text of ['0', '65536', '6470-', '7-6', '', 'http', '1-65535']) assert.throws(() => parsePorts(text), clear(/port/), text)
})

test('an address has an IPv4 host and a port', () => {
  assert.deepEqual(parseAddress('10.0.0.7'), { host: '10.0.0.7', port: 6470 })
  for (const text of ['10.0.0.7:99999', 'host:1', '10.0.0:1', '', ':6470', '10.0.0.7:']) assert.throws(() => parseAddress(text), clear(/address/), text)
})

test('a seed is an address or a name, and a name without addresses is told and left out', async () => {
  const missing: string[] = []
  assert.deepEqual(await resolveSeeds('127.0.0.3:7000,localhost,no-such-host.invalid,127.0.0.3:7000', 6470, (seed) => missing.push(seed)), ['127.0.0.3:7000', '127.0.0.1:6470'])
  assert.deepEqual(missing, ['no-such-host.invalid'])
})
