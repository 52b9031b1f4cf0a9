//! What commands that change a cluster for good have in common: they say what they would do, and ask.

import { createInterface } from 'node:readline/promises'
import { StartError, UsageError } from '../errors.ts'
import { printJson } from './client.ts'
import type { CommandLine, FlagTable } from './flags.ts'

export const SURE_FLAGS: FlagTable = {
  'dry-run': { value: '', help: 'say what would be done, and do nothing' },
  yes: { value: '', help: 'do not ask; mandatory where there is no terminal to ask on' },
}

/** An id is told by its beginning from so many digits on. */
export const DIGITS_MIN = 4

/** Throws UsageError where nobody can be asked, StartError where the answer is no. */
export async function confirmed(line: CommandLine, what: string): Promise<void> {
  if (line.has('yes')) return
  if (process.stdin.isTTY !== true) throw new UsageError(`${what.replaceAll('\n', ', ')}: give --yes to do it, or --dry-run`)
  const questions = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await questions.question(`${what}.\nDo it? (yes) `)
  questions.close()
  if (answer.trim().toLowerCase() !== 'yes') throw new StartError('nothing was done')
}

export function tell(line: CommandLine, found: object, text: string): void {
  if (line.has('json')) printJson(found)
  else process.stdout.write(`${text}\n`)
}
