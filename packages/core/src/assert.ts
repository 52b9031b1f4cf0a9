//! Assertions that stay on in production. One that fails is a programmer's error: the process must not go on with a
//! state it does not understand, so the host lets it end and recovers from disk. Operating failures are values, never these.

export class AssertionFailed extends Error {
  override readonly name = 'AssertionFailed'
}

export function assert(condition: boolean, claim: string): asserts condition {
  if (!condition) throw new AssertionFailed(claim)
}

/** For a lookup that must succeed: the value, or the claim that it is there fails. */
export function present<T>(value: T | undefined, claim: string): T {
  if (value === undefined) throw new AssertionFailed(claim)
  return value
}
