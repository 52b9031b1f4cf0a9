//! `horus start`: a node in a process of its own.
//!
//! With --json each event is a line: {"event": "listening", nodeId, value, address}, then "founded", "ready", "log",
//! "left" where it was drained and forgotten, and "ended" with its reason. SIGTERM and SIGINT hand the lead over and end it; so does the end of a parent that started it
//! with a channel.

import type { ReplicaTuning } from '@horus/core/replica'
import { mergeOptions, optionOfText, optionsOfEnvironment, optionsOfFile, OPTIONS, variableOf, type NodeOptions } from '../config.ts'
import { StartError } from '../errors.ts'
import { runNode, type HorusNode, type NodeEvent } from '../start.ts'
import { helpOfFlags, readCommandLine, type FlagTable } from './flags.ts'

const byFlag = new Map(Object.entries(OPTIONS).filter(([, option]) => option.flag !== '').map(([name, option]) => [option.flag, name as keyof NodeOptions]))

const FLAGS: FlagTable = {
  ...Object.fromEntries([...byFlag].map(([flag, name]) => [flag, { value: OPTIONS[name].value, help: OPTIONS[name].help }])),
  config: { value: 'FILE', help: 'a JSON object with these settings, by their names in `startNode`' },
  json: { value: '', help: 'tell what happens in lines of JSON' },
}

export function help(): string {
  return `${helpOfFlags(FLAGS)}\n\nEvery flag is also a variable: --secret-file is ${variableOf('secret-file')}. A flag wins over a variable, a variable over --config.`
}

/** `tuning` is for tests. */
export async function run(args: readonly string[], tuning?: ReplicaTuning): Promise<void> {
  const line = readCommandLine('start', args, FLAGS, 0)
  const flags: Record<string, unknown> = {}
  for (const [flag, name] of byFlag) {
    const text = line.text(flag)
    if (text !== undefined) flags[name] = optionOfText(name, text, `--${flag}`)
  }
  const file = line.text('config') ?? process.env['HORUS_CONFIG']
  const options = mergeOptions(file === undefined || file === '' ? {} : optionsOfFile(file), optionsOfEnvironment(process.env), flags as NodeOptions)
  const report = line.has('json') || process.env['HORUS_JSON'] === 'true' ? reportJson : reportText
  const node = await runNode(options, report, tuning)
  report({ event: 'listening', nodeId: node.nodeId, value: node.value, address: node.address, cluster: node.cluster })
  endOnSignals(node)
  const reason = await node.ended
  if (reason !== undefined) throw new StartError(reason)
}

function endOnSignals(node: HorusNode): void {
  let asked = false
  const end = (): void => {
    // Asked twice: whoever asks does not want to wait.
    if (asked) process.exit(1)
    asked = true
    void node.stop()
  }
  process.on('SIGTERM', end)
  process.on('SIGINT', end)
  process.once('disconnect', () => process.exit(1))
}

function reportJson(event: NodeEvent): void {
  process.stdout.write(`${JSON.stringify(event)}\n`)
}

function reportText(event: NodeEvent): void {
  switch (event.event) {
    case 'listening':
      process.stdout.write(`node ${event.nodeId} of cluster '${event.cluster}' listens on ${event.address}\n`)
      return
    case 'founded':
      process.stdout.write(`cluster ${event.clusterId} is founded\n`)
      return
    case 'ready':
      process.stdout.write(event.ready ? 'ready\n' : 'not ready\n')
      return
    case 'left':
      process.stdout.write('has left the cluster\n')
      return
    case 'log':
      ;(event.level === 'info' ? process.stdout : process.stderr).write(`${event.level}: ${event.text}\n`)
      return
    default:
      event satisfies never
  }
}
