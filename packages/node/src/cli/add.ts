//! `horus add`: one job of the command line, or all of a file.

import type { Horus } from '@horus/sdk'
import { oneLine, StartError, UsageError } from '../errors.ts'
import { argument, CLIENT_FLAGS, JSON_FLAG, printJson, withClient } from './client.ts'
import { helpOfFlags, readCommandLine, type CommandLine } from './flags.ts'
import { checkJobsFile, jobsOfFile, type JobLine } from './jobs-file.ts'
import { Progress } from './output.ts'

const USAGE = 'add TOPIC NAME [JSON]  or  add [TOPIC] --file jobs.jsonl'
const FLAGS = {
  file: { value: 'FILE', help: 'jobs, one JSON object {"topic"?, "name", "data"?, "options"?} a line; all are checked before the first is added' },
  options: { value: 'JSON', help: 'options of the job, such as {"priority": 5, "delay": "10s"}' },
  key: { value: 'KEY', help: 'idempotency key: the same key again gets the same job' },
  ...CLIENT_FLAGS,
  ...JSON_FLAG,
}
/** As many as the cluster takes best in one entry. */
const BATCH = 256

export const help = (): string => helpOfFlags(FLAGS)

export async function run(args: readonly string[]): Promise<void> {
  const line = readCommandLine('add', args, FLAGS, 3)
  const file = line.text('file')
  if (file !== undefined) return await addFile(line, file)
  const topic = argument(line, 0, 'topic', USAGE)
  const name = argument(line, 1, 'job name', USAGE)
  const data = jsonOf(line.positionals[2], 'the data')
  const key = line.text('key')
  const options = { ...(jsonOf(line.text('options'), '--options') as object | null), ...(key === undefined ? {} : { idempotencyKey: key }) }
  await withClient(line, async (horus) => {
    const job = await horus.add(topic, name, data, options)
    if (line.has('json')) printJson({ id: job.id, deduplicated: job.deduplicated })
    else process.stdout.write(`${job.id}${job.deduplicated ? ' (it was there before)' : ''}\n`)
  })
}

async function addFile(line: CommandLine, file: string): Promise<void> {
  if (line.positionals.length > 1) throw new UsageError(`with --file the jobs come from the file: leave '${line.positionals[1]}' out`)
  if (line.has('options') || line.has('key')) throw new UsageError('--options and --key are for one job: in a file each line has its own "options"')
  const topic = line.positionals[0]
  const count = await checkJobsFile(file, topic)
  const added = await withClient(line, (horus) => addAll(horus, jobsOfFile(file, topic), count))
  if (line.has('json')) printJson({ added })
  else process.stdout.write(`${added} jobs added\n`)
}

async function addAll(horus: Horus, jobs: AsyncIterable<JobLine>, count: number): Promise<number> {
  const progress = new Progress(process.stderr)
  let added = 0
  let batch: JobLine[] = []
  const flush = async (): Promise<void> => {
    const first = batch[0]
    if (!first) return
    try {
      await horus.addMany(first.topic, batch.map(({ name, data, options }) => ({ name, data, ...(options === undefined ? {} : { options }) })))
    } catch (error) {
      throw new StartError(`the first ${added} of ${count} jobs are added, the next ${batch.length} are not known to be: ${oneLine(error)}`)
    }
    added += batch.length
    batch = []
    progress.show(added / count, `${added} of ${count}`)
  }
  for await (const job of jobs) {
    if (batch.length === BATCH || (batch[0] !== undefined && batch[0].topic !== job.topic)) await flush()
    batch.push(job)
  }
  await flush()
  progress.clear()
  return added
}

function jsonOf(text: string | undefined, what: string): unknown {
  if (text === undefined) return null
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new UsageError(`${what} '${text}' is no JSON (${(error as Error).message}): quote it for the shell, such as '{"a": 1}'`)
  }
}
