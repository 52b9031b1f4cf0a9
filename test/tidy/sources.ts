//! The sources of the workspace as text, found relative to this compiled file, and what they import.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The repository: this file runs as `test/dist/tidy/sources.js`. */
export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..', '..')

export interface Source {
  /** Relative to the repository, with forward slashes. */
  readonly path: string
  readonly text: string
  /** The text without comments and without what is inside quotes. */
  readonly code: string
  readonly imports: readonly string[]
}

const SKIPPED = new Set(['node_modules', 'dist', '.git', '.horus'])

export function readSources(): readonly Source[] {
  return walk(ROOT, (name) => name.endsWith('.ts')).map((path) => {
    const text = readFileSync(join(ROOT, path), 'utf8')
    return { path, text, code: withoutComments(text), imports: importsOf(text) }
  })
}

/** Every text file that is kept in the repository, for what holds everywhere. */
export function readTexts(): readonly { path: string; text: string }[] {
  return walk(ROOT, (name) => /\.(ts|mjs|js|json|md|yaml|yml|sh|html|css)$/.test(name)).map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }))
}

/** The path of what `source` imports under `specifier`, or undefined when it is none of the workspace's files. */
export function resolveImport(source: Source, specifier: string): string | undefined {
  if (specifier.startsWith('.')) {
    const path = relative(ROOT, resolve(ROOT, dirname(source.path), specifier)).split(sep).join('/')
    return path.replace(/\.js$/, '.ts')
  }
  const inPackage = /^@horus\/([a-z]+)(?:\/(.+))?$/.exec(specifier)
  if (inPackage === null) return undefined
  return `packages/${inPackage[1]}/src/${inPackage[2] ?? 'index'}.ts`
}

function walk(folder: string, wanted: (name: string) => boolean): string[] {
  const found: string[] = []
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (SKIPPED.has(entry.name)) continue
    const path = join(folder, entry.name)
    if (entry.isDirectory()) found.push(...walk(path, wanted))
    else if (entry.isFile() && wanted(entry.name) && existsSync(path)) found.push(relative(ROOT, path).split(sep).join('/'))
  }
  return found.sort()
}

function importsOf(text: string): string[] {
  const found: string[] = []
  for (const match of text.matchAll(/^\s*(?:import|export)\b[^'"`;]*?\bfrom\s+'([^']+)'/gm)) found.push(match[1]!)
  for (const match of text.matchAll(/^\s*import\s+'([^']+)'/gm)) found.push(match[1]!)
  for (const match of text.matchAll(/\bimport\(\s*'([^']+)'\s*\)/g)) found.push(match[1]!)
  // A file that is started rather than imported: a worker thread or a child process.
  for (const match of text.matchAll(/new URL\(\s*'(\.[^']+\.js)'\s*,\s*import\.meta\.url/g)) found.push(match[1]!)
  return found
}

/** Good enough for words that are looked for in code; a quote inside a regular expression may fool it. */
export function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|(^|[^:])\/\/[^\n]*|'(?:\\.|[^'\\\n])*'/gm, (match, before: string | undefined) => (match.startsWith("'") ? "''" : before ?? ''))
}
