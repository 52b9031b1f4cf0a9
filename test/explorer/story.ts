//! A way through a model as something to read: who did what, what it sent, and what became of it.

import type { ClusterModel } from './cluster.ts'
import type { Fact, Input, Participant } from './participant.ts'

/** In a few words, what a message says. */
export type TellMessage = (bytes: Uint8Array) => string

export function storyOf<P extends Participant, F extends Fact, Memory>(model: ClusterModel<P, F, Memory>, way: readonly number[], tell: TellMessage): readonly string[] {
  const lines: string[] = []
  model.follow(way, ({ node, input, before, after, sent }) => {
    const number = `${lines.length + 1}.`.padEnd(4)
    const told = after === undefined ? 'fails' : after.tell()
    const became = told === before.tell() ? '' : ` => ${told}`
    const said = sent.map(({ to, bytes }) => `to ${to + 1}: ${tell(bytes)}`)
    lines.push(`${number}node ${node + 1} ${tellInput(input, tell)}${became}${said.length > 0 ? `; sends ${said.join(', ')}` : ''}`)
  })
  return lines
}

function tellInput(input: Input, tell: TellMessage): string {
  if (input.kind === 'message') return `gets from ${input.from + 1}: ${tell(input.bytes)}`
  const { kind, argument } = input.move
  return argument === 0 ? kind : `${kind} (${argument})`
}
