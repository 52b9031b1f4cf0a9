import assert from 'node:assert/strict'
import { createSocket, type Socket as Datagrams } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { randomSubnetPair } from '@horus/node/local/addresses'
import { until } from '@horus/node/local/until'
import { CLIENTS, Proxy } from '../../chaos/proxy.ts'

const NODES = 2

interface Node {
  readonly arrived: Socket[]
  readonly datagrams: string[]
  readonly udp: Datagrams
}

/** Two plain listeners with a proxy before them. */
async function stage(t: TestContext) {
  const [listening, advertised] = await randomSubnetPair(NODES)
  const nodes: Node[] = []
  for (const { host, port } of listening.addresses) {
    const arrived: Socket[] = []
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => {})
      arrived.push(socket)
    })
    server.listen({ host, port })
    await once(server, 'listening')
    const udp = createSocket('udp4')
    const datagrams: string[] = []
    udp.on('message', (bytes, remote) => datagrams.push(`${bytes.toString()} from ${remote.address}`))
    udp.bind({ address: host, port })
    await once(udp, 'listening')
    nodes.push({ arrived, datagrams, udp })
    t.after(() => {
      for (const socket of arrived) socket.destroy()
      server.close()
      udp.close()
    })
  }
  const proxy = new Proxy({ listening: listening.addresses, advertised: advertised.addresses })
  await proxy.open()
  t.after(() => proxy.close())
  const dial = async (from: number, to: number) => {
    const { host, port } = advertised.addresses[to]!
    const near = connect({ host, port, allowHalfOpen: true, ...(from === CLIENTS ? {} : { localAddress: listening.addresses[from]!.host }) })
    t.after(() => near.destroy())
    const before = nodes[to]!.arrived.length
    await once(near, 'connect')
    const far = await until('the connection has arrived', () => nodes[to]!.arrived[before])
    return { near: listened(near), far: listened(far) }
  }
  return { nodes, proxy, dial, advertised: advertised.addresses }
}

interface Listened {
  readonly socket: Socket
  text: string
  ended: boolean
  error: string | undefined
}

function listened(socket: Socket): Listened {
  const seen: Listened = { socket, text: '', ended: false, error: undefined }
  socket.on('data', (bytes) => void (seen.text += bytes.toString()))
  socket.on('end', () => void (seen.ended = true))
  socket.on('error', (error: NodeJS.ErrnoException) => void (seen.error = error.code))
  return seen
}

test('bytes and closes pass both ways, and a node is seen where it is said to be', async (t) => {
  const { dial, advertised } = await stage(t)
  const { near, far } = await dial(0, 1)
  assert.equal(far.socket.remoteAddress, advertised[0]!.host)
  near.socket.write('there')
  await until('it is there', () => far.text === 'there')
  far.socket.end('back')
  await until('it is back, and so is the close', () => near.text === 'back' && near.ended)
  near.socket.end()
  await until('the other close has come', () => far.ended)
})

test('a cut is a reset for both sides', async (t) => {
  const { dial, proxy } = await stage(t)
  const { near, far } = await dial(CLIENTS, 0)
  for (const pipe of proxy.pipes()) if (pipe.source === CLIENTS && pipe.target === 0) pipe.cut()
  await until('both were told', () => near.error === 'ECONNRESET' && far.error === 'ECONNRESET')
  await until('the proxy has forgotten it', () => proxy.pipes().length === 0)
})

test('a connection that carries nothing in one direction carries the other, and tells neither side', async (t) => {
  const { dial, proxy } = await stage(t)
  const { near, far } = await dial(0, 1)
  proxy.gate(0, 1).shut(['tcp'])
  near.socket.write('held')
  near.socket.end()
  // What comes back was sent behind the other, so by then that would have come.
  far.socket.write('passes')
  await until('the open direction carries', () => near.text === 'passes')
  assert.deepEqual([far.text, far.ended, far.error], ['', false, undefined])
  proxy.gate(0, 1).open()
  await until('what was held arrives late', () => far.text === 'held' && far.ended)
})

test('of a side that has gone behind a shut gate the other learns when it opens', async (t) => {
  const { dial, proxy } = await stage(t)
  const { near, far } = await dial(0, 1)
  proxy.gate(1, 0).shut(['tcp'])
  far.socket.resetAndDestroy()
  near.socket.write('into the void')
  const other = await dial(CLIENTS, 1)
  other.near.socket.write('a later one')
  await until('another connection is served meanwhile', () => other.far.text === 'a later one')
  assert.deepEqual([near.ended, near.error], [false, undefined])
  proxy.gate(1, 0).open()
  await until('it was told', () => near.error === 'ECONNRESET' || near.ended)
})

test('bytes on a slow link keep their order', async (t) => {
  const { dial, proxy } = await stage(t)
  const { near, far } = await dial(0, 1)
  proxy.gate(0, 1).delayMs = 80
  const sentAt = performance.now()
  near.socket.write('first ')
  await once(far.socket, 'data')
  assert.ok(performance.now() - sentAt >= 79, 'the first piece waited')
  proxy.gate(0, 1).delayMs = 40
  near.socket.write('second ')
  await until('the proxy has read the second piece', () => near.socket.bytesWritten === 13)
  proxy.gate(0, 1).open()
  near.socket.end('third')
  await until('all have come', () => far.ended)
  assert.equal(far.text, 'first second third')
})

test('datagrams pass from where a node is said to be, and are lost behind a shut gate', async (t) => {
  const { nodes, proxy, advertised } = await stage(t)
  const send = (text: string): void => nodes[0]!.udp.send(text, advertised[1]!.port, advertised[1]!.host)
  send('one')
  await until('it has come', () => nodes[1]!.datagrams.length === 1)
  proxy.gate(0, 1).shut(['udp'])
  send('two')
  await until('the gate has taken it', () => proxy.datagramsLost === 1)
  nodes[1]!.udp.send('other way', advertised[0]!.port, advertised[0]!.host)
  await until('the other direction carries', () => nodes[0]!.datagrams.length === 1)
  proxy.gate(0, 1).open()
  send('three')
  await until('the next one has come', () => nodes[1]!.datagrams.includes(`three from ${advertised[0]!.host}`))
  assert.deepEqual(nodes[1]!.datagrams, [`one from ${advertised[0]!.host}`, `three from ${advertised[0]!.host}`])
})
