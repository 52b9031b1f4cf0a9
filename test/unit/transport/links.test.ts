import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { afterEach, test } from 'node:test'
import { MalformedMessage } from '@horus/core/message/layout'
import type { Address, NodeId } from '@horus/core/units'
import { listenTogether } from '@horus/transport/bind'
import { TransportError } from '@horus/transport/errors'
import { GossipSocket } from '@horus/transport/gossip-socket'
import { closeAll, introduce, nodeIdOf, rawConnection, repeat, startClient, startNode, text } from './harness.ts'

afterEach(closeAll)

test('the first message opens a link, which then serves both directions', async () => {
  const [one, two] = [await startNode({ digit: '1' }), await startNode({ digit: '2', host: '127.0.0.2' })]
  introduce(one, two)
  one.links.send(two.id, text('a'))
  one.links.send(two.id, text('b'))
  await two.told.until('message 1 b')
  two.links.send(one.id, text('c'))
  await one.told.until('message 2 c')
  assert.deepEqual(one.told.lines, ['up 2', 'message 2 c'])
  assert.deepEqual(two.told.lines, ['up 1', 'message 1 a', 'message 1 b'])
})

test('messages of every size keep their order', async () => {
  const [one, two] = [await startNode({ digit: '1' }), await startNode({ digit: '2' })]
  introduce(one, two)
  const sizes = [1000, 16_777_216, 101, 200_000, 16_385, 16_384, 300]
  for (const size of sizes) one.links.send(two.id, new Uint8Array(size))
  await two.told.until('message 1 300 bytes')
  assert.deepEqual(two.told.lines.slice(1), sizes.map((size) => `message 1 ${size} bytes`))
})

test('two nodes that dial each other in the same moment end with one link, and lose no message', async () => {
  for (let round = 0; round < 20; round++) {
    const [one, two] = [await startNode({ digit: '1' }), await startNode({ digit: '2' })]
    introduce(one, two)
    one.links.send(two.id, text('from 1'))
    two.links.send(one.id, text('from 2'))
    await Promise.all([one.told.until('message 2 from 2'), two.told.until('message 1 from 1')])
    one.links.send(two.id, text('again'))
    await two.told.until('message 1 again')
    assert.deepEqual([one.told.count('up'), two.told.count('up'), one.told.count('down'), two.told.count('down')], [1, 1, 0, 0])
    await closeAll()
  }
})

test('a node that stops is told at once, and a node that comes back is dialled again', async () => {
  const [one, two] = [await startNode({ digit: '1' }), await startNode({ digit: '2' })]
  introduce(one, two)
  one.links.send(two.id, text('a'))
  await two.told.until('message 1 a')
  await two.links.close()
  await one.told.until('down 2 closed')
  // A link that ended this young is not dialled again at once.
  await repeat(() => one.links.send(two.id, text('lost')), () => one.told.count('down 2 unreachable') > 0)
  const again = await startNode({ digit: '2' })
  one.links.address(again.id, again.address)
  one.links.send(again.id, text('b'))
  await again.told.until('message 1 b')
  assert.equal(again.told.count('message 1 lost'), 0)
})

test('a restarted node replaces its old link, also where nobody noticed that it had gone', async () => {
  const [one, two] = [await startNode({ digit: '1' }), await startNode({ digit: '2' })]
  introduce(one, two)
  one.links.send(two.id, text('a'))
  await two.told.until('message 1 a')
  const again = await startNode({ digit: '1' })
  again.links.address(two.id, two.address)
  again.links.send(two.id, text('b'))
  await two.told.until('message 1 b')
  assert.deepEqual(two.told.lines, ['up 1', 'message 1 a', 'down 1 duplicate: replaced by a newer link', 'up 1', 'message 1 b'])
  await one.told.until('down 2')
})

test('a node that cannot be reached is told as down, and not dialled for each message', async () => {
  const one = await startNode({ digit: '1' })
  one.links.send(nodeIdOf('2'), text('a'))
  assert.match(await one.told.until('down 2'), /unreachable: the node's address is not known/)
  const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  let dialled = 0
  server.on('connection', () => dialled++)
  one.links.address(nodeIdOf('2'), `127.0.0.1:${(server.address() as { port: number }).port}` as Address)
  for (let i = 0; i < 100; i++) one.links.send(nodeIdOf('2'), text('a'))
  await one.told.until('down 2 refused')
  for (let i = 0; i < 100; i++) one.links.send(nodeIdOf('2'), text('a'))
  assert.equal(dialled, 1)
  server.close()
})

test('another node than the expected one is refused by both sides', async () => {
  const [one, two] = [await startNode({ digit: '1' }), await startNode({ digit: '2' })]
  one.links.address(nodeIdOf('3'), two.address)
  one.links.send(nodeIdOf('3'), text('a'))
  assert.match(await one.told.until('down 3'), /stranger: 127\.0\.0\.1:\d+ refused: this is the node 2{32}, not 3{32}/)
  assert.equal(two.told.count('refused stranger'), 1)
  assert.equal(two.told.count('up'), 0)
})

test('nodes of another cluster, version or address range are refused with the reason', async () => {
  const one = await startNode({ digit: '1', clusterId: 'c'.repeat(32) })
  const meets = async (settings: { cluster?: string; clusterId?: string }): Promise<string> => {
    const other = await startNode({ digit: '2', ...settings })
    introduce(one, other)
    other.links.send(one.id, text('a'))
    return other.told.until('down 1')
  }
  assert.match(await meets({ cluster: 'prod' }), /cluster: .* refused: this is cluster "test", not "prod"/)
  assert.match(await meets({ clusterId: 'd'.repeat(32) }), /cluster: .*two clusters are named "test".*never merge/)
  const picky = await startNode({ digit: '3', options: { allows: (host) => host === '127.0.0.9' } })
  const two = await startNode({ digit: '2' })
  introduce(two, picky)
  two.links.send(picky.id, text('a'))
  assert.match(await two.told.until('down 3'), /stranger: .*127\.0\.0\.1 is not in the range/)
})

test('a link to what turns out to be another cluster ends', async () => {
  const [one, two] = [await startNode({ digit: '1' }), await startNode({ digit: '2', clusterId: 'd'.repeat(32) })]
  introduce(one, two)
  one.links.send(two.id, text('a'))
  await two.told.until('message')
  one.links.identify({ nodeId: one.id, value: 1, boot: 1, cluster: 'test', clusterId: 'c'.repeat(32) as never, generation: 0 })
  await one.told.until('down 2 cluster')
})

for (const dialler of ['older', 'newer'] as const) {
  test(`of two generations the older node learns of the newer one, where the ${dialler} one dials; once it has taken it they are linked`, async () => {
    const clusterId = 'c'.repeat(32)
    const [older, newer] = [await startNode({ digit: '1', clusterId }), await startNode({ digit: '2', clusterId })]
    const identity = (node: { readonly id: NodeId }, generation: number) => ({ nodeId: node.id, value: 1, boot: 1, cluster: 'test', clusterId: clusterId as never, generation })
    newer.links.identify(identity(newer, 3))
    introduce(older, newer)
    const [from, to] = dialler === 'older' ? [older, newer] : [newer, older]
    from.links.send(to.id, text('a'))
    await older.told.until('newer 3')
    assert.equal(newer.told.count('newer'), 0)
    older.links.identify(identity(older, 3))
    await repeat(() => from.links.send(to.id, text('b')), () => to.told.count('message') > 0)
    assert.equal(to.told.count('message 1 a') + to.told.count('message 2 a'), 0)
    // Whoever falls behind has its links cut.
    newer.links.identify(identity(newer, 4))
    await newer.told.until('down 1 generation')
  })
}

test('a twin is noticed by both, a node that dials itself by nobody', async () => {
  const [one, twin, other] = [await startNode({ digit: '1' }), await startNode({ digit: '1' }), nodeIdOf('2')]
  one.links.address(other, twin.address)
  one.links.send(other, text('a'))
  await Promise.all([one.told.until('twin'), twin.told.until('twin')])
  const alone = await startNode({ digit: '3' })
  alone.links.address(other, alone.address)
  alone.links.send(other, text('a'))
  await alone.told.until('down 2 self')
  assert.equal(alone.told.count('twin'), 0)
})

test('an oversized frame before the greeting closes the connection, and so does anything that is no greeting', async () => {
  const one = await startNode({ digit: '1' })
  for (const bytes of [Uint8Array.of(0, 0, 16, 1), Buffer.from('GET / HTTP/1.1\r\n\r\n'), Uint8Array.of(0, 0, 0, 3, 1, 2, 3)]) {
    const socket = await rawConnection(one.address)
    socket.write(bytes)
    const [answer] = await once(socket, 'data') as [Buffer]
    assert.match(answer.toString('latin1'), /HORUS\x02.*malformed/s)
    await once(socket, 'close')
  }
  assert.deepEqual(one.told.lines, [])
})

test('a connection that greets too slowly is cut, wherever it stops', async () => {
  for (const secret of [undefined, 'a long common secret']) {
    const one = await startNode({ digit: '1', ...(secret === undefined ? {} : { secret }), options: { limits: { handshakeMs: 100 } } })
    for (const begun of [[], [0, 0], [0, 0, 1, 0, 72, 79], [22, 3, 1, 2, 0, 1]]) {
      const slow = await rawConnection(one.address)
      slow.resume()
      if (begun.length > 0) slow.write(Uint8Array.from(begun))
      await once(slow, 'close')
    }
    assert.deepEqual(one.told.lines, [])
  }
})

test('bytes that break a message\'s layout close the link', async () => {
  const [one, two] = [await startNode({ digit: '1' }), await startNode({ digit: '2', handlers: { message: () => { throw new MalformedMessage('broken') } } })]
  introduce(one, two)
  one.links.send(two.id, text('a'))
  await two.told.until('down 1 malformed: broken')
  await one.told.until('down 2 closed')
})

test('a node that does not read is bounded: its link is closed, and the sender goes on', async () => {
  const [one, two] = [await startNode({ digit: '1', options: { limits: { nodeBytes: 4_000_000 } } }), await startNode({ digit: '2' })]
  introduce(one, two)
  one.links.send(two.id, text('a'))
  await two.told.until('message 1 a')
  for (let i = 0; i < 10; i++) one.links.send(two.id, new Uint8Array(1_000_000))
  await one.told.until('down 2 timeout: the node reads too slowly')
  assert.ok(two.told.count('message 1 1000000') < 10)
})

test('more than the allowed connections of one address are turned away', async () => {
  const one = await startNode({ digit: '1', options: { limits: { connectionsPerHost: 2 } } })
  const first = startClient(one.address)
  await first.told.until('up 1')
  const second = startClient(one.address)
  await second.told.until('up 1')
  const third = startClient(one.address)
  await third.told.until('closed refused')
  second.link.close()
  await one.told.until('clientDown')
  const fourth = startClient(one.address)
  await fourth.told.until('up 1')
})

test('idle links are kept alive, and a silent node is given up', async () => {
  const [one, two] = [await startNode({ digit: '1', options: { limits: { lookMs: 20 } } }), await startNode({ digit: '2', options: { limits: { lookMs: 20 } } })]
  introduce(one, two)
  one.links.send(two.id, text('a'))
  await two.told.until('message 1 a')
  const three = await startNode({ digit: '3' })
  introduce(one, three)
  three.links.send(one.id, text('looks only every five seconds'))
  await one.told.until('down 3 timeout: the node is silent')
  assert.equal(one.told.count('down 2') + two.told.count('down 1'), 0)
})

test('links and datagrams listen on one address, and on neither when one is taken', async () => {
  const gossip = new GossipSocket({ onDatagram: () => undefined })
  const free = await startNode({ digit: '1' })
  await assert.rejects(listenTogether((await startNode({ digit: '2', deaf: true })).links, gossip, free.address), (error) => error instanceof TransportError && error.code === 'listen')
  await gossip.bind(free.address)
  await gossip.close()
  const { links } = await startNode({ digit: '3', deaf: true })
  const address = await listenTogether(links, gossip, '127.0.0.4:0')
  assert.match(address, /^127\.0\.0\.4:\d+$/)
  const again = new GossipSocket({ onDatagram: () => undefined })
  await assert.rejects(again.bind(address))
  await gossip.close()
})

test('anything but loopback is refused without a secret', async () => {
  const one = await startNode({ digit: '1' })
  one.links.address(nodeIdOf('2'), '10.0.0.1:6470' as Address)
  one.links.send(nodeIdOf('2'), text('a'))
  assert.match(await one.told.until('down 2'), /insecure: dialling 10\.0\.0\.1 needs a secret/)
  const coded = (code: string) => (error: unknown) => error instanceof TransportError && error.code === code
  const { links } = await startNode({ digit: '3', deaf: true })
  await assert.rejects(links.listen('0.0.0.0:0'), coded('insecure'))
  await assert.rejects(links.listen(one.address), coded('listen'))
})
