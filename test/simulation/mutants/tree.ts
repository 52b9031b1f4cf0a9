//! A copy of core with a mutant in it, compiled, beside a copy of the compiled simulator (or of another part of the tests that runs core) that
//! finds that core instead of the real one.
//!
//!   folder/packages/core/{src,dist}     the mutated sources
//!   folder/node_modules/@horus/core     leads there
//!   folder/simulation                   the simulator, or whichever parts are wanted

import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Mutant } from './mutant.ts'

/** This file runs as `test/dist/simulation/mutants/tree.js`. */
const COMPILED = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..')
const ROOT = resolve(COMPILED, '..', '..')

/** Why a mutant does not fit the sources, or undefined where it does. */
export function misfit(mutant: Mutant): string | undefined {
  const text = readFileSync(join(ROOT, 'packages/core/src', mutant.file), 'utf8')
  const times = text.split(mutant.find).length - 1
  return times === 1 ? undefined : `the text to replace stands ${times} times in ${mutant.file}`
}

/** Parts are folders of the compiled tests. Returns the folder; whoever asked for it removes it. Throws when the mutated sources do not compile. */
export function plant(mutant: Mutant, parts: readonly string[] = ['simulation']): string {
  const folder = mkdtempSync(join(tmpdir(), 'horus-mutant-'))
  try {
    const core = join(folder, 'packages/core')
    mkdirSync(core, { recursive: true })
    cpSync(join(ROOT, 'packages/core/src'), join(core, 'src'), { recursive: true })
    for (const name of ['package.json', 'tsconfig.json']) cpSync(join(ROOT, 'packages/core', name), join(core, name))
    cpSync(join(ROOT, 'tsconfig.base.json'), join(folder, 'tsconfig.base.json'))
    const path = join(core, 'src', mutant.file)
    // A function, since `$` in a plain replacement has a meaning of its own.
    writeFileSync(path, readFileSync(path, 'utf8').replace(mutant.find, () => mutant.replace))
    compile(core, mutant)
    for (const part of parts) cpSync(join(COMPILED, part), join(folder, part), { recursive: true })
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module' }))
    mkdirSync(join(folder, 'node_modules/@horus'), { recursive: true })
    symlinkSync(core, join(folder, 'node_modules/@horus/core'), 'dir')
    // Transport as it is, but here, so that it finds the core with the bug.
    const transport = join(folder, 'packages/transport')
    for (const name of ['package.json', 'dist']) cpSync(join(ROOT, 'packages/transport', name), join(transport, name), { recursive: true })
    symlinkSync(transport, join(folder, 'node_modules/@horus/transport'), 'dir')
    for (const name of ['cbor-x', 'ip-cidr']) symlinkSync(realpathSync(join(ROOT, 'packages/transport/node_modules', name)), join(folder, 'node_modules', name), 'dir')
    return folder
  } catch (error) {
    remove(folder)
    throw error
  }
}

export function remove(folder: string): void {
  rmSync(folder, { recursive: true, force: true })
}

/** A planted bug may leave a name unused: that alone is no reason to refuse it. */
const COMPILER_FLAGS = ['--composite', 'false', '--incremental', 'false', '--tsBuildInfoFile', 'null', '--declaration', 'false', '--sourceMap', 'false', '--noUnusedLocals', 'false', '--noUnusedParameters', 'false']

function compile(core: string, mutant: Mutant): void {
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc')
  const result = spawnSync(process.execPath, [compiler, '-p', core, ...COMPILER_FLAGS], { encoding: 'utf8' })
  if (result.status !== 0) throw new Error(`mutant ${mutant.name} does not compile: ${result.stdout}${result.stderr}`)
}
