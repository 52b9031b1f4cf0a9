//! The figures of many measurements.

/** Of rising values, to the third decimal; 0 of none. */
export function quantile(sorted: readonly number[], fraction: number): number {
  return Math.round((sorted[Math.min(sorted.length - 1, Math.floor(fraction * sorted.length))] ?? 0) * 1000) / 1000
}
