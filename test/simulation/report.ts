//! What a failing seed tells: what broke, the last events, and the one command that plays it again.

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

function recordText(record: TraceRecord): string {
  return `${record.time.toFixed(3).padStart(11)} ${record.process.padEnd(12)} ${record.kind.padEnd(12)} ${detailText(record.detail)}`.trimEnd()
}

const TEXT_MAX = 160

function detailText(detail: unknown): string {
  if (detail === undefined) return ''
  const text = JSON.stringify(detail, (_key, value: unknown) => (value instanceof Uint8Array ? bytesText(value) : value)) ?? ''
  return text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}...` : text
}

function bytesText(bytes: Uint8Array): string {
  return `${bytes.length} bytes ${Buffer.from(bytes.subarray(0, 24)).toString('hex')}`
}
