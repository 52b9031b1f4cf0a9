//! Child processes that never outlive their parent: killed, stopped ones too, whichever way the parent ends; and if it is
//! itself killed, their channel to it closes, and they end by that. Ended only by their own pid.

import { fork, type ChildProcess } from 'node:child_process'
import { rmSync } from 'node:fs'

const living = new Set<ChildProcess>()
const folders = new Set<string>()
let armed = false

export interface ChildOptions {
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** A command that becomes the process, such as `ip netns exec NAME`: it must keep pid and open files, as exec does. */
  readonly through?: readonly string[]
  /** Called for each message of the child. */
  readonly onMessage?: (message: unknown) => void
  /** Called for each line of its standard output. */
  readonly onLine?: (line: string) => void
}

export class Child {
  readonly process: ChildProcess
  /** The end of what it wrote to its standard error. */
  errors = ''
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
  #paused = false

  constructor(script: string, options: ChildOptions = {}) {
    arm()
    const [execPath, ...execArgv] = [...(options.through ?? []), process.execPath]
    this.process = fork(script, options.args ?? [], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], execPath, execArgv, env: { ...environment(), ...options.env } })
    living.add(this.process)
    this.ended = new Promise((resolve) => {
      this.process.once('close', (code, signal) => {
        living.delete(this.process)
        resolve({ code, signal })
      })
    })
    this.process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.errors = (this.errors + text).slice(-ERRORS_LENGTH_MAX)
    })
    readLines(this.process, options.onLine)
    if (options.onMessage) this.process.on('message', options.onMessage)
    // A child that has just ended may still be written to: its end is noticed by `ended`, not by this.
    this.process.on('error', () => {})
  }

  get running(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null
  }

  get paused(): boolean {
    return this.#paused
  }

  send(message: object): void {
    if (this.process.connected) this.process.send(message, () => {})
  }

  async kill(): Promise<void> {
    this.process.kill('SIGKILL')
    await this.ended
  }

  pause(): void {
    this.#paused = this.process.kill('SIGSTOP')
  }

  resume(): void {
    this.process.kill('SIGCONT')
    this.#paused = false
  }

  /** Asks it to end; kills it when it has not within `graceMs`. */
  async stop(graceMs = 5000): Promise<void> {
    if (!this.running) return
    if (this.#paused) this.resume()
    this.process.kill('SIGTERM')
    const timer = setTimeout(() => this.process.kill('SIGKILL'), graceMs)
    await this.ended
    clearTimeout(timer)
  }
}

const ERRORS_LENGTH_MAX = 4096

/** Removes the folder when this process ends, whichever way. */
export function removeAtExit(folder: string): void {
  arm()
  folders.add(folder)
}

export function removeNow(folder: string): void {
  folders.delete(folder)
  rmSync(folder, { recursive: true, force: true })
}

/** In a child: ends it when its parent has gone. */
export function endWithParent(): void {
  process.once('disconnect', () => process.exit(0))
}

function arm(): void {
  if (armed) return
  armed = true
  process.once('exit', () => {
    for (const child of living) child.kill('SIGKILL')
    for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  // Without a listener these signals end the process without its 'exit' event; a second one must not cut that event short.
  for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]] as const) process.on(signal, () => process.exit(code))
}

/** A child's settings are its arguments: variables meant for another node must not reach it. */
function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('HORUS_') && name !== 'NODE_OPTIONS' && !name.startsWith('NODE_TEST')))
}

function readLines(child: ChildProcess, onLine: ((line: string) => void) | undefined): void {
  let rest = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    if (onLine) for (const line of lines) onLine(line)
  })
}
