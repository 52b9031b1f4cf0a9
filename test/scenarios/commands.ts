//! What a driver understands: a table of commands, and the little that they all share.

import { Backoff, type JobOptions } from '@horus/core/message/command'
import { duration } from '@horus/core/units'
import { StoryError } from './story.ts'

/** A command with the words behind its name; what it returns is told as it stands, before what happened. */
export type Action = (...words: string[]) => readonly string[] | void

export class Commands extends Map<string, Action> {
  perform([name, ...words]: readonly string[]): readonly string[] {
    const action = this.get(name ?? '')
    if (action === undefined) throw new StoryError(`there is no command ${name}, only: ${[...this.keys()].join(' ')}`)
    return action(...words) ?? []
  }
}

/** A claim: fails the story where it is otherwise. */
export function holds(actual: unknown, wanted: unknown): void {
  if (String(actual) !== String(wanted)) throw new StoryError(`it is: ${String(actual)}`)
}

export function noSuchClaim(what: string | undefined): never {
  throw new StoryError(`no such claim: ${what}`)
}

// ---- words like `lease=2s` -----------------------------------------------------------------------------------------

export function textOption(words: readonly string[], name: string): string | undefined {
  return words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1)
}

/** A number, or a length of time in milliseconds. */
export function option(words: readonly string[], name: string): number | undefined {
  const value = textOption(words, name)
  if (value === undefined) return undefined
  return /^\d+$/.test(value) ? Number(value) : duration(value)
}

/** The words that are no options. */
export function plain(words: readonly string[]): readonly string[] {
  return words.filter((word) => !/^\w+=/.test(word))
}

export function jobOptions(words: readonly string[]): JobOptions | undefined {
  const [priority, delay, maxAttempts, backoff] = ['priority', 'delay', 'attempts', 'backoff'].map((name) => option(words, name))
  const idempotencyKey = textOption(words, 'key')
  const options: JobOptions = {
    ...(priority !== undefined && { priority }), ...(delay !== undefined && { delay }), ...(maxAttempts !== undefined && { maxAttempts }), ...(idempotencyKey !== undefined && { idempotencyKey }),
    ...(backoff !== undefined && { backoff: { kind: Backoff.fixed, baseMs: backoff, maxMs: backoff } }),
  }
  return Object.keys(options).length === 0 ? undefined : options
}
