import assert from 'node:assert/strict'
import { test } from 'node:test'
import { common, type NodeHello } from '@horus/transport/hello'
import type { Connection } from '@horus/transport/connection'
import { judge, Peer, WAITING_BYTES_MAX } from '@horus/transport/peer'
import { nodeIdOf } from './harness.ts'

const [lower, higher] = [nodeIdOf('1'), nodeIdOf('2')]
const hello = (from: string, instance = 'first'): NodeHello => ({ ...common('test', undefined, 0, '0'), role: 'node', nodeId: nodeIdOf(from), value: 1, boot: 1, instance, expects: undefined })
const link = (from: string, dialled: boolean, since: number) => ({ connection: {} as Connection, hello: hello(from), dialled, since })

test('of two that dial each other, both let the lower one\'s link count', () => {
  const atLower = new Peer(higher)
  atLower.abandonDial = () => undefined
  const atHigher = new Peer(lower)
  atHigher.abandonDial = () => undefined
  assert.equal(judge(lower, atLower, hello('2'), 0).kind, 'hold')
  assert.equal(judge(higher, atHigher, hello('1'), 0).kind, 'accept')
})

test('a greeting that crossed the making of a link is refused by the lower one, and replaces the link later', () => {
  const peer = new Peer(higher)
  peer.link = link('2', true, 1000)
  assert.equal(judge(lower, peer, hello('2'), 1500).kind, 'refuse')
  assert.equal(judge(lower, peer, hello('2'), 9000).kind, 'accept')
  assert.equal(judge(lower, peer, hello('2', 'restarted'), 1500).kind, 'accept')
  peer.link = link('2', false, 1000)
  assert.equal(judge(lower, peer, hello('2'), 1500).kind, 'accept')
})

test('failures are followed by rising waits, and a steady link by none', () => {
  const peer = new Peer(higher)
  assert.ok(peer.mayDial(0))
  peer.failed(0)
  assert.ok(!peer.mayDial(24) && peer.mayDial(50))
  for (let i = 0; i < 20; i++) peer.failed(0)
  assert.ok(!peer.mayDial(499) && peer.mayDial(1000))
  peer.linkEnded(5000, 1000)
  assert.ok(peer.mayDial(5000))
  peer.linkEnded(5000, 4990)
  assert.ok(!peer.mayDial(5000))
  peer.encourage()
  assert.ok(peer.mayDial(5000))
})

test('what waits for a link is bounded, and the first refusal is told apart', () => {
  const peer = new Peer(higher)
  assert.equal(peer.wait(new Uint8Array(WAITING_BYTES_MAX)), 'kept')
  assert.equal(peer.wait(new Uint8Array(1)), 'first refused')
  assert.equal(peer.wait(new Uint8Array(1)), 'refused')
  assert.equal(peer.takeWaiting().length, 1)
  assert.equal(peer.wait(new Uint8Array(1)), 'kept')
})
