//! What a log entry says, in the words of a story. In the stories of masters a command's body is a word.

import { type Configuration, logTable, Operation } from '@horus/core/message/command'
import type { Names } from './names.ts'
import { registryText } from './registry-text.ts'
import { WORD, wordOf } from './word-list.ts'

const OPERATIONS = new Map<number, string>(Object.entries(Operation).map(([name, operation]) => [operation, name]))

export function entryText(bytes: Uint8Array, names: Names): string {
  const registry = registryText(bytes, names)
  if (registry !== undefined) return registry
  const entry = logTable.decode(bytes)
  switch (entry.kind) {
    case 'command':
      return entry.operation === WORD ? wordOf(entry.body) : OPERATIONS.get(entry.operation) ?? 'command'
    case 'noop':
      return 'no-op'
    case 'configuration':
      return configurationText(entry, names)
    default:
      return entry.kind
  }
}

export type Masters = Pick<Configuration, 'voters' | 'outgoing' | 'learners'>

/** `{a b c}`, `{a b c} + d`, and while joint `{a b c}→{a b d}`. */
export function configurationText({ voters, outgoing, learners }: Masters, names: Names): string {
  const set = (members: Masters['voters']): string => names.set(members.map((member) => member.node))
  const joint = outgoing === undefined ? set(voters) : `${set(outgoing)}→${set(voters)}`
  return learners.length === 0 ? joint : `${joint} + ${learners.map((learner) => names.node(learner.node)).sort().join(' ')}`
}
