//! A story is a text that a reader follows and a runner checks: prose, commands, and below each command what came of it.
//!
//!   Prose is whatever stands at the left margin.
//!
//!   > a command
//!     what happened, indented: written by the runner, never by hand
//!
//! The first paragraph says what the story shows. A command that begins with `expect` writes nothing; what it claims must hold,
//! also while the rest is being rewritten, so no story can be rewritten into its opposite.

export interface Driver {
  /** Carries out a command and returns the lines that tell what happened. Throws a `StoryError` where it cannot, or where a claim fails. */
  run(words: readonly string[]): readonly string[]
}

export class StoryError extends Error {
  override readonly name = 'StoryError'
}

export interface Command {
  /** In the file, from 1. */
  readonly line: number
  readonly text: string
  readonly words: readonly string[]
  readonly told: readonly string[]
}

export type Part = { readonly kind: 'prose'; readonly line: string } | { readonly kind: 'command'; readonly command: Command }

export interface Story {
  readonly title: string
  readonly parts: readonly Part[]
}

const COMMAND = '> '
const TOLD = '  '

export function parseStory(text: string): Story {
  const lines = text.replace(/\n$/, '').split('\n')
  const parts: Part[] = []
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!
    if (!line.startsWith(COMMAND)) {
      parts.push({ kind: 'prose', line })
      continue
    }
    const told: string[] = []
    const number = at + 1
    while (lines[at + 1]?.startsWith(TOLD)) told.push(lines[++at]!.slice(TOLD.length))
    parts.push({ kind: 'command', command: { line: number, text: line.slice(COMMAND.length), words: wordsOf(line.slice(COMMAND.length)), told } })
  }
  return { title: (lines[0] ?? '').replace(/\.$/, ''), parts }
}

/** The same story, told by what happens now. */
export function retell(story: Story, driver: Driver): string {
  const lines: string[] = []
  for (const part of story.parts) {
    if (part.kind === 'prose') {
      lines.push(part.line)
      continue
    }
    const { text, words, line } = part.command
    lines.push(COMMAND + text)
    try {
      for (const told of driver.run(words)) lines.push((TOLD + told).trimEnd())
    } catch (error) {
      if (!(error instanceof StoryError)) throw error
      throw new StoryError(`line ${line}: ${text}\n${error.message}\nso far:\n${lines.slice(-TOLD_LINES_MAX).join('\n')}`)
    }
  }
  return lines.join('\n') + '\n'
}

/** What was told last, beside a story that broke off. */
const TOLD_LINES_MAX = 25

/** A command in double quotes is one word. */
function wordsOf(text: string): readonly string[] {
  return [...text.matchAll(/"([^"]*)"|\S+/g)].map((match) => match[1] ?? match[0])
}

/** The first place where two texts differ, with a little around it; undefined where they are equal. */
export function difference(expected: string, actual: string): string | undefined {
  if (expected === actual) return undefined
  const [old, now] = [expected.split('\n'), actual.split('\n')]
  let first = 0
  while (old[first] === now[first]) first++
  let same = 0
  while (same < Math.min(old.length, now.length) - first && old[old.length - 1 - same] === now[now.length - 1 - same]) same++
  const cut = (lines: readonly string[], mark: string): string[] => {
    const changed = lines.slice(first, lines.length - same)
    const shown = changed.slice(0, CHANGED_LINES_MAX).map((line) => `${mark} ${line}`)
    return changed.length > shown.length ? [...shown, `${mark} ... ${changed.length - shown.length} more lines`] : shown
  }
  const around = now.slice(Math.max(0, first - 3), first).map((line) => `  ${line}`)
  return [`line ${first + 1}:`, ...around, ...cut(old, '-'), ...cut(now, '+')].join('\n')
}

const CHANGED_LINES_MAX = 12
