//! Who may say what where: the rows that a client's connection takes, and those of a link between nodes.

import { clientRows, relay, relayClosed, relayed } from './client.ts'
import { command } from './command.ts'
import { consensusRows } from './consensus.ts'
import { syncRows } from './gossip.ts'
import { type MessageOf, Table } from './layout.ts'
import { registryRows } from './registry.ts'
import { postRows } from './posts.ts'
import { pulseRows } from './pulse.ts'
import { repairRows } from './repair.ts'
import { witnessRows } from './witness.ts'

const connectionRows = [...clientRows, command] as const
export type ConnectionMessage = MessageOf<(typeof connectionRows)[number]>
export const connectionTable = new Table<(typeof connectionRows)[number]>(connectionRows)

const linkRows = [...consensusRows, ...repairRows, ...witnessRows, ...pulseRows, ...registryRows, ...syncRows, ...postRows, relay, relayed, relayClosed] as const
export type LinkMessage = MessageOf<(typeof linkRows)[number]>
export const linkTable = new Table<(typeof linkRows)[number]>(linkRows)
