//! `horus topic`: makes a topic, or changes its settings.

import { PARTITIONS_MAX } from '@horus/core/message/registry'
import { UsageError } from '../errors.ts'
import { argument, CLIENT_FLAGS, JSON_FLAG, printJson, withClient } from './client.ts'
import { helpOfFlags, readCommandLine } from './flags.ts'
import { facts } from './output.ts'

const FLAGS = {
  partitions: { value: 'N', help: `how many partitions, 1 to ${PARTITIONS_MAX}; fixed when the topic is made; default 1` },
  'dead-letter': { value: 'TOPIC', help: 'jobs that are dead are added to that topic too, which must exist' },
  'no-dead-letter': { value: '', help: 'dead jobs stay where they are, and nowhere else' },
  ...CLIENT_FLAGS,
  ...JSON_FLAG,
}

export const help = (): string => helpOfFlags(FLAGS)

export async function run(args: readonly string[]): Promise<void> {
  const line = readCommandLine('topic', args, FLAGS, 1)
  const topic = argument(line, 0, 'topic', 'topic TOPIC')
  const deadLetter = line.text('dead-letter')
  if (deadLetter !== undefined && line.has('no-dead-letter')) throw new UsageError('--dead-letter and --no-dead-letter contradict each other: give one of them')
  const partitions = line.text('partitions') === undefined ? undefined : line.number('partitions', 1, 1, PARTITIONS_MAX)
  const settings = {
    ...(partitions === undefined ? {} : { partitions }),
    ...(deadLetter === undefined ? {} : { deadLetter }),
    ...(line.has('no-dead-letter') ? { deadLetter: null } : {}),
  }
  const made = await withClient(line, (horus) => horus.topic(topic).configure(settings))
  if (line.has('json')) printJson({ topic, ...made })
  else process.stdout.write(`${facts([['topic', topic], ['partitions', made.partitions]])}\n`)
}
