import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import type { Address } from '@horus/core/units'
import { TransportError } from '@horus/transport/errors'
import { DATAGRAM_BYTES_MAX, GossipSocket } from '@horus/transport/gossip-socket'
import { Keyring } from '@horus/transport/keyring'

interface Received {
  readonly from: Address
  readonly bytes: Uint8Array
}

const open: GossipSocket[] = []
afterEach(async () => {
  for (const socket of open.splice(0)) await socket.close()
})

async function makeSocket(options: { secret?: string; host?: string; allows?: (host: string) => boolean } = {}) {
  const inbox: Received[] = []
  let arrived = (): void => undefined
  const socket = new GossipSocket({
    keyring: options.secret === undefined ? undefined : new Keyring(options.secret),
    allows: options.allows,
    onDatagram(from, bytes) {
      inbox.push({ from, bytes })
      arrived()
    },
  })
  open.push(socket)
  const address = await socket.bind(`${options.host ?? '127.0.0.1'}:0`)
  const next = async (): Promise<Received> => {
    while (inbox.length === 0) await new Promise<void>((resolve) => (arrived = resolve))
    return inbox.shift()!
  }
  return { socket, address, next }
}

test('a datagram arrives with the address of its sender', async () => {
  for (const secret of [undefined, 'a long common secret']) {
    const one = await makeSocket({ ...(secret === undefined ? {} : { secret }), host: '127.0.0.2' })
    const two = await makeSocket(secret === undefined ? {} : { secret })
    one.socket.send(two.address, new Uint8Array(DATAGRAM_BYTES_MAX).fill(9))
    const { from, bytes } = await two.next()
    assert.equal(from, one.address)
    assert.deepEqual(bytes, new Uint8Array(DATAGRAM_BYTES_MAX).fill(9))
  }
})

test('whoever lacks the secret, or is not in the range, gets no datagram through', async () => {
  const receiver = await makeSocket({ secret: 'a long common secret', allows: (host) => host === '127.0.0.1' })
  const friend = await makeSocket({ secret: 'a long common secret' })
  const wrong = await makeSocket({ secret: 'another long secret' })
  const plain = await makeSocket()
  const outside = await makeSocket({ secret: 'a long common secret', host: '127.0.0.2' })
  for (const { socket } of [wrong, plain, outside, friend]) socket.send(receiver.address, Uint8Array.of(1))
  assert.equal((await receiver.next()).from, friend.address)
  assert.deepEqual({ received: receiver.socket.counts.received, foreign: receiver.socket.counts.foreign, strangers: receiver.socket.counts.strangers }, { received: 1, foreign: 2, strangers: 1 })
})

test('what cannot be sent is counted, never thrown', async () => {
  const { socket, address, next } = await makeSocket()
  socket.send(address, new Uint8Array(DATAGRAM_BYTES_MAX + 1))
  socket.send('10.0.0.1:6470' as Address, Uint8Array.of(1))
  socket.send('nowhere' as Address, Uint8Array.of(1))
  socket.send('127.0.0.1:0' as Address, Uint8Array.of(1))
  socket.send(address, Uint8Array.of(1))
  await next()
  assert.equal(socket.counts.tooMuch, 1)
  assert.equal(socket.counts.errors, 3)
  await socket.close()
  socket.send(address, Uint8Array.of(1))
})

test('an address that is taken, or not loopback without a secret, is refused', async () => {
  const { address } = await makeSocket()
  const coded = (code: string) => (error: unknown) => error instanceof TransportError && error.code === code
  const socket = new GossipSocket({ onDatagram: () => undefined })
  await assert.rejects(socket.bind(address), coded('listen'))
  await assert.rejects(socket.bind('0.0.0.0:0'), coded('insecure'))
  await assert.rejects(socket.bind('10.0.0.1:0'), coded('insecure'))
  await assert.rejects(socket.bind('here'), coded('address'))
})
