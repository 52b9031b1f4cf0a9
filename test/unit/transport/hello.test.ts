import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '@horus/core/random'
import { type ClusterId, clusterId, nodeId } from '@horus/core/units'
import { decodeControl, encodeControl } from '@horus/transport/codec'
import { TransportError } from '@horus/transport/errors'
import { common, decodeGreeting, disagreement, encodeHello, encodeRefusal, type NodeHello } from '@horus/transport/hello'
import { scan } from '@horus/transport/scan'

const malformed = (error: unknown): boolean => error instanceof TransportError && error.code === 'malformed'
const id = (digit: string): string => digit.repeat(32)

const node: NodeHello = {
  ...common('orders', clusterId(id('c')), 2, '0.1.0'), role: 'node', nodeId: nodeId(id('a')), value: 2 ** 52 + 1, boot: 7, instance: 'x', expects: nodeId(id('b')),
}

test('a greeting comes back as it was', () => {
  assert.deepEqual(decodeGreeting(encodeHello(node)), { kind: 'hello', hello: node })
  const client = { ...common('orders', undefined, 0, '0.1.0'), role: 'client', principal: 'billing' } as const
  assert.deepEqual(decodeGreeting(encodeHello(client)), { kind: 'hello', hello: client })
  assert.deepEqual(decodeGreeting(encodeRefusal({ code: 'version', text: 'too old' })), { kind: 'refusal', refusal: { code: 'version', text: 'too old' } })
})

test('a refusal\'s text cannot lead a terminal astray, and an unknown code is a refusal all the same', () => {
  const greeting = decodeGreeting(encodeRefusal({ code: 'vanity' as 'version', text: 'no\u001b[2J\nmore' }))
  assert.deepEqual(greeting, { kind: 'refusal', refusal: { code: 'refused', text: 'no?[2J?more' } })
})

test('a greeting with a field missing or of another type is refused', () => {
  const tail = (value: unknown): Uint8Array => Buffer.concat([Buffer.from('HORUS\x01'), encodeControl(value)])
  const { nodeId: _, ...without } = node
  for (const value of [1, null, [], {}, without, { ...node, nodeId: 'short' }, { ...node, boot: -1 }, { ...node, boot: '1' }, { ...node, cluster: 'x'.repeat(256) }, { ...node, role: 'king' }]) {
    assert.throws(() => decodeGreeting(tail(JSON.parse(JSON.stringify(value)))), malformed, JSON.stringify(value))
  }
  assert.throws(() => decodeGreeting(Buffer.from('GET / HTTP/1.1')), malformed)
  assert.throws(() => decodeGreeting(Buffer.from('HOR')), malformed)
  assert.throws(() => decodeGreeting(Buffer.concat([Buffer.from('HORUS\x03'), encodeControl(node)])), malformed)
})

test('two sides that do not fit are told why', () => {
  const mine = common('orders', clusterId(id('c')), 2, '0.1.0')
  const told = (theirs: Partial<NodeHello>): string | undefined => disagreement(mine, { ...mine, ...theirs })?.code
  assert.equal(told({}), undefined)
  assert.equal(told({ cluster: 'bills' }), 'cluster')
  assert.equal(told({ clusterId: id('d') as ClusterId }), 'cluster')
  assert.equal(told({ clusterId: undefined, generation: 0 }), undefined)
  assert.equal(told({ generation: 1 }), 'generation')
  assert.equal(told({ protocol: 9, oldest: 9 }), 'version')
  assert.equal(told({ protocol: 9, oldest: 1 }), undefined)
})

test('evil CBOR does not reach the decoder', () => {
  const evil: Record<string, readonly number[]> = {
    nothing: [],
    'a bignum': [0xc2, 0x41, 1],
    'a record of cbor-x': [0xd9, 0xdf, 0xff, 0x83, 0, 0x81, 0x61, 0x61, 1],
    'an indefinite text': [0x7f, 0x61, 0x61, 0xff],
    'an indefinite array': [0x9f, 1, 0xff],
    'an indefinite map': [0xbf, 0xff],
    'a break': [0xff],
    'a text that is cut short': [0x62, 0x61],
    'an array that claims much': [0x9a, 0xff, 0xff, 0xff, 0xff],
    'a number over 2^53': [0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    'an unassigned simple value': [0xf8, 0xff],
    'a key that is no text': [0xa1, 1, 1],
    'a key that reaches a prototype': [0xa1, 0x69, ...Buffer.from('__proto__'), 0xa0],
    'bytes behind the value': [1, 1],
    'nesting of 17': [...new Array(17).fill(0x81), 1],
    'more than 4,096 items': [0x99, 0x10, 0, ...new Array(4096).fill(0)],
    'a reserved length': [0x1c],
  }
  for (const [what, bytes] of Object.entries(evil)) assert.throws(() => decodeControl(Uint8Array.from(bytes)), malformed, what)
  scan(Uint8Array.from([...new Array(16).fill(0x81), 1]))
})

test('what JSON could say, and byte strings, get through', () => {
  const value = { a: [1, -5, 1.5, 2 ** 53 - 1, true, false, null, 'ü', ''], b: { c: {} } }
  assert.deepEqual(decodeControl(encodeControl(value)), value)
  const { bytes } = decodeControl(encodeControl({ bytes: Uint8Array.of(1, 2) })) as { bytes: Uint8Array }
  assert.deepEqual([...bytes], [1, 2])
})

test('no bytes make the decoder throw anything but malformed', () => {
  const random = new Random(3)
  const good = encodeHello(node)
  for (let round = 0; round < 4000; round++) {
    const bytes = good.slice()
    for (let i = random.between(1, 4); i > 0; i--) bytes[random.between(6, bytes.length - 1)] = random.below(256)
    try {
      decodeGreeting(bytes)
    } catch (error) {
      assert.ok(malformed(error), String(error))
    }
  }
})
