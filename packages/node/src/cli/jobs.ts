//! `horus job`, `horus jobs`, `horus counts`: what a topic has.

import type { JobStateName } from '@horus/sdk'
import { StartError, UsageError } from '../errors.ts'
import { argument, CLIENT_FLAGS, JSON_FLAG, printJson, withClient } from './client.ts'
import { helpOfFlags, readCommandLine } from './flags.ts'
import { facts, table } from './output.ts'

const ONE_FLAGS = { ...CLIENT_FLAGS, ...JSON_FLAG }
const LIST_FLAGS = {
  state: { value: 'STATE[,STATE]', help: 'scheduled, blocked, waiting, active, retrying, completed, cancelled, dead' },
  name: { value: 'NAME', help: 'only jobs of this name' },
  limit: { value: 'N', help: 'at most so many; default 50' },
  ...ONE_FLAGS,
}
const STATES: readonly JobStateName[] = ['scheduled', 'blocked', 'waiting', 'active', 'retrying', 'completed', 'cancelled', 'dead']
const LIMIT_MAX = 1000

export const job = {
  help: (): string => helpOfFlags(ONE_FLAGS),
  async run(args: readonly string[]): Promise<void> {
    const line = readCommandLine('job', args, ONE_FLAGS, 2)
    const topic = argument(line, 0, 'topic', 'job TOPIC ID')
    const id = argument(line, 1, 'job id', 'job TOPIC ID')
    const found = await withClient(line, (horus) => horus.job(topic, id))
    if (!found) throw new StartError(`topic '${topic}' has no job ${id}: it was never added, or its retention has ended`)
    if (line.has('json')) printJson(found)
    else process.stdout.write(`${facts(Object.entries(found).filter(([, value]) => value !== undefined).map(([name, value]) => [name, shown(value)] as const))}\n`)
  },
}

export const jobs = {
  help: (): string => helpOfFlags(LIST_FLAGS),
  async run(args: readonly string[]): Promise<void> {
    const line = readCommandLine('jobs', args, LIST_FLAGS, 1)
    const topic = argument(line, 0, 'topic', 'jobs TOPIC')
    const states = statesOf(line.text('state'))
    const name = line.text('name')
    const limit = line.number('limit', 50, 1, LIMIT_MAX)
    const found = await withClient(line, (horus) => horus.jobs(topic, { limit, ...(states === undefined ? {} : { state: states }), ...(name === undefined ? {} : { name }) }))
    if (line.has('json')) printJson(found)
    else process.stdout.write(`${table(['id', 'name', 'state', 'attempt', 'added'], found.map((view) => [view.id, view.name, view.state, view.attempt, shown(view.addedAt)]))}\n`)
  },
}

export const counts = {
  help: (): string => helpOfFlags(ONE_FLAGS),
  async run(args: readonly string[]): Promise<void> {
    const line = readCommandLine('counts', args, ONE_FLAGS, 1)
    const topic = argument(line, 0, 'topic', 'counts TOPIC')
    const found = await withClient(line, (horus) => horus.counts(topic))
    if (line.has('json')) printJson(found)
    else process.stdout.write(`${facts(Object.entries(found).map(([name, value]) => [name, value as number] as const))}\n`)
  },
}

function statesOf(text: string | undefined): readonly JobStateName[] | undefined {
  return text?.split(',').map((state) => {
    const known = STATES.find((name) => name === state.trim())
    if (!known) throw new UsageError(`--state '${state}' is no state: there are ${STATES.join(', ')}`)
    return known
  })
}

function shown(value: unknown): string {
  if (value instanceof Date) return value.toISOString()
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
}
