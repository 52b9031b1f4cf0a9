//! The laws of the house that no compiler keeps: which part may know which, what core must not touch, how a file looks.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readSources, readTexts, resolveImport, type Source } from './sources.ts'

const sources = readSources()
const byPath = new Map(sources.map((source) => [source.path, source]))
const shipped = sources.filter((source) => source.path.startsWith('packages/'))
const core = sources.filter((source) => source.path.startsWith('packages/core/src/'))

/** A broken law is told with every place at once. */
function none(places: readonly string[], law: string): void {
  assert.deepEqual(places, [], law)
}

// ---- who may know whom ---------------------------------------------------------------------------------------------

const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  core: [],
  transport: ['core'],
  sdk: ['core', 'transport'],
  node: ['core', 'transport', 'sdk'],
}

const LIBRARIES = ['cbor-x', 'ip-cidr']

test('packages import only what lies below them', () => {
  const wrong: string[] = []
  for (const source of shipped) {
    const own = source.path.split('/')[1]!
    for (const specifier of source.imports) {
      const other = /^@horus\/([a-z]+)/.exec(specifier)?.[1]
      // An example is what a user writes: it knows its own package by name.
      const isExample = source.path.includes('/examples/') && other === own
      if (other !== undefined && !isExample && !PACKAGES[own]?.includes(other)) wrong.push(`${source.path}: ${specifier}`)
      if (specifier.startsWith('.') && !resolveImport(source, specifier)!.startsWith(`packages/${own}/src/`)) wrong.push(`${source.path}: ${specifier}`)
    }
  }
  none(wrong, 'core <- transport <- sdk; core, transport, sdk <- node')
})

test('nothing is used at run time but Node itself, cbor-x and ip-cidr', () => {
  const wrong: string[] = []
  for (const source of shipped) {
    const own = source.path.split('/')[1]!
    for (const specifier of source.imports) {
      if (specifier.startsWith('.') || specifier.startsWith('@horus/')) continue
      const builtIn = specifier.startsWith('node:')
      if (own === 'core' || !(builtIn || LIBRARIES.includes(specifier))) wrong.push(`${source.path}: ${specifier}`)
    }
  }
  none(wrong, 'every other package is a decision that the user has not made')
})

const FOUNDATION = ['actor', 'units', 'assert', 'random', 'heap', 'hash', 'crc32', 'utf8', 'bytes', 'device', 'freeze', 'rows', 'slots', 'recovery-epoch']
/** The books are one group; everything else stands alone on messages and foundation. */
const BOOKS = ['job', 'lease', 'event', 'schedule', 'session', 'post']
const SIBLINGS = ['node', 'registry', 'master', 'journal', 'client', 'lead', 'front', ...BOOKS]

function allowedInCore(part: string): readonly string[] | 'all' {
  if (FOUNDATION.includes(part)) return FOUNDATION
  if (part === 'message') return ['message', ...FOUNDATION]
  if (BOOKS.includes(part)) return [...BOOKS, 'message', ...FOUNDATION]
  if (part === 'front') return ['front', 'lead', 'message', ...FOUNDATION]
  if (SIBLINGS.includes(part)) return [part, 'message', ...FOUNDATION]
  if (part === 'shard') return ['shard', ...BOOKS, 'message', ...FOUNDATION]
  if (part === 'replica') return ['replica', 'shard', 'message', ...SIBLINGS, ...FOUNDATION]
  if (part === 'world') return ['world', 'replica', 'shard', 'message', ...SIBLINGS, ...FOUNDATION]
  return part === 'index' ? 'all' : []
}

/** `packages/core/src/master/log.ts` belongs to `master`, `packages/core/src/heap.ts` is `heap`. */
function partOf(path: string): string {
  return path.slice('packages/core/src/'.length).split('/')[0]!.replace(/\.ts$/, '')
}

test('inside core the siblings do not know each other', () => {
  const wrong: string[] = []
  for (const source of core) {
    const allowed = allowedInCore(partOf(source.path))
    if (allowed === 'all') continue
    for (const specifier of source.imports) {
      const target = resolveImport(source, specifier)
      if (target !== undefined && !allowed.includes(partOf(target))) wrong.push(`${source.path}: ${specifier}`)
    }
  }
  none(wrong, 'foundation <- message <- {node | master | journal | books | client | lead <- front} <- shard <- replica <- world')
})

test('every import leads to a file', () => {
  const wrong: string[] = []
  for (const source of sources) {
    for (const specifier of source.imports) {
      const target = resolveImport(source, specifier)
      if (target !== undefined && !byPath.has(target) && specifier.startsWith('.')) wrong.push(`${source.path}: ${specifier}`)
    }
  }
  none(wrong, 'an import that leads nowhere')
})

// ---- what core must not touch --------------------------------------------------------------------------------------

const IMPURE = [
  /\bDate\.now\b/, /\bnew Date\b/, /\bMath\.random\b/, /\bset(?:Timeout|Interval|Immediate)\b/, /\bqueueMicrotask\b/, /\bperformance\./, /\bconsole\./, /\bglobalThis\b/,
  /\bprocess\.(?:env|argv|exit|hrtime|nextTick|stdout|stderr|memoryUsage|cwd|on)\b/, /\basync\b/, /\bawait\b/, /\bnew Promise\b/, /\bPromise[.<]/, /\bIntl\b/, /\.toLocale/, /\.localeCompare\b/,
]
/** Engines may round these differently, and then two masters disagree. */
const IMPRECISE = /\bMath\.(?:log\w*|exp\w*|pow|sin|cos|tan|cbrt|hypot)\b/

test('core has no clock, no randomness, no I/O, no promise and no locale', () => {
  const wrong: string[] = []
  for (const source of core) {
    for (const pattern of IMPURE) if (pattern.test(source.code)) wrong.push(`${source.path}: ${pattern.source}`)
  }
  none(wrong, 'what decides gets time, randomness and disk handed in')
})

test('the books use no arithmetic that engines may round differently', () => {
  const wrong = core.filter((source) => [...BOOKS, 'shard', 'registry'].includes(partOf(source.path)) && IMPRECISE.test(source.code)).map((source) => source.path)
  none(wrong, 'whole numbers, or what IEEE 754 rounds exactly')
})

// ---- how a file looks ----------------------------------------------------------------------------------------------

test('there are no default exports', () => {
  none(sources.filter((source) => /^export default\b/m.test(source.code)).map((source) => source.path), 'a thing has one name everywhere')
})

/** A row of a message takes fields of any type: nothing else says what is meant. */
const ANY_ALLOWED = new Set(['packages/core/src/message/layout.ts'])

test('no type is waved through', () => {
  const wrong: string[] = []
  for (const source of sources) {
    if (source.path.startsWith('test/tidy/')) continue
    if (/@ts-(?:ignore|expect-error|nocheck)/.test(source.text)) wrong.push(`${source.path}: @ts-`)
    if (!ANY_ALLOWED.has(source.path) && /(?:[:<,|&(]|\bas)\s*any\b(?!\s*[:?(])|\bany\[\]/.test(source.code)) wrong.push(`${source.path}: any`)
  }
  none(wrong, 'unknown at the edge, validated, then typed')
})

test('a file says on its first line what it is about', () => {
  const wrong = sources.filter((source) => !source.path.endsWith('.test.ts') && !source.text.startsWith('//! ') && !isEmptyFace(source) && !source.path.endsWith('/index.ts'))
  none(wrong.map((source) => source.path), 'the first lines say the problem and the model')
})

const LINES_MAX = 600
const LINES_WARN = 400

test(`no file is longer than ${LINES_MAX} lines`, (t) => {
  const long = sources.map((source) => ({ path: source.path, lines: source.text.split('\n').length })).filter((source) => source.lines > LINES_WARN)
  for (const { path, lines } of long) t.diagnostic(`${path} has ${lines} lines: are there two nouns in it?`)
  none(long.filter((source) => source.lines > LINES_MAX).map((source) => `${source.path}: ${source.lines}`), 'a file is one concept')
})

test('there are no dead files', () => {
  const alive = new Set<string>()
  const visit = (source: Source): void => {
    if (alive.has(source.path)) return
    alive.add(source.path)
    for (const specifier of source.imports) {
      const target = resolveImport(source, specifier)
      const next = target === undefined ? undefined : byPath.get(target)
      if (next !== undefined) visit(next)
    }
  }
  for (const source of sources) if (isEntry(source.path)) visit(source)
  none(sources.filter((source) => !alive.has(source.path)).map((source) => source.path), 'reached from no index, main, test or bench')
})

function isEntry(path: string): boolean {
  return /(?:^|\/)(?:index|main|[a-z-]+-main|run|[a-z0-9-]+\.(?:test|bench))\.ts$/.test(path) || path.includes('/examples/') || path.endsWith('.d.ts')
}

function isEmptyFace(source: Source): boolean {
  return /^export \{\}\s*$/.test(source.text)
}

test('nothing names a folder of the machine that it was written on', () => {
  const wrong = readTexts().filter(({ path, text }) => !path.startsWith('test/tidy/') && /(?:^|[\s'"`(=])\/(?:home|Users|root|work)\/|\/tmp\/h\b/m.test(text))
  none(wrong.map(({ path }) => path), 'a path is relative, or given')
})
