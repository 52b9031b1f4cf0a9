//! Held jobs by their lease: one map entry a job.

import type { LeaseKey } from '@horus/core/client/api'

interface Held {
  readonly lease: LeaseKey
}

export class LeaseIndex<T extends Held> {
  readonly #partitions = new Map<number, Map<number, T>>()

  get size(): number {
    let size = 0
    for (const jobs of this.#partitions.values()) size += jobs.size
    return size
  }

  set(lease: LeaseKey, job: T): void {
    let jobs = this.#partitions.get(lease.partition)
    if (jobs === undefined) {
      jobs = new Map()
      this.#partitions.set(lease.partition, jobs)
    }
    jobs.set(lease.number, job)
  }

  /** Removes the job of that very lease; a newer one of the same job stays. */
  take(lease: LeaseKey): T | undefined {
    const jobs = this.#partitions.get(lease.partition)
    const job = jobs?.get(lease.number)
    if (job === undefined || job.lease.token !== lease.token) return undefined
    jobs!.delete(lease.number)
    return job
  }

  all(): T[] {
    return [...this.#partitions.values()].flatMap((jobs) => [...jobs.values()])
  }
}
