import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { mergeOptions, optionsOfEnvironment, optionsOfFile, resolveConfig, type NodeOptions } from '@horus/node/config'
import { UsageError } from '@horus/node/errors'

const refuses = async (options: object, ...words: readonly string[]): Promise<void> => {
  await assert.rejects(resolveConfig(options as NodeOptions), (error: unknown) => {
    assert.ok(error instanceof UsageError)
    assert.ok(!error.message.includes('\n'))
    for (const word of words) assert.ok(error.message.includes(word), `'${error.message}' does not say '${word}'`)
    return true
  })
}

test('a node with neither range nor seeds founds alone, on disk', async () => {
  const config = await resolveConfig({ dataDir: '/tmp/x' })
  assert.deepEqual([config.expect, config.join, config.range, config.listen, config.cluster, config.eligible], [1, false, [], { host: '127.0.0.1', port: 6470 }, 'horus', true])
})

test('a range is every address with the port of listen, or with the given ports', async () => {
  const one = await resolveConfig({ dataDir: '/tmp/x', listen: '127.0.0.1:7000', range: '127.0.0.0/30', expect: 3 })
  assert.deepEqual(one.range, ['127.0.0.0:7000', '127.0.0.1:7000', '127.0.0.2:7000', '127.0.0.3:7000'])
  const span = await resolveConfig({ dataDir: '/tmp/x', range: ['127.0.0.1/32'], port: '7000-7001,7005', expect: 3 })
  assert.deepEqual(span.range, ['127.0.0.1:7000', '127.0.0.1:7001', '127.0.0.1:7005'])
})

test('a node without a data directory must say that it is ephemeral', async () => {
  await refuses({}, '--data', '--ephemeral')
  await refuses({ dataDir: '/tmp/x', ephemeral: true }, 'contradict')
  assert.equal((await resolveConfig({ ephemeral: true })).dataDir, undefined)
})

test('range and seeds need expect or join, and never both', async () => {
  await refuses({ dataDir: '/tmp/x', range: '127.0.0.0/29' }, '--expect', '--join')
  await refuses({ dataDir: '/tmp/x', seeds: '127.0.0.1:6470' }, '--expect', '--join')
  await refuses({ dataDir: '/tmp/x', range: '127.0.0.0/29', expect: 3, join: true }, 'contradict')
  await refuses({ dataDir: '/tmp/x', expect: 3 }, '--range', '--seeds')
  await refuses({ dataDir: '/tmp/x', join: true }, '--range', '--seeds')
  for (const expect of [0, -1, 1.5, 65]) await refuses({ dataDir: '/tmp/x', range: '127.0.0.0/29', expect }, '--expect')
})

test('a bad or too large range is refused with what to give instead', async () => {
  for (const range of ['127.0.0.0/33', '127.0.0/24', 'localhost/24', '::1/128', '127.0.0.0/-1', '300.0.0.1/24']) await refuses({ dataDir: '/tmp/x', expect: 3, range, secret: 's' }, range, 'CIDR')
  await refuses({ dataDir: '/tmp/x', expect: 3, range: '10.0.0.0/8', secret: 's' }, '16777216', '65536', 'seeds')
  await refuses({ dataDir: '/tmp/x', expect: 3, range: '127.0.0.0/17', port: '7000-7002', secret: 's' }, '98304', 'seeds')
})

test('without a secret only loopback is used', async () => {
  await refuses({ dataDir: '/tmp/x', listen: '10.0.0.7:6470' }, '--secret-file')
  await refuses({ dataDir: '/tmp/x', range: '10.0.0.0/24', expect: 3 }, '--secret-file')
  await refuses({ dataDir: '/tmp/x', seeds: '10.0.0.8:6470', expect: 3 }, '--secret-file')
  await refuses({ dataDir: '/tmp/x', advertise: '10.0.0.7:6470' }, '--secret-file')
  assert.equal((await resolveConfig({ dataDir: '/tmp/x', listen: '10.0.0.7:6470', secret: 's' })).secret, 's')
})

test('an address that cannot be one is refused', async () => {
  for (const listen of ['127.0.0.1:70000', ':6470', '127.0.0.1:x', 'a b:1', 'example.org:6470', '999.0.0.1:1']) await refuses({ dataDir: '/tmp/x', listen, secret: 's' }, '--listen')
  await refuses({ dataDir: '/tmp/x', listen: '0.0.0.0:6470', secret: 's' }, '--advertise')
})

test('an unknown option, or one of a wrong type, is refused', async () => {
  await refuses({ dataDir: '/tmp/x', expct: 3 }, "'expct'")
  await refuses({ dataDir: '/tmp/x', expect: '3' }, "'expect'", 'number')
  await refuses({ dataDir: 5 }, "'dataDir'", 'string')
  await refuses({ dataDir: '/tmp/x', toString: 1 }, "'toString'")
  await refuses({ dataDir: '/tmp/x', cluster: 'a b' }, '--cluster')
  await refuses({ dataDir: '/tmp/x', replaceAfter: 'soon' }, '--replace-after')
})

test('flags win over variables, and variables over the file', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'horus-config-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'horus.json')
  writeFileSync(file, '{"dataDir": "/file", "zone": "file", "expect": 3, "range": "127.0.0.0/29"}')
  const environment = { HORUS_DATA: '/variable', HORUS_ZONE: 'variable', HORUS_SECRET_FILE: '/secret', HORUS_REPLACE_AFTER: '1s' }
  const merged = mergeOptions(optionsOfFile(file), optionsOfEnvironment(environment), { dataDir: '/flag', join: true })
  assert.deepEqual(merged, { dataDir: '/flag', zone: 'variable', range: '127.0.0.0/29', secretFile: '/secret', replaceAfter: '1s', join: true })
})

test('a secret file must be there and hold something', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'horus-config-'))
  t.after(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'empty'), '\n')
  writeFileSync(join(folder, 'good'), 'open sesame\n')
  await refuses({ dataDir: '/tmp/x', secretFile: join(folder, 'missing') }, 'ENOENT')
  await refuses({ dataDir: '/tmp/x', secretFile: join(folder, 'empty') }, 'empty')
  assert.equal((await resolveConfig({ dataDir: '/tmp/x', secretFile: join(folder, 'good') })).secret, 'open sesame')
})
