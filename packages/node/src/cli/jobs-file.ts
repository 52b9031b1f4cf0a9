//! Jobs from a file, one JSON object a line: {"topic"?, "name", "data"?, "options"?}. The whole file is read and checked
//! before the first job is added, so that a file that was cut short adds nothing.

import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { UsageError } from '../errors.ts'

export interface JobLine {
  readonly topic: string
  readonly name: string
  readonly data: unknown
  readonly options: Readonly<Record<string, unknown>> | undefined
}

/** A line longer than the largest payload can be no job. */
const LINE_LENGTH_MAX = 17 * 1024 * 1024
const KEYS = new Set(['topic', 'name', 'data', 'options'])

/** Checks every line; resolves to their number. Rejects with a UsageError that names the first bad line. */
export async function checkJobsFile(file: string, topic: string | undefined): Promise<number> {
  let count = 0
  for await (const _ of jobsOfFile(file, topic)) count++
  return count
}

export async function* jobsOfFile(file: string, topic: string | undefined): AsyncGenerator<JobLine> {
  const input = createReadStream(file, 'utf8')
  const lines = createInterface({ input, crlfDelay: Infinity })
  let number = 0
  try {
    for await (const line of lines) {
      number++
      if (line.trim() !== '') yield readJobLine(line, `${file}:${number}`, topic)
    }
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw new UsageError(`--file ${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? (error as Error).message}): give a file of jobs`)
  } finally {
    lines.close()
    input.destroy()
  }
}

/** Throws UsageError; `where` is the file and the number of the line. */
export function readJobLine(line: string, where: string, topic: string | undefined): JobLine {
  if (line.length > LINE_LENGTH_MAX) throw new UsageError(`${where}: a line of ${line.length} characters is longer than any job: nothing was added`)
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (error) {
    throw new UsageError(`${where}: no complete JSON object (${(error as Error).message}): nothing was added`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new UsageError(`${where}: one JSON object a line is wanted: nothing was added`)
  const job = value as Record<string, unknown>
  for (const key of Object.keys(job)) if (!KEYS.has(key)) throw new UsageError(`${where}: unknown key '${key}', a job has topic, name, data and options: nothing was added`)
  const jobTopic = job['topic'] ?? topic
  if (typeof jobTopic !== 'string' || jobTopic === '') throw new UsageError(`${where}: no topic: give "topic" in the line, or name one: horus add TOPIC --file FILE: nothing was added`)
  if (typeof job['name'] !== 'string' || job['name'] === '') throw new UsageError(`${where}: no "name": nothing was added`)
  const options = job['options']
  if (options !== undefined && (typeof options !== 'object' || options === null || Array.isArray(options))) throw new UsageError(`${where}: "options" must be an object: nothing was added`)
  return { topic: jobTopic, name: job['name'], data: job['data'] ?? null, options: options as JobLine['options'] }
}
