//! What a checker is: it listens to users and to replicas, and reports the first thing that must not be.

import type { ReplicaObservation } from '@horus/core/replica'
import type { NodeProcess } from '@horus/core/world/node'
import type { HistoryListener } from '../history.ts'

export interface Violation {
  readonly invariant: string
  readonly text: string
}

export class Report {
  first: Violation | undefined

  /** Only the first one counts: what follows from a broken world is noise. */
  broken(invariant: string, text: string): void {
    this.first ??= { invariant, text }
  }
}

export interface Checker extends HistoryListener {
  observed?(node: NodeProcess, observation: ReplicaObservation): void
  /** The node has begun a new run. */
  started?(node: NodeProcess): void
  /** Now and then while the run goes on, between two events. */
  audit?(): void
  /** The run is over and was healed. */
  finish?(): void
}
