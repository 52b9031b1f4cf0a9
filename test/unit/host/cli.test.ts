import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { readCommandLine } from '@horus/node/cli/flags'
import { checkJobsFile, jobsOfFile, readJobLine } from '@horus/node/cli/jobs-file'
import { facts, Progress, table } from '@horus/node/cli/output'
import { filesBelow, sha256 } from '@horus/node/demo/files'
import { UsageError } from '@horus/node/errors'
import { isFree, subnetOf } from '@horus/node/local/addresses'
import { createServer } from 'node:net'

const FLAGS = { node: { value: 'HOST:PORT', help: '' }, json: { value: '', help: '' }, max: { value: 'N', help: '' } }

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'horus-cli-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

const refuses = (run: () => unknown, word: string): void => {
  assert.throws(run, (error: unknown) => error instanceof UsageError && error.message.includes(word) && !error.message.includes('\n'))
}

test('flags are read with a space or an equals sign, and end at --', () => {
  const line = readCommandLine('jobs', ['orders', '--node', 'a:1', '--json', '--max=5', '--', '--no-flag'], FLAGS, 2)
  assert.deepEqual([line.positionals, line.text('node'), line.has('json'), line.number('max', 9, 1, 10)], [['orders', '--no-flag'], 'a:1', true, 5])
  assert.equal(readCommandLine('jobs', [], FLAGS, 0).number('max', 9, 1, 10), 9)
})

test('a command line that says what it cannot mean is refused', () => {
  refuses(() => readCommandLine('jobs', ['--nod', 'a:1'], FLAGS, 0), "'--nod'")
  refuses(() => readCommandLine('jobs', ['--toString'], FLAGS, 0), "'--toString'")
  refuses(() => readCommandLine('jobs', ['-x'], FLAGS, 0), "'-x'")
  refuses(() => readCommandLine('jobs', ['--node'], FLAGS, 0), 'HOST:PORT')
  refuses(() => readCommandLine('jobs', ['--node', '--json'], FLAGS, 0), '--node needs a value')
  refuses(() => readCommandLine('jobs', ['--json=yes'], FLAGS, 0), '--json takes no value')
  refuses(() => readCommandLine('jobs', ['--json', '--json'], FLAGS, 0), 'twice')
  refuses(() => readCommandLine('jobs', ['a', 'b'], FLAGS, 1), "'b'")
  refuses(() => readCommandLine('jobs', ['--max', '11'], FLAGS, 0).number('max', 9, 1, 10), '1 to 10')
})

test('a jobs file is read line by line, with the topic of the line before that of the command', async (t) => {
  const file = join(folderOf(t), 'jobs.jsonl')
  writeFileSync(file, '{"name": "bill", "data": {"a": 1}}\n\n{"topic": "mails", "name": "send", "options": {"priority": 3}}\n')
  assert.equal(await checkJobsFile(file, 'orders'), 2)
  const jobs = []
  for await (const job of jobsOfFile(file, 'orders')) jobs.push(job)
  assert.deepEqual(jobs, [
    { topic: 'orders', name: 'bill', data: { a: 1 }, options: undefined },
    { topic: 'mails', name: 'send', data: null, options: { priority: 3 } },
  ])
})

test('a line that was cut short is named by its number', async (t) => {
  const file = join(folderOf(t), 'jobs.jsonl')
  writeFileSync(file, '{"name": "bill"}\n{"name": "bi')
  await assert.rejects(checkJobsFile(file, 'orders'), (error: Error) => error instanceof UsageError && error.message.includes(`${file}:2`) && !error.message.includes('\n'))
  await assert.rejects(checkJobsFile(join(file, 'missing'), 'orders'), UsageError)
})

test('a line that is no job is refused', () => {
  for (const line of ['[]', '5', 'null', '{}', '{"name": ""}', '{"name": 5}', '{"name": "a", "nmae": 1}', '{"name": "a", "options": []}']) refuses(() => readJobLine(line, 'f:1', 'orders'), 'f:1')
  refuses(() => readJobLine('{"name": "a"}', 'f:1', undefined), 'topic')
})

test('a table is as wide as its cells, with numbers on the right', () => {
  assert.equal(table(['name', 'count', 'state'], [['a', 5, 'alive'], ['long name', 1234, 'dead']]), 'name       count  state\na              5  alive\nlong name   1234  dead')
  assert.equal(facts([['jobs', 12_345], ['state', 'done']]), '  jobs   12,345\n  state  done')
})

test('progress is shown on a terminal and nowhere else', () => {
  const written: string[] = []
  const write = (text: string) => written.push(text)
  new Progress({ write }).show(0.5, 'half')
  assert.equal(written.length, 0)
  new Progress({ write, isTTY: true, columns: 80 }).show(0.5, 'half')
  assert.ok(written[0]!.includes(`[${'#'.repeat(15)}${'.'.repeat(15)}] half`))
})

test('all regular files below a folder are found once, links are not followed', async (t) => {
  const folder = folderOf(t)
  mkdirSync(join(folder, 'b', 'c'), { recursive: true })
  writeFileSync(join(folder, 'b', 'c', 'two'), 'abc')
  writeFileSync(join(folder, 'a'), '')
  symlinkSync(folder, join(folder, 'b', 'again'))
  assert.deepEqual(filesBelow(folder), ['a', 'b/c/two'])
  assert.equal(await sha256(join(folder, 'b/c/two')), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
  refuses(() => filesBelow(join(folder, 'a')), 'no folder')
})

test('a port counts as free only where nobody listens', async (t) => {
  const { addresses, range, port } = await subnetOf('127.13.9', 3)
  assert.deepEqual([range, addresses.map((at) => at.host), addresses.every((at) => at.port === port)], ['127.13.9.0/29', ['127.13.9.1', '127.13.9.2', '127.13.9.3'], true])
  const server = createServer().listen(port, '127.13.9.2')
  t.after(() => server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  assert.equal(await isFree(addresses[1]!), false)
  assert.equal(await isFree(addresses[0]!), true)
})
