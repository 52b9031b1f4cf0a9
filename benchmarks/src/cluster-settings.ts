//! What the processes of the cluster benchmark are told, and tell back. All times are of the one monotonic clock.

export interface BenchSettings {
  readonly cluster: string
  readonly seeds: readonly string[]
  readonly topic: string
  readonly jobs: number
  readonly payloadBytes: number
  readonly batch: number
  readonly inFlight: number
  readonly concurrency: number
  readonly pickups: number
}

export type ToPublisher = { readonly kind: 'go' } | { readonly kind: 'pickups' }

export interface FromPublisher {
  readonly stage: 'ready' | 'published' | 'done'
  readonly startedAt: number
  readonly publishMs: number
}

export interface FromWorker {
  readonly completed: number
  readonly lastCompletedAt: number
  readonly pickupsMs: readonly number[]
}

export function readSettings(): BenchSettings {
  return JSON.parse(process.argv[2]!) as BenchSettings
}
