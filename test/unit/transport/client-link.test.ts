import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { afterEach, test } from 'node:test'
import type { ClusterId } from '@horus/core/units'
import { FrameBatch } from '@horus/transport/frame'
import { common, encodeHello } from '@horus/transport/hello'
import { closeAll, rawConnection, startClient, startNode, text } from './harness.ts'

afterEach(closeAll)

test('a client and a node exchange messages until the client closes', async () => {
  const node = await startNode({ digit: '1' })
  const { link, told } = startClient(node.address, { principal: 'billing' })
  assert.equal(link.send(text('too early')), false)
  await told.until('up 1')
  assert.ok(link.send(text('ask')))
  await node.told.until('clientMessage ask')
  node.links.client(node.clients[0]!, text('answer'))
  await told.until('message answer')
  link.send(text('last words'))
  link.close()
  await node.told.until('clientDown closed')
  await told.until('closed closed')
  assert.deepEqual(node.told.lines.slice(0, 3), ['clientUp billing', 'clientMessage ask', 'clientMessage last words'])
  assert.equal(link.send(text('too late')), false)
})

test('a node that closes a client or stops sends what is queued first', async () => {
  const node = await startNode({ digit: '1' })
  const one = startClient(node.address)
  await one.told.until('up')
  node.links.client(node.clients[0]!, text('goodbye'))
  node.links.closeClient(node.clients[0]!, 'asked to')
  await one.told.until('closed closed')
  assert.deepEqual(one.told.lines.slice(0, 2), ['up 1', 'message goodbye'])
  assert.match(await node.told.until('clientDown'), /asked to/)
  const two = startClient(node.address)
  await two.told.until('up')
  node.links.client(node.clients[1]!, text('stopping'))
  await node.links.close()
  await two.told.until('closed closed')
  assert.equal(two.told.count('message stopping'), 1)
})

test('a name is resolved', async () => {
  const node = await startNode({ digit: '1' })
  const { told } = startClient(`localhost:${node.address.split(':')[1]}`)
  await told.until('up 1')
})

test('a client learns in one line why it got no link', async () => {
  const node = await startNode({ digit: '1', clusterId: 'c'.repeat(32) })
  const told = (address: string, options = {}): Promise<string> => startClient(address, options).told.until('closed')
  assert.match(await told(node.address, { cluster: 'prod' }), /^closed cluster: 127.* refused: this is cluster "test", not "prod"$/)
  assert.match(await told(node.address, { clusterId: 'd'.repeat(32) as ClusterId }), /^closed cluster: .*two clusters/)
  const free = createServer().listen(0, '127.0.0.1')
  await once(free, 'listening')
  const nobody = `127.0.0.1:${(free.address() as { port: number }).port}`
  free.close()
  await once(free, 'close')
  assert.match(await told(nobody), /^closed unreachable: 127.* cannot be reached: nobody listens there$/)
  assert.match(await told('10.0.0.1:6470'), /^closed insecure: dialling 10.0.0.1 needs a secret/)
  assert.match(await told('no-such-host.invalid:1'), /^closed unreachable: /)
  assert.match(await told('bad address'), /^closed address: /)
})

test('an abandoned attempt ends once, as closed', async () => {
  const node = await startNode({ digit: '1' })
  const { link, told } = startClient(node.address)
  link.close()
  await told.until('closed')
  const second = startClient('localhost:1')
  second.link.close()
  await second.told.until('closed')
  assert.deepEqual([told.lines, second.told.lines], [['closed closed: closed by this side'], ['closed closed: closed by this side']])
})

test('a server that does not speak the protocol is told from a node', async () => {
  const server = createServer((socket) => socket.on('error', () => undefined).end('HTTP/1.1 400 Bad Request\r\n\r\n')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { told } = startClient(`127.0.0.1:${(server.address() as { port: number }).port}`)
  await told.until('closed malformed')
  server.close()
})

test('a client that asks and does not read is no longer read, and closed when too much waits for it', async () => {
  const limit = 6_000_000
  let asked = 0
  const node = await startNode({
    digit: '1', options: { limits: { clientBytes: limit } },
    handlers: {
      clientMessage(connection) {
        asked++
        node.links.client(connection, new Uint8Array(500_000))
      },
    },
  })
  const socket = await rawConnection(node.address)
  socket.pause()
  const batch = new FrameBatch()
  batch.add(encodeHello({ ...common('test', undefined, 0, '0'), role: 'client', principal: 'slow' }))
  socket.write(Buffer.concat(batch.take()))
  await node.told.until('clientUp slow')
  const connection = node.clients[0]!
  const question = new FrameBatch()
  let written = 0
  const ask = (): void => {
    question.add(new Uint8Array(200_000))
    for (const piece of question.take()) socket.write(piece)
    written++
  }
  // Answers pile up behind the unread ones until the node stops reading; then the questions pile up in this process.
  let before = -1
  while (asked !== before || asked < 8) {
    before = asked
    ask()
    for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
  assert.ok(asked < written, `${asked} of ${written}`)
  assert.ok(node.links.clientOutstanding(connection) <= limit)
  assert.equal(node.told.count('clientDown'), 0)
  for (let i = 0; i < 12; i++) node.links.client(connection, new Uint8Array(500_000))
  await node.told.until('clientDown timeout: the client reads too slowly')
})

test('a client that reads again is read again', async () => {
  const node = await startNode({ digit: '1' })
  const { link, told } = startClient(node.address)
  await told.until('up')
  node.links.client(node.clients[0]!, new Uint8Array(8_000_000))
  link.send(text('ask'))
  await told.until('message 8000000 bytes')
  await node.told.until('clientMessage ask')
})
