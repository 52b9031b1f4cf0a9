import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { freePort } from '@horus/node/local/addresses'
import { horus, makeFolder, node } from './harness.ts'

/** One line, this exit code, these words. */
async function refused(args: readonly string[], code: number, ...words: readonly string[]): Promise<void> {
  const ended = await horus(...args)
  assert.equal(ended.code, code, `${args.join(' ')}: ${ended.errors}`)
  assert.match(ended.errors, /^horus: [^\n]+\n$/)
  for (const word of words) assert.ok(ended.errors.includes(word), `'${ended.errors.trim()}' does not say '${word}'`)
}

test('a node that is told nonsense says in one line what to do, with exit code 2', async () => {
  const data = join(makeFolder(), 'data')
  await Promise.all([
    refused(['start'], 2, '--data', '--ephemeral'),
    refused(['start', '--data', data, '--expct', '3'], 2, '--expct'),
    refused(['start', '--data', data, '--range', '127.0.0.0/33', '--expect', '3'], 2, '127.0.0.0/33'),
    refused(['start', '--data', data, '--range', '127.0.0.0/29'], 2, '--expect', '--join'),
    refused(['start', '--data', data, '--range', '127.0.0.0/8', '--expect', '3'], 2, 'seeds'),
    refused(['start', '--data', data, '--listen', '10.0.0.7:6470'], 2, '--secret-file'),
    refused(['strat'], 2, 'strat'),
  ])
  assert.equal(existsSync(data), false)
})

test('a file where the data directory should be is left as it is', async () => {
  const file = join(makeFolder(), 'data')
  writeFileSync(file, 'mine')
  await refused(['start', '--data', file, '--listen', `127.0.0.1:${await freePort('127.0.0.1')}`], 1, file)
  await refused(['start', '--data', join(file, 'below'), '--listen', `127.0.0.1:${await freePort('127.0.0.1')}`], 1, file)
})

test('a port that is taken, for TCP or for UDP, leaves no data directory behind', async () => {
  const data = join(makeFolder(), 'data')
  const port = await freePort('127.0.0.1')
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  await refused(['start', '--data', data, '--listen', `127.0.0.1:${port}`], 1, `127.0.0.1:${port}`, 'in use')
  await new Promise((resolve) => server.close(resolve))
  const socket = createSocket('udp4')
  await new Promise<void>((resolve) => socket.bind(port, '127.0.0.1', resolve))
  await refused(['start', '--data', data, '--listen', `127.0.0.1:${port}`], 1, `127.0.0.1:${port}`, 'in use')
  await new Promise<void>((resolve) => socket.close(resolve))
  assert.equal(existsSync(data), false)
})

test('a data directory is used by one process, one cluster, and no older version', async (t) => {
  const data = join(makeFolder(), 'data')
  const running = await node(t, '--data', data, '--cluster', 'first')
  const elsewhere = `127.0.0.1:${await freePort('127.0.0.1')}`
  await refused(['start', '--data', data, '--cluster', 'first', '--listen', elsewhere], 1, 'in use')
  await running.stop()
  const before = readdirSync(data).sort()
  await refused(['start', '--data', data, '--cluster', 'second', '--listen', elsewhere], 1, 'first', 'second')
  assert.deepEqual(readdirSync(data).sort(), before)
  const identity = readFileSync(join(data, 'identity'))
  // The number of the format, in both copies.
  for (const slot of [0, identity.length / 2]) identity.writeUInt16BE(99, slot + 4)
  writeFileSync(join(data, 'identity'), identity)
  await refused(['start', '--data', data, '--cluster', 'first', '--listen', elsewhere], 1, 'newer')
  assert.deepEqual(readFileSync(join(data, 'identity')), identity)
})

test('a client hears why it is not served', async (t) => {
  const folder = makeFolder()
  writeFileSync(join(folder, 'right'), 'correct horse battery staple')
  writeFileSync(join(folder, 'wrong'), 'incorrect horse battery staple')
  const running = await node(t, '--data', join(folder, 'data'), '--secret-file', join(folder, 'right'), '--cluster', 'sealed')
  const at = ['--node', running.address]
  await Promise.all([
    refused(['counts', 'orders', ...at, '--cluster', 'sealed', '--secret-file', join(folder, 'wrong')], 1, 'secret'),
    refused(['counts', 'orders', ...at, '--cluster', 'sealed'], 1, 'secret'),
    refused(['counts', 'orders', ...at, '--cluster', 'other', '--secret-file', join(folder, 'right')], 1, 'sealed'),
    refused(['counts', 'orders', '--node', `127.0.0.1:${await freePort('127.0.0.1')}`], 1),
  ])
  const ended = await horus('status', '--json', ...at, '--cluster', 'sealed', '--secret-file', join(folder, 'right'))
  assert.equal(ended.code, 0, ended.errors)
})

test('a file of jobs that was cut short adds nothing', async (t) => {
  const folder = makeFolder()
  const running = await node(t, '--data', join(folder, 'data'))
  const file = join(folder, 'jobs.jsonl')
  const at = ['--node', running.address]
  writeFileSync(file, '{"name": "bill", "data": {"a": 1}}\n{"topic": "mails", "name": "send"}\n{"name": "bi')
  await refused(['add', 'orders', '--file', file, ...at], 2, `${file}:3`)
  assert.equal((await horus('status', '--json', ...at)).code, 0)
  assert.deepEqual((JSON.parse((await horus('status', '--json', ...at)).output) as { topics: unknown[] }).topics, [])
  writeFileSync(file, '{"name": "bill", "data": {"a": 1}}\n{"topic": "mails", "name": "send"}\n')
  const added = await horus('add', 'orders', '--file', file, '--json', ...at)
  assert.deepEqual([added.code, added.output], [0, '{"added":2}\n'], added.errors)
  assert.equal((JSON.parse((await horus('counts', 'mails', '--json', ...at)).output) as { waiting: number }).waiting, 1)
  await refused(['add', 'orders', 'bill', '{"a": ', ...at], 2, 'JSON')
  await refused(['add', ...at], 2, 'topic')
  await refused(['job', 'orders', '999', ...at], 1, '999')
  mkdirSync(join(folder, 'directory'))
  await refused(['add', 'orders', '--file', join(folder, 'directory'), ...at], 2)
})

test('a payload of 2 MiB is refused with the limit, and nothing is added with it', async (t) => {
  const folder = makeFolder()
  const running = await node(t, '--data', join(folder, 'data'))
  const file = join(folder, 'jobs.jsonl')
  const at = ['--node', running.address]
  writeFileSync(file, `{"name": "bill", "data": 1}\n${JSON.stringify({ name: 'bill', data: 'x'.repeat(2 * 1024 * 1024) })}\n`)
  await refused(['add', 'orders', '--file', file, ...at], 1, '1048576')
  assert.deepEqual((JSON.parse((await horus('status', '--json', ...at)).output) as { topics: unknown[] }).topics, [])
})
