import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { DataDirectory, DataDirectoryError } from '@horus/node/device/directory'

let root: string

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'horus-directory-'))
})
afterEach(() => rm(root, { recursive: true }))

const refused = (code: string) => (error: unknown) => error instanceof DataDirectoryError && error.code === code && !error.message.includes('\n')

test('a directory is made where it is missing, held by one, and free after its release', async () => {
  const path = join(root, 'deep', 'data')
  const first = await DataDirectory.open(path)
  await assert.rejects(DataDirectory.open(path), refused('inUse'))
  await first.release()
  await (await DataDirectory.open(path)).release()
  assert.deepEqual(await readdir(path), [])
})

test('the same directory by another path is the same directory', async () => {
  const path = join(root, 'data')
  const first = await DataDirectory.open(path)
  await symlink(path, join(root, 'link'))
  await assert.rejects(DataDirectory.open(join(root, 'link')), refused('inUse'))
  await first.release()
})

test('the lock of a process that was killed is taken over', async () => {
  const path = join(root, 'data')
  const child = fork(new URL('./holder.js', import.meta.url), [path], { stdio: 'ignore' })
  await once(child, 'message')
  await assert.rejects(DataDirectory.open(path), refused('inUse'))
  child.kill('SIGKILL')
  await once(child, 'exit')
  assert.deepEqual(await readdir(path), ['lock.sock'])
  const mine = await DataDirectory.open(path)
  await assert.rejects(DataDirectory.open(path), refused('inUse'))
  await mine.release()
})

test('a socket file on which a process of another network namespace answers is respected', async () => {
  const path = join(root, 'data')
  await mkdir(path)
  const other = createServer((socket) => socket.destroy()).listen(join(path, 'lock.sock'))
  await once(other, 'listening')
  await assert.rejects(DataDirectory.open(path), refused('inUse'))
  other.close()
  await once(other, 'close')
})

test('a path too long for a socket is locked all the same', async () => {
  const path = join(root, 'x'.repeat(120))
  const first = await DataDirectory.open(path)
  await assert.rejects(DataDirectory.open(path), refused('inUse'))
  await first.release()
})

test('a file where a directory is wanted is refused', async () => {
  const path = join(root, 'file')
  await writeFile(path, 'mine')
  await assert.rejects(DataDirectory.open(path), refused('notADirectory'))
  await assert.rejects(DataDirectory.open(join(path, 'below')), refused('notADirectory'))
})

test('a directory that cannot be written to is refused', { skip: process.getuid?.() === 0 && 'root may write anywhere' }, async () => {
  await mkdir(join(root, 'data'))
  await chmod(join(root, 'data'), 0o500)
  await assert.rejects(DataDirectory.open(join(root, 'data')), refused('notWritable'))
})
