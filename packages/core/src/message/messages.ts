//! Who may say what where: the rows that a client's connection takes, and those of a link between nodes.

import { clientRows } from './client.ts'
import { command } from './command.ts'
import { type MessageOf, Table } from './layout.ts'

const connectionRows = [...clientRows, command] as const
export type ConnectionMessage = MessageOf<(typeof connectionRows)[number]>
export const connectionTable = new Table<(typeof connectionRows)[number]>(connectionRows)
