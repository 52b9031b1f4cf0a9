//! Waiting jobs that one acquire has made active, on their way into leases.

export interface Taken {
  /** In the order in which they go. */
  readonly numbers: Float64Array
  readonly lanes: Uint32Array
  /** A lease of its own per job, 0 for none; undefined where no job has one. */
  readonly leaseMs: Uint32Array | undefined
}

export interface LeasePart {
  readonly leaseMs: number
  readonly numbers: Float64Array
  readonly lanes: Uint32Array
}

/** Splits what was taken by the length of its leases, in the order in which the lengths first occur; `leaseMs` is for jobs without one of their own. */
export function byLease(taken: Taken, leaseMs: number): LeasePart[] {
  const { numbers, lanes, leaseMs: own } = taken
  if (own === undefined) return [{ leaseMs, numbers, lanes }]
  const places = new Map<number, number[]>()
  for (let i = 0; i < numbers.length; i++) {
    const length = own[i]! > 0 ? own[i]! : leaseMs
    const known = places.get(length)
    if (known === undefined) places.set(length, [i])
    else known.push(i)
  }
  return [...places].map(([length, at]) => ({ leaseMs: length, numbers: Float64Array.from(at, (i) => numbers[i]!), lanes: Uint32Array.from(at, (i) => lanes[i]!) }))
}

/** The same jobs with rising numbers; mostly they are already. */
export function inOrder(numbers: Float64Array, lanes: Uint32Array): { readonly numbers: Float64Array; readonly lanes: Uint32Array } {
  let rising = true
  for (let i = 1; i < numbers.length && rising; i++) rising = numbers[i]! > numbers[i - 1]!
  if (rising) return { numbers, lanes }
  const order = Array.from(numbers.keys()).sort((a, b) => numbers[a]! - numbers[b]!)
  return { numbers: Float64Array.from(order, (i) => numbers[i]!), lanes: Uint32Array.from(order, (i) => lanes[i]!) }
}
