//! `horus drain`, `horus leave`, `horus forget`: nodes on their way out.
//!
//!   drain   leads and masterships move to other nodes; the command waits and shows how far that is, the cluster does it by itself
//!   leave   drain, and when the node is master of nothing it is forgotten and ends
//!   forget  a node that does not come back is struck from the registry

import { type ClusterStatus, type Horus, HorusError } from '@horus/sdk'
import { StartError, UsageError } from '../errors.ts'
import { delay } from '../local/until.ts'
import { argument, CLIENT_FLAGS, JSON_FLAG, withClient } from './client.ts'
import { confirmed, DIGITS_MIN, SURE_FLAGS, tell } from './confirm.ts'
import { type CommandLine, type FlagTable, helpOfFlags, readCommandLine } from './flags.ts'
import { Progress } from './output.ts'

const ALL_FLAGS: FlagTable = { ...SURE_FLAGS, ...CLIENT_FLAGS, ...JSON_FLAG }
const DRAIN_FLAGS: FlagTable = {
  undo: { value: '', help: 'make it an ordinary node again' },
  'no-wait': { value: '', help: 'do not wait until it has moved' },
  ...ALL_FLAGS,
}
const LEAVE_FLAGS: FlagTable = { force: { value: '', help: 'also where it stays a master of something that no other node can take' }, ...ALL_FLAGS }
const FORGET_FLAGS: FlagTable = { force: { value: '', help: 'also where it lives, or is still a master' }, ...ALL_FLAGS }

const POLL_MS = 500
/** What stands still for a moment may be on its way: a change of masters is hinted when it begins, and a node may be suspected for a while. */
const STANDSTILL_MS = 5000

type NodeStatus = ClusterStatus['nodes'][number]

// ---- the verbs -----------------------------------------------------------------------------------------------------

export const drain = {
  help: (): string => helpOfFlags(DRAIN_FLAGS),
  async run(args: readonly string[]): Promise<void> {
    const line = readCommandLine('drain', args, DRAIN_FLAGS, 1)
    const name = argument(line, 0, 'node', 'drain NODE')
    await withClient(line, async (horus) => {
      const status = await horus.status()
      const node = nodeNamed(status, name)
      if (line.has('undo')) return await undo(line, horus, node)
      if (line.has('dry-run')) return tell(line, { node: node.id, ...holdings(status, node.id) }, plan(status, node))
      await confirmed(line, plan(status, node))
      await horus.drain(node.id)
      const left = line.has('no-wait') ? holdings(status, node.id) : await drained(line, horus, node)
      tell(line, { node: node.id, ...left }, line.has('no-wait') ? `node ${node.id} drains` : `node ${node.id} is drained`)
      if (!line.has('no-wait')) whollyDrained(node, left)
    })
  },
}

export const leave = {
  help: (): string => helpOfFlags(LEAVE_FLAGS),
  async run(args: readonly string[]): Promise<void> {
    const line = readCommandLine('leave', args, LEAVE_FLAGS, 1)
    await withClient(line, async (horus) => {
      const status = await horus.status()
      // Whoever names none means the node that --node reaches.
      const node = nodeNamed(status, line.positionals[0] ?? status.self)
      const what = `${plan(status, node)}\nthen it is forgotten and ends, and never comes back under this identity`
      if (line.has('dry-run')) return tell(line, { node: node.id, ...holdings(status, node.id) }, what)
      await confirmed(line, what)
      if (!node.draining) await horus.drain(node.id)
      const left = await drained(line, horus, node)
      if (!line.has('force')) whollyDrained(node, left)
      await horus.forget(node.id, { force: line.has('force') })
      tell(line, { node: node.id, ...left, left: true }, `node ${node.id} has left the cluster`)
    })
  },
}

export const forget = {
  help: (): string => helpOfFlags(FORGET_FLAGS),
  async run(args: readonly string[]): Promise<void> {
    const line = readCommandLine('forget', args, FORGET_FLAGS, 1)
    const name = argument(line, 0, 'node', 'forget NODE')
    await withClient(line, async (horus) => {
      const status = await horus.status()
      const node = nodeNamed(status, name)
      const held = holdings(status, node.id)
      const what = `node ${node.id} (${node.address}, ${node.state}) is struck from the registry, and never let in again${held.shardsLeft > 0 ? `; it is still a master of ${shards(held.shardsLeft)}` : ''}`
      if (line.has('dry-run')) return tell(line, { node: node.id, state: node.state, ...held }, what)
      await confirmed(line, what)
      await horus.forget(node.id, { force: line.has('force') })
      tell(line, { node: node.id, forgotten: true }, `node ${node.id} is forgotten`)
    })
  },
}

async function undo(line: CommandLine, horus: Horus, node: NodeStatus): Promise<void> {
  if (!line.has('dry-run')) await horus.drain(node.id, { undo: true })
  tell(line, { node: node.id, draining: line.has('dry-run') && node.draining }, `node ${node.id} ${line.has('dry-run') ? 'would be' : 'is'} an ordinary node again`)
}

// ---- what a node holds ---------------------------------------------------------------------------------------------

export interface Holdings {
  readonly draining: boolean
  /** It is a master of so many shards, the registry included. */
  readonly shardsLeft: number
  readonly leadsLeft: number
  /** Of these shards and leads, those that another live node could take. */
  readonly shardsMovable: number
  readonly leadsMovable: number
}

export function holdings(status: ClusterStatus, id: string): Holdings {
  const able = status.nodes.filter((node) => node.id !== id && node.admitted && node.state === 'alive' && !node.draining).map((node) => node.id)
  const eligible = able.filter((other) => status.nodes.some((node) => node.id === other && node.eligible))
  const held = status.shards.filter((shard) => shard.masters.some((master) => master === id))
  const led = status.shards.filter((shard) => shard.leader === id)
  return {
    draining: status.nodes.some((node) => node.id === id && node.draining),
    shardsLeft: held.length,
    leadsLeft: led.length,
    shardsMovable: held.filter(({ masters }) => eligible.some((other) => !masters.includes(other))).length,
    leadsMovable: led.filter(({ masters }) => masters.some((master) => able.includes(master))).length,
  }
}

/** Waits until nothing is left that another could take; the end of the wait, by a signal, ends nothing else. */
async function drained(line: CommandLine, horus: Horus, node: NodeStatus): Promise<Holdings> {
  const progress = new Progress(process.stderr)
  const held = holdings(await horus.status(), node.id)
  const all = Math.max(1, held.shardsLeft + held.leadsLeft)
  if (!line.has('json')) process.stdout.write(`node ${node.id} drains; Ctrl-C ends the waiting, not the drain\n`)
  for (let movedAt = performance.now(); ; ) {
    const now = await horus.status().then((status) => holdings(status, node.id), (error: unknown) => {
      if (error instanceof HorusError && error.retryable) return undefined
      throw error
    })
    if (now !== undefined) progress.show(1 - (now.shardsLeft + now.leadsLeft) / all, `${shards(now.shardsLeft)} left, ${now.leadsLeft} led`)
    if (now?.draining !== true || now.shardsMovable + now.leadsMovable > 0) movedAt = performance.now()
    if (now !== undefined && (isEmpty(now) || performance.now() - movedAt >= STANDSTILL_MS)) {
      progress.clear()
      return now
    }
    await delay(POLL_MS)
  }
}

function isEmpty({ draining, shardsLeft, leadsLeft }: Holdings): boolean {
  return draining && shardsLeft + leadsLeft === 0
}

function whollyDrained(node: NodeStatus, { shardsLeft, leadsLeft }: Holdings): void {
  if (shardsLeft === 0) return
  throw new StartError(`node ${node.id} stays a master of ${shards(shardsLeft)} and leads ${leadsLeft}: no other node can take them; start another one, and the drain goes on by itself, or end it with --undo`)
}

function plan(status: ClusterStatus, node: NodeStatus): string {
  const { shardsLeft, leadsLeft, shardsMovable, leadsMovable } = holdings(status, node.id)
  const stays = shardsLeft - shardsMovable
  return `node ${node.id} (${node.address}, ${node.state}) is a master of ${shards(shardsLeft)} and leads ${leadsLeft}: ${shards(shardsMovable)} and ${leadsMovable} of the leads move to other nodes${stays > 0 ? `, ${shards(stays)} stay, since no other node can take them` : ''}`
}

const shards = (count: number): string => `${count} shard${count === 1 ? '' : 's'}`

// ---- people --------------------------------------------------------------------------------------------------------

/** By its id, the beginning of it, or its address. Throws UsageError where that is none or several. */
export function nodeNamed(status: ClusterStatus, name: string): NodeStatus {
  const isPart = (id: string): boolean => name.length >= DIGITS_MIN && id.startsWith(name.toLowerCase())
  const found = status.nodes.filter((node) => node.admitted && (isPart(node.id) || node.address === name))
  if (found.length === 1) return found[0]!
  const known = (found.length > 1 ? found : status.nodes.filter((node) => node.admitted)).map((node) => `${node.id} (${node.address}, ${node.state})`).join(', ')
  throw new UsageError(found.length > 1 ? `'${name}' may be ${known}: give more of the id` : `there is no node '${name}': there are ${known}`)
}
