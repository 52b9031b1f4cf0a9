import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { Keyring } from '@horus/transport/keyring'
import { closeAll, introduce, rawConnection, startClient, startNode, text } from './harness.ts'

afterEach(closeAll)

const secret = 'a long common secret'

test('nodes and clients that share a secret speak over TLS', async () => {
  const [one, two] = [await startNode({ digit: '1', secret }), await startNode({ digit: '2', secret, host: '127.0.0.2' })]
  introduce(one, two)
  one.links.send(two.id, text('a'))
  two.links.send(one.id, new Uint8Array(3_000_000))
  await Promise.all([two.told.until('message 1 a'), one.told.until('message 2 3000000 bytes')])
  const { link, told } = startClient(one.address, { secret, principal: 'billing' })
  await told.until('up 1')
  link.send(text('ask'))
  await one.told.until('clientMessage ask')
  one.links.client(one.clients[0]!, text('answer'))
  await told.until('message answer')
  assert.equal(one.told.count('clientUp billing'), 1)
})

test('a wrong secret, a missing one and a superfluous one are told apart', async () => {
  const secured = await startNode({ digit: '1', secret })
  const plain = await startNode({ digit: '2' })
  const told = (address: string, options = {}): Promise<string> => startClient(address, options).told.until('closed')
  assert.match(await told(secured.address, { secret: 'another long secret' }), /^closed secret: 127.* has another secret$/)
  assert.match(await told(secured.address), /^closed secret: 127.* refused: this node wants a secret$/)
  assert.match(await told(plain.address, { secret }), /^closed secret: 127.* has no secret; this side was given one$/)
  assert.deepEqual([secured.told.lines, plain.told.lines], [[], []])
})

test('nodes of another secret stay apart', async () => {
  const [one, two] = [await startNode({ digit: '1', secret }), await startNode({ digit: '2', secret: 'another long secret' })]
  introduce(one, two)
  one.links.send(two.id, text('a'))
  await one.told.until('down 2 secret')
  assert.deepEqual(two.told.lines, [])
})

test('whoever has the right secret and says the wrong things is refused as ever', async () => {
  const one = await startNode({ digit: '1', secret })
  const { told } = startClient(one.address, { secret, cluster: 'prod' })
  assert.match(await told.until('closed'), /cluster: .*this is cluster "test"/)
})

test('garbage instead of TLS only ends its own connection', async () => {
  const one = await startNode({ digit: '1', secret })
  const socket = await rawConnection(one.address)
  socket.write(Uint8Array.of(22, 3, 1, 255, 255, ...new Array(100).fill(7)))
  socket.resume()
  await new Promise((resolve) => socket.once('close', resolve))
  const { told } = startClient(one.address, { secret })
  await told.until('up 1')
})

test('a client\'s own secret lets it in as itself, and as nobody else', async () => {
  const one = await startNode({ digit: '1', secret, options: { keyring: new Keyring(secret), credentials: (principal) => (principal === 'billing' ? 'the secret of billing' : undefined) } })
  const good = startClient(one.address, { principal: 'billing', credential: 'the secret of billing' })
  await good.told.until('up 1')
  assert.equal(one.told.count('clientUp billing'), 1)
  const wrong = startClient(one.address, { principal: 'billing', credential: 'a guess' })
  await wrong.told.until('closed secret')
  const unknown = startClient(one.address, { principal: 'root', credential: 'the secret of billing' })
  await unknown.told.until('closed secret')
})

test('a secret is changed while links are made', async () => {
  const ring = new Keyring('the first long secret')
  const one = await startNode({ digit: '1', options: { keyring: ring } })
  const first = startClient(one.address, { secret: 'the first long secret' })
  await first.told.until('up 1')
  const old = ring.current
  ring.use(ring.add('the second long secret'))
  const second = startClient(one.address, { secret: 'the second long secret' })
  await second.told.until('up 1')
  ring.remove(old)
  const late = startClient(one.address, { secret: 'the first long secret' })
  await late.told.until('closed secret')
  assert.ok(first.link.up)
})
