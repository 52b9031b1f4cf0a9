//! `horus work`: a worker whose handler is a command. The job's data is JSON on its standard input, its exit code decides
//! (0 completes, anything else fails this attempt), and what it prints is the result: JSON where it is JSON, else a text.

import { spawn } from 'node:child_process'
import type { Job } from '@horus/sdk'
import { oneLine, UsageError } from '../errors.ts'
import { argument, CLIENT_FLAGS, connect } from './client.ts'
import { helpOfFlags, readCommandLine } from './flags.ts'

const USAGE = "work TOPIC --exec 'command'"
const FLAGS = {
  exec: { value: "'COMMAND'", help: 'run by the shell for each job; HORUS_JOB_ID, HORUS_JOB_NAME and HORUS_JOB_ATTEMPT are set' },
  concurrency: { value: 'N', help: 'how many at once; default 1' },
  lease: { value: 'TIME', help: 'how long a job is reserved before it must be extended, which happens by itself; default 30s' },
  quiet: { value: '', help: 'no line per job' },
  ...CLIENT_FLAGS,
}
const CONCURRENCY_MAX = 1024
/** A result is a payload: this much by default, and more is a mistake. */
const OUTPUT_BYTES_MAX = 1024 * 1024
const ERROR_LENGTH_MAX = 2000
const KILL_GRACE_MS = 5000

export const help = (): string => helpOfFlags(FLAGS)

export async function run(args: readonly string[]): Promise<void> {
  const line = readCommandLine('work', args, FLAGS, 1)
  const topic = argument(line, 0, 'topic', USAGE)
  const command = line.text('exec')
  if (command === undefined || command.trim() === '') throw new UsageError(`no command: horus ${USAGE}`)
  const concurrency = line.number('concurrency', 1, 1, CONCURRENCY_MAX)
  const horus = await connect(line)
  const lease = line.text('lease')
  const worker = horus.work(topic, (job: Job) => runCommand(command, job), { concurrency, ...(lease === undefined ? {} : { lease }) })
  const say = (text: string): void => void process.stdout.write(`${text}\n`)
  if (!line.has('quiet')) {
    worker.on('completed', (job) => say(`completed ${job.id}`))
    worker.on('failed', (job, error) => say(`failed ${job.id}: ${oneLine(error)}`))
    worker.on('lost', (job) => say(`lost ${job.id}`))
  }
  worker.on('error', (error) => process.stderr.write(`horus: ${oneLine(error)}\n`))
  await new Promise<void>((resolve) => {
    process.once('SIGTERM', resolve)
    process.once('SIGINT', resolve)
    process.once('disconnect', resolve)
  })
  await worker.stop({ drain: '30s' })
  await horus.close()
}

/** Resolves to what the command printed; rejects when it fails or the job's lease is lost. */
export function runCommand(command: string, job: Pick<Job, 'id' | 'name' | 'attempt' | 'data' | 'signal'>): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, HORUS_JOB_ID: job.id, HORUS_JOB_NAME: job.name, HORUS_JOB_ATTEMPT: String(job.attempt) }
    // A group of its own, so that what the shell has started ends with it.
    const child = spawn(command, { shell: true, stdio: ['pipe', 'pipe', 'pipe'], env, detached: true })
    const end = (signal: NodeJS.Signals): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, signal)
      } catch {
        // It has ended already.
      }
    }
    let grace: NodeJS.Timeout | undefined
    const abort = (): void => {
      end('SIGTERM')
      grace = setTimeout(() => end('SIGKILL'), KILL_GRACE_MS)
    }
    job.signal.addEventListener('abort', abort, { once: true })
    if (job.signal.aborted) abort()
    const output: Buffer[] = []
    let outputBytes = 0
    let errors = ''
    child.stdout.on('data', (chunk: Buffer) => {
      outputBytes += chunk.length
      if (outputBytes > OUTPUT_BYTES_MAX) end('SIGKILL')
      else output.push(chunk)
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors = (errors + text).slice(-ERROR_LENGTH_MAX)
    })
    // A command that does not read its input closes it; that is no failure.
    child.stdin.on('error', () => {})
    child.stdin.end(JSON.stringify(job.data ?? null))
    child.once('error', reject)
    child.once('close', (code, signal) => {
      job.signal.removeEventListener('abort', abort)
      clearTimeout(grace)
      if (outputBytes > OUTPUT_BYTES_MAX) reject(failure(`it printed more than ${OUTPUT_BYTES_MAX} bytes`))
      else if (code === 0) resolve(resultOf(Buffer.concat(output).toString('utf8')))
      else reject(failure(`${signal ? `ended by ${signal}` : `exit code ${code}`}${errors.trim() === '' ? '' : `: ${errors.trim()}`}`))
    })
  })
}

/** What the command has to say is kept with the job; where in this program it was noticed is of no use there. */
function failure(message: string): Error {
  const error = new Error(message)
  Reflect.deleteProperty(error, 'stack')
  return error
}

function resultOf(text: string): unknown {
  const trimmed = text.trim()
  if (trimmed === '') return null
  try {
    return JSON.parse(trimmed) as unknown
  } catch {
    return trimmed
  }
}
