//! Waiting that can be given up, and timers that can be long.

/** The longest that a timer of Node's waits; anything above it comes at once. */
export const TIMER_MS_MAX = 0x7fff_ffff

/** Calls once, after `ms`, which may be longer than 24 days. */
export class Alarm {
  readonly #call: () => void
  #timer: NodeJS.Timeout | undefined

  constructor(ms: number, call: () => void) {
    this.#call = call
    this.#arm(ms)
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #arm(ms: number): void {
    this.#timer = setTimeout(() => (ms > TIMER_MS_MAX ? this.#arm(ms - TIMER_MS_MAX) : this.#call()), Math.min(ms, TIMER_MS_MAX))
  }
}

export function isThenable(value: unknown): value is Promise<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}

/** Resolves after `ms`; rejects with the signal's reason when that aborts. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error)
    const abort = (): void => {
      clearTimeout(timer)
      reject(signal!.reason as Error)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort)
      resolve()
    }, ms)
    signal?.addEventListener('abort', abort, { once: true })
  })
}

/** The promise's outcome, or the signal's reason if that comes first; what the promise stands for goes on. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
