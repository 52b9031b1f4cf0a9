import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Now } from '@horus/core/actor'
import type { DeviceRequest } from '@horus/core/device'
import type { Identity, ReplicaInput, ReplicaOutbox } from '@horus/core/replica'
import { never, type Address, type Instant } from '@horus/core/units'
import { Host, STOP_MS_MAX, type HostedReplica, type HostListener, type HostNetwork } from '@horus/node/host'

const IDENTITY = { nodeId: '0'.repeat(32), value: 5, boot: 1, cluster: 'test', clusterId: undefined, generation: 1 } as Identity

/** A replica that writes down what it gets, and does what a test tells it. */
class Script implements HostedReplica {
  wakeAt: Instant = never
  readonly got: string[] = []
  onInput: (input: ReplicaInput, outbox: ReplicaOutbox, now: Now) => void = () => {}
  onWake: (outbox: ReplicaOutbox, now: Now) => void = () => {}

  receive(now: Now, input: ReplicaInput, outbox: ReplicaOutbox): void {
    this.got.push(input.kind)
    this.onInput(input, outbox, now)
  }

  wake(now: Now, outbox: ReplicaOutbox): void {
    this.got.push('wake')
    this.onWake(outbox, now)
  }
}

function fixture() {
  const replica = new Script()
  const did: string[] = []
  const network: HostNetwork = {
    identify: async () => void did.push('identify'),
    datagram: (to) => void did.push(`datagram ${to}`),
    send: (to) => void did.push(`send ${to}`),
    address: () => {},
    client: () => {},
    closeClient: () => {},
    closeLink: () => {},
    flush: () => void did.push('flush'),
    close: async () => void did.push('close network'),
  }
  const device = { request: (request: DeviceRequest) => void did.push(request.kind), close: async () => void did.push('close device') }
  const ended: (string | undefined)[] = []
  let tell = (): void => {}
  const end = new Promise<void>((resolve) => (tell = resolve))
  const listener: HostListener = {
    listening: () => void did.push('listening'),
    event: (event) => void did.push(event.kind),
    ended: (reason) => {
      ended.push(reason)
      tell()
    },
  }
  const host = new Host(replica, listener)
  const start = (): void => host.start(device, network)
  return { replica, did, host, start, ended, end }
}

const turnOfLoop = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const datagram = (): ReplicaInput => ({ kind: 'datagram', from: '127.0.0.1:1' as Address, bytes: new Uint8Array() })

test('everything that came in one turn of the loop is followed by one turn, and then all links are written', async () => {
  const { replica, host, start, did } = fixture()
  start()
  host.input(datagram())
  host.input(datagram())
  await turnOfLoop()
  assert.deepEqual(replica.got, ['start', 'datagram', 'datagram', 'turn'])
  assert.deepEqual(did, ['flush'])
  await turnOfLoop()
  assert.equal(replica.got.length, 4)
})

test('what effects lead to waits until the step is over', async () => {
  const { replica, host, start } = fixture()
  let inside = false
  replica.onInput = (input) => {
    assert.equal(inside, false)
    inside = true
    if (input.kind === 'start') host.input(datagram())
    inside = false
  }
  start()
  assert.deepEqual(replica.got, ['start', 'datagram'])
})

test('sockets open when the identity is durable, and then it listens', async () => {
  const { replica, start, did } = fixture()
  replica.onInput = (input, outbox) => {
    if (input.kind === 'start') outbox.identity(IDENTITY)
  }
  start()
  await turnOfLoop()
  assert.deepEqual(did.slice(0, 2), ['identify', 'listening'])
})

test('a replica is woken when its time has come, not before', async () => {
  const { replica, start } = fixture()
  const wakeAt = performance.now() + 20
  const woken = new Promise<number>((resolve) => {
    replica.onWake = (_, now) => {
      replica.wakeAt = never
      resolve(now.monotonic)
    }
  })
  replica.onInput = () => void (replica.wakeAt = wakeAt as Instant)
  replica.onInput({ kind: 'start' }, {} as ReplicaOutbox, {} as Now)
  start()
  replica.onInput = () => {}
  assert.ok((await woken) >= wakeAt)
  await turnOfLoop()
  assert.deepEqual(replica.got, ['start', 'turn', 'wake', 'turn'])
})

test('a stop hands over first, then closes network and disk', async () => {
  const { replica, host, start, did, ended } = fixture()
  replica.onInput = (input, outbox) => {
    if (input.kind === 'start') outbox.identity(IDENTITY)
    if (input.kind === 'stop') {
      outbox.send('successor' as never, new Uint8Array())
      outbox.stopped()
    }
  }
  start()
  await host.stop()
  assert.ok(did.indexOf('send successor') < did.indexOf('close network') && did.indexOf('close network') < did.indexOf('close device'))
  assert.deepEqual(ended, [undefined])
  host.input(datagram())
  assert.equal(replica.got.includes('datagram'), false)
})

test('a replica that cannot hand over is closed all the same', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { replica, host, start, ended, did } = fixture()
  replica.onInput = (input, outbox) => {
    if (input.kind === 'start') outbox.identity(IDENTITY)
  }
  start()
  const stopping = host.stop()
  while (!replica.got.includes('stop')) await turnOfLoop()
  t.mock.timers.tick(STOP_MS_MAX)
  await stopping
  assert.deepEqual([ended, did.at(-1)], [[undefined], 'close device'])
})

test('a halt ends the host with one line', async () => {
  const { replica, start, ended, end, did } = fixture()
  replica.onInput = (input, outbox) => {
    if (input.kind === 'start') outbox.halt('a flush failed:\n  the disk is gone')
  }
  start()
  await end
  assert.deepEqual(ended, ['a flush failed: the disk is gone'])
  assert.deepEqual(did.filter((what) => what.startsWith('close')), ['close network', 'close device'])
})

test('a claim that does not hold ends the host, and nothing is fed any more', async () => {
  const { replica, host, start, ended, end } = fixture()
  replica.onInput = (input) => {
    if (input.kind === 'datagram') throw new Error('an index went back')
  }
  start()
  host.input(datagram())
  host.input(datagram())
  await end
  assert.equal(replica.got.filter((kind) => kind === 'datagram').length, 1)
  assert.ok(ended[0]!.includes('an index went back'))
})
