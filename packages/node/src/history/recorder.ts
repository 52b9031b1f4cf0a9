//! Writes a process's history. Every write is a system call of its own: what was written outlives a kill -9.

import { closeSync, existsSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { clock, type HistoryEvent } from './event.ts'

/** As it is handed in; the recorder adds when and who. */
export type WithoutStamp<E> = E extends unknown ? Omit<E, 'at' | 'process'> : never

const HISTORY_SUFFIX = '.history.jsonl'

export class Recorder {
  readonly #process: string
  readonly #file: number

  /** `process` names who acts; a restarted process takes a new name. */
  constructor(folder: string, process: string) {
    this.#process = process
    this.#file = openSync(join(folder, process + HISTORY_SUFFIX), 'a')
  }

  record(event: WithoutStamp<HistoryEvent>): void {
    this.recordAll([event])
  }

  /** One write for several events. */
  recordAll(events: readonly WithoutStamp<HistoryEvent>[]): void {
    const at = clock()
    let lines = ''
    for (const event of events) lines += `${JSON.stringify({ ...event, at, process: this.#process })}\n`
    writeSync(this.#file, lines)
  }

  close(): void {
    closeSync(this.#file)
  }
}

/** Everything that was recorded below the folder, in the order of the one clock. */
export function readHistory(folder: string): HistoryEvent[] {
  const events: HistoryEvent[] = []
  for (const file of readdirSync(folder).sort()) {
    if (file.endsWith(HISTORY_SUFFIX)) readHistoryFile(join(folder, file), events)
  }
  return events.sort((a, b) => a.at - b.at)
}

/** What one process recorded; nothing where it was killed before it had begun. */
export function readHistoryOf(folder: string, process: string): readonly HistoryEvent[] {
  const events: HistoryEvent[] = []
  const file = join(folder, process + HISTORY_SUFFIX)
  if (existsSync(file)) readHistoryFile(file, events)
  return events
}

function readHistoryFile(file: string, into: HistoryEvent[]): void {
  const lines = readFileSync(file, 'utf8').split('\n')
  // A process that was killed in the middle of its last write leaves a line without an end; that event has not happened.
  lines.pop()
  for (const line of lines) into.push(JSON.parse(line) as HistoryEvent)
}
