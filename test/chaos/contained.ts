//! Runs the driver itself where mounts, and network devices if it wants them, are seen by it and its children only: the system
//! takes them away with the last of these processes, whichever way it ends.

import { spawn, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { UsageError } from '@horus/node/errors'

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url))
const INSIDE = 'CHAOS_CONTAINED'

export const isContained = (): boolean => process.env[INSIDE] !== undefined

/** Resolves to the exit code of the contained run. Rejects with a UsageError where the system does not allow it. */
export async function runContained(wanted: string, network: boolean): Promise<number> {
  const own = ['--mount', '--propagation', 'private', ...(network ? ['--net'] : [])]
  const tried = spawnSync('unshare', [...own, 'true'], { encoding: 'utf8' })
  if (tried.status !== 0) throw new UsageError(`${wanted} is not possible here (${(tried.error?.message ?? tried.stderr).trim()}): it wants Linux and root, or leave it out`)
  const child = spawn('unshare', [...own, process.execPath, MAIN, ...process.argv.slice(2)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], env: { ...process.env, [INSIDE]: '1' } })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal))
  return await new Promise((resolve) => child.once('close', (code) => resolve(code ?? 1)))
}
