//! Waiting for a condition, never for a time.

const POLL_MS = 40

export const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Asks until the answer is neither undefined nor false; an error counts as "not yet". Rejects after `msMax` with what was waited for. */
export async function until<T>(what: string, ask: () => T | undefined | false | Promise<T | undefined | false>, msMax = 30_000, pollMs = POLL_MS): Promise<T> {
  const endAt = performance.now() + msMax
  let last: unknown
  for (;;) {
    try {
      const answer = await ask()
      if (answer !== undefined && answer !== false) return answer
      last = undefined
    } catch (error) {
      last = error
    }
    if (performance.now() >= endAt) throw new Error(`waited ${msMax} ms in vain: ${what}${last instanceof Error ? ` (${last.message})` : ''}`)
    await delay(pollMs)
  }
}
