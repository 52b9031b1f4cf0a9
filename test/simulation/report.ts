//! What a failing seed tells: what broke, the last events, and the one command that plays it again.

import { connectionTable, linkTable } from '@horus/core/message/messages'
import type { TraceRecord } from '@horus/core/world/trace'
import type { SeedResult } from './run.ts'

export function replayCommand(seed: number): string {
  return `npx -y pnpm@12 -s sim --seed ${seed}`
}

export function failureText(result: SeedResult, events = 60): string {
  const lines = result.recent.slice(Math.max(0, result.recent.length - events)).map(recordText)
  const { invariant, text } = result.violation!
  return [...lines, `seed ${result.seed} broke ${invariant}: ${text}`, `play it again: ${replayCommand(result.seed)}`].join('\n')
}

export function recordText(record: TraceRecord): string {
  return `${record.time.toFixed(3).padStart(11)} ${record.process.padEnd(12)} ${record.kind.padEnd(12)} ${detailText(record.detail)}`.trimEnd()
}

const TEXT_MAX = 240

function detailText(detail: unknown): string {
  if (detail === undefined) return ''
  const text = detail instanceof Uint8Array ? messageText(detail) : JSON.stringify(detail, (_key, value: unknown) => (value instanceof Uint8Array ? messageText(value) : value)) ?? ''
  return text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}...` : text
}

/** Bytes that are a message of clients or nodes are told as that. */
function messageText(bytes: Uint8Array): string {
  for (const table of [connectionTable, linkTable]) {
    try {
      return JSON.stringify(table.decode(bytes), (_key, value: unknown) => (value instanceof Uint8Array ? `${value.length} bytes` : value))
    } catch {
      // None of this table: the next one may know it.
    }
  }
  return `${bytes.length} bytes ${Buffer.from(bytes.subarray(0, 24)).toString('hex')}`
}
