//! What real publishers and workers write down while a cluster is being broken, one JSON object a line and a file a process.
//! `at` is CLOCK_MONOTONIC in milliseconds, one clock for all processes of a machine, so the files can be merged.
//!
//!   publisher   add ──▶ acknowledged | refused
//!   worker      delivered ──▶ (extended …) ──▶ completing ──▶ completed
//!                   └──────────────────────▶ gaveUp
//!   anyone      found: what the cluster says of a job whose end its worker does not know, or did not live to write down
//!
//! An event is on disk before what it tells of goes on (add before it is sent, delivered before the handler runs), so that a
//! killed process leaves at most the end of a story out, never its beginning.

export type HistoryEvent =
  /** Keys are the publisher's own names of its jobs; each job carries its key as payload. */
  | { readonly kind: 'add'; readonly at: number; readonly process: string; readonly keys: readonly string[] }
  | { readonly kind: 'acknowledged'; readonly at: number; readonly process: string; readonly keys: readonly string[]; readonly ids: readonly string[] }
  /** NoQuorum: never appended. Unknown: it may be there. */
  | { readonly kind: 'refused'; readonly at: number; readonly process: string; readonly keys: readonly string[]; readonly reason: 'NoQuorum' | 'Unknown' }
  /** `boundAt`: when the worker itself holds its lease to be over. */
  | { readonly kind: 'delivered'; readonly at: number; readonly process: string; readonly id: string; readonly key: string; readonly token: number; readonly attempt: number; readonly boundAt: number }
  | { readonly kind: 'extended'; readonly at: number; readonly process: string; readonly id: string; readonly token: number; readonly boundAt: number }
  /** `result` where a demo wants to compare it. */
  | { readonly kind: 'completing'; readonly at: number; readonly process: string; readonly id: string; readonly token: number; readonly result?: string }
  | { readonly kind: 'completed'; readonly at: number; readonly process: string; readonly id: string; readonly token: number }
  /** The worker ended the lease itself (`failed`, `released`) or was told that it is no longer its own (`lost`). */
  | { readonly kind: 'gaveUp'; readonly at: number; readonly process: string; readonly id: string; readonly token: number; readonly reason: 'failed' | 'released' | 'lost' }
  /** `detail`: what else the cluster says of the job, for people. Attempts include those that ended by a lost lease. */
  | { readonly kind: 'found'; readonly at: number; readonly process?: string; readonly id: string; readonly state: string; readonly detail?: string; readonly attempt?: number; readonly maxAttempts?: number; readonly lostLeases?: number }

/** The one clock of all processes of this machine, in milliseconds. */
export function clock(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000
}
