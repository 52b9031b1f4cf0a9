//! `pnpm test`: every test of the repository in one run of Node's test runner, which closes with one summary and exits with
//! 1 when something failed. Folders that are not there are left out.

import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const FOLDERS = ['tidy', 'unit', 'scenarios', 'fuzz', 'explorer', 'simulation', 'chaos', 'e2e']
/** Files at a time. The machines that run this have two cores, and tests that wait for real processes leave room. */
const CONCURRENCY = 2

const here = dirname(fileURLToPath(import.meta.url))

function testFiles(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return testFiles(path)
    return entry.name.endsWith('.test.js') && existsSync(sourceOf(path)) ? [path] : []
  })
}

/** A compiled test whose source was deleted or renamed is no test any more. */
function sourceOf(compiled: string): string {
  return join(here, '..', relative(here, compiled).replace(/\.js$/, '.ts'))
}

const files = FOLDERS.flatMap((folder) => testFiles(join(here, folder))).map((path) => relative(here, path))
if (files.length === 0) {
  console.error('no compiled tests found: build first, with tsc -b')
  process.exit(1)
}
const child = spawn(process.execPath, ['--test', `--test-concurrency=${CONCURRENCY}`, ...process.argv.slice(2), ...files], { cwd: here, stdio: 'inherit' })
child.on('exit', (code, signal) => process.exit(signal === null ? code ?? 1 : 1))
