//! Processor time of processes, from Linux's /proc; zero where there is none.

import { readFileSync } from 'node:fs'

/** USER_HZ, which Linux has fixed at 100 for whoever reads /proc. */
const MICROS_PER_TICK = 10_000

/** User and system time of all together. */
export function cpuMicros(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + ticksOf(pid), 0) * MICROS_PER_TICK
}

function ticksOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field is the program's name in brackets, which may hold anything; utime and stime are fields 14 and 15.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return Number(fields[11]) + Number(fields[12])
  } catch {
    return 0
  }
}
