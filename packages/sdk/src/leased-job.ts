//! Jobs that `acquire` has leased: ended and extended by hand.

import type { LeasedJob as CoreJob, LeaseLostReason } from '@horus/core/client/api'
import { FailMode } from '@horus/core/message/command'
import type { Holder } from './engine.ts'
import { failureOf, HeldJob, type HoldContext } from './held-job.ts'
import { check, type Duration, ms } from './options.ts'

export class LeasedJob<Input = unknown> extends HeldJob<Input> {
  /** Ends the job with a result. Throws LeaseLost where somebody else may have it, Unknown where no answer came. */
  async complete(result?: unknown): Promise<void> {
    const bytes = this.encodeResult(result)
    await this.context.engine.request((request) => ({ kind: 'complete', request, lease: this.lease, result: bytes, timeoutMs: this.context.requestTimeoutMs }))
  }

  /** Ends the attempt: the job is tried again after its backoff or after `retryAfter`; a PermanentError makes it dead. Throws LeaseLost, Unknown, InvalidOption. */
  async fail(error: unknown, options?: { readonly retryAfter?: Duration }): Promise<void> {
    const { retryAfter } = check('fail', options, { retryAfter: ms() })
    const failure = failureOf(error)
    const how = retryAfter === undefined || failure.mode === FailMode.permanent ? failure : { ...failure, mode: FailMode.retryAfter, retryAfterMs: retryAfter }
    await this.context.engine.request((request) => ({ kind: 'fail', request, lease: this.lease, ...how, timeoutMs: this.context.requestTimeoutMs }))
  }

  /** Hands the job back; no attempt is counted. Throws LeaseLost, Unknown. */
  async release(): Promise<void> {
    await this.context.engine.request((request) => ({ kind: 'release', request, lease: this.lease, timeoutMs: this.context.requestTimeoutMs }))
  }

  lost(reason: LeaseLostReason): void {
    this.abort(reason)
  }
}

/** All jobs of a client's acquires. */
export class Pulled implements Holder {
  take<Input>(jobs: readonly CoreJob[], context: HoldContext): LeasedJob<Input>[] {
    return jobs.map((lease) => {
      const job = new LeasedJob<Input>(lease, context)
      lease.tag = job
      return job
    })
  }

  leased(): void {}

  leaseLost(lease: CoreJob, reason: LeaseLostReason): void {
    if (lease.tag instanceof LeasedJob) lease.tag.lost(reason)
  }
}
