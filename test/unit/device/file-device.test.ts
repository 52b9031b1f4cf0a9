import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import type { DeviceAnswer, DeviceRequest } from '@horus/core/device'
import { FileDevice } from '@horus/node/device/file-device'

type WithoutNumber<R> = R extends DeviceRequest ? Omit<R, 'request'> : never

let directory: string
let device: FileDevice
let nextRequest: number
const waiting = new Map<number, (answer: DeviceAnswer) => void>()
let answered: number[]

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'horus-device-'))
  nextRequest = 1
  answered = []
  device = openDevice()
})

afterEach(async () => {
  await device.close()
  await rm(directory, { recursive: true })
})

function openDevice(descriptorsMax = 64): FileDevice {
  return new FileDevice({
    directory,
    descriptorsMax,
    answer(answer) {
      answered.push(answer.request)
      waiting.get(answer.request)!(answer)
    },
  })
}

function ask(request: WithoutNumber<DeviceRequest>): Promise<DeviceAnswer> {
  const number = nextRequest++
  const answer = new Promise<DeviceAnswer>((resolve) => waiting.set(number, resolve))
  device.request({ ...request, request: number } as DeviceRequest)
  return answer
}

async function bytesOf(file: string, at: number, length: number): Promise<Uint8Array> {
  const answer = await ask({ kind: 'read', file, at, length })
  assert.equal(answer.kind, 'bytes')
  return (answer as Extract<DeviceAnswer, { kind: 'bytes' }>).bytes
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value)

test('a created file consists of zeros and is listed with its size', async () => {
  assert.equal((await ask({ kind: 'create', file: 'segment-1', size: 3_000_001 })).kind, 'created')
  assert.deepEqual(await ask({ kind: 'list' }), { kind: 'listed', request: 2, files: [{ name: 'segment-1', size: 3_000_001 }] })
  assert.ok((await bytesOf('segment-1', 0, 4_000_000)).every((byte) => byte === 0))
})

test('pieces are written one behind the other, durably or not, and read back', async () => {
  await ask({ kind: 'create', file: 'a', size: 64 })
  assert.equal((await ask({ kind: 'write', file: 'a', at: 4, pieces: [text('Ho'), text(''), text('rus')], durable: true })).kind, 'written')
  assert.equal((await ask({ kind: 'write', file: 'a', at: 9, pieces: [text('!')], durable: false })).kind, 'written')
  assert.equal((await ask({ kind: 'flush', file: 'a' })).kind, 'flushed')
  assert.equal((await readFile(join(directory, 'a'))).toString('latin1', 4, 10), 'Horus!')
  const bytes = await bytesOf('a', 4, 6)
  assert.deepEqual(bytes, text('Horus!'))
  assert.equal(Object.getPrototypeOf(bytes), Uint8Array.prototype)
})

test('more pieces than one call takes are still one write', async () => {
  await ask({ kind: 'create', file: 'a', size: 10 })
  const pieces = Array.from({ length: 3000 }, (_, i) => Uint8Array.of(i & 255))
  await ask({ kind: 'write', file: 'a', at: 0, pieces, durable: true })
  assert.deepEqual([...await bytesOf('a', 0, 3000)], pieces.map((piece) => piece[0]))
})

test('a write of nothing and a read of nothing are answered, and not from within the request', async () => {
  await ask({ kind: 'create', file: 'a', size: 10 })
  await bytesOf('a', 0, 1)
  const read = ask({ kind: 'read', file: 'a', at: 0, length: 0 })
  const write = ask({ kind: 'write', file: 'a', at: 0, pieces: [], durable: true })
  assert.deepEqual(answered, [1, 2])
  assert.equal((await write).kind, 'written')
  assert.equal((await read).kind, 'bytes')
})

test('a read at the end of a file gives what there is', async () => {
  await ask({ kind: 'create', file: 'a', size: 100_000 })
  assert.equal((await bytesOf('a', 99_990, 50)).length, 10)
  assert.equal((await bytesOf('a', 20_000, 90_000)).length, 80_000)
  assert.equal((await bytesOf('a', 200_000, 90_000)).length, 0)
})

test('writes to one file are carried out in their order, whatever their size', async () => {
  await ask({ kind: 'create', file: 'a', size: 2_000_000 })
  const writes = []
  for (let i = 0; i < 20; i++) writes.push(ask({ kind: 'write', file: 'a', at: 0, pieces: [new Uint8Array(i % 2 ? 8 : 2_000_000).fill(i)], durable: i % 3 === 0 }))
  await Promise.all(writes)
  assert.deepEqual(answered.slice(1), [...answered.slice(1)].sort((a, b) => a - b))
  const bytes = await bytesOf('a', 0, 16)
  assert.deepEqual([...bytes], [...new Array(8).fill(19), ...new Array(8).fill(18)])
})

test('a read waits for an earlier write of the same bytes and overtakes one of others', async () => {
  await ask({ kind: 'create', file: 'a', size: 8_000_000 })
  answered = []
  const write = ask({ kind: 'write', file: 'a', at: 0, pieces: [new Uint8Array(4_000_000).fill(7)], durable: true })
  const same = bytesOf('a', 10, 1)
  const other = bytesOf('a', 5_000_000, 1)
  assert.equal((await same)[0], 7)
  assert.equal((await other)[0], 0)
  await write
  assert.deepEqual(answered, [4, 2, 3])
})

test('a renamed file replaces the one of that name, and later requests reach the new one', async () => {
  await ask({ kind: 'create', file: 'old', size: 4 })
  await ask({ kind: 'create', file: 'new', size: 4 })
  await ask({ kind: 'write', file: 'old', at: 0, pieces: [text('old.')], durable: true })
  void ask({ kind: 'write', file: 'new', at: 0, pieces: [text('new.')], durable: true })
  void ask({ kind: 'rename', file: 'new', to: 'old' })
  assert.deepEqual(await bytesOf('old', 0, 4), text('new.'))
  assert.deepEqual(await ask({ kind: 'read', file: 'new', at: 0, length: 4 }).then((answer) => answer.kind === 'error' && answer.error), 'missing')
  assert.deepEqual(await readdir(directory), ['old'])
})

test('a created file takes the place of one of its name', async () => {
  await ask({ kind: 'create', file: 'a', size: 4 })
  await ask({ kind: 'write', file: 'a', at: 0, pieces: [text('abcd')], durable: true })
  void ask({ kind: 'create', file: 'a', size: 2 })
  assert.deepEqual(await bytesOf('a', 0, 4), new Uint8Array(2))
})

test('a file that is missing is an answer, not an exception', async () => {
  for (const request of [
    { kind: 'write', file: 'x', at: 0, pieces: [text('a')], durable: true },
    { kind: 'read', file: 'x', at: 0, length: 1 },
    { kind: 'flush', file: 'x' },
    { kind: 'rename', file: 'x', to: 'y' },
    { kind: 'delete', file: 'x' },
  ] as const) {
    const answer = await ask(request)
    assert.deepEqual({ kind: answer.kind, error: answer.kind === 'error' && answer.error }, { kind: 'error', error: 'missing' }, request.kind)
  }
})

test('what a crash left half made is swept away by the first listing, and foreign files are left alone', async () => {
  await writeFile(join(directory, 'segment-1.new'), 'half')
  await writeFile(join(directory, 'README.txt'), 'mine')
  assert.deepEqual(await ask({ kind: 'list' }), { kind: 'listed', request: 1, files: [] })
  assert.deepEqual(await readdir(directory), ['README.txt'])
})

test('a name that would leave the directory is a programmer\'s error', () => {
  for (const file of ['../x', 'a/b', '.', '', 'A', 'x'.repeat(65)]) {
    const fresh = openDevice()
    assert.throws(() => fresh.request({ kind: 'delete', request: 0, file }), /file name/)
  }
})

test('many files are served with few descriptors', async () => {
  await device.close()
  device = openDevice(4)
  const files = Array.from({ length: 20 }, (_, i) => `file-${i}`)
  await Promise.all(files.map((file) => ask({ kind: 'create', file, size: 8 })))
  await Promise.all(files.map((file, i) => ask({ kind: 'write', file, at: 0, pieces: [Uint8Array.of(i)], durable: i % 2 === 0 })))
  const open = (await readdir('/proc/self/fd').catch(() => [])).length
  const bytes = await Promise.all(files.map((file) => bytesOf(file, 0, 1)))
  assert.deepEqual(bytes.map((each) => each[0]), files.map((_, i) => i))
  assert.ok(open < 40, `${open} descriptors are open`)
})
