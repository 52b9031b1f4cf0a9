//! A disk so small that it can be filled: a tmpfs. It is mounted where only this run sees it (`contained.ts`), so it goes with
//! the run's processes, however they end.

import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** A dozen of a chaos node's segments: the active one, spares, the copy that recovery makes, and a few closed ones. */
const SIZE_MIB = 96
const STEPS = [1024 * 1024, 4096, 1] as const

export class SmallDisk {
  readonly #path: string
  readonly #filler: string

  constructor(path: string) {
    this.#path = path
    this.#filler = join(path, 'filler')
    mkdirSync(path, { recursive: true })
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE_MIB}m,mode=700`, 'tmpfs', path], { stdio: ['ignore', 'ignore', 'pipe'] })
    // Before those who remove the folder that it is in.
    process.prependOnceListener('exit', this.#unmount)
  }

  /** To the last byte. */
  fill(): void {
    const file = openSync(this.#filler, 'a')
    for (const step of STEPS) {
      const bytes = Buffer.alloc(step, 'x')
      try {
        while (writeSync(file, bytes) > 0);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
      }
    }
    closeSync(file)
  }

  empty(): void {
    rmSync(this.#filler, { force: true })
  }

  close(): void {
    process.off('exit', this.#unmount)
    this.#unmount()
  }

  readonly #unmount = (): void => void execFileSync('umount', ['--lazy', this.#path], { stdio: ['ignore', 'ignore', 'pipe'] })
}
