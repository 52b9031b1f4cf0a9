//! `pnpm demo [folder] [--json]`: a cluster loses two of its masters and no job.
//!
//!   five nodes on 127.0.0.1 to .5 find each other by a scan and found a cluster; the three highest values are masters
//!   a publisher adds one job a file below the folder, round after round; four workers compute checksums
//!   the leader of the jobs' shard is killed; once every shard has three live masters again, so is a second master
//!   in the end every checksum is compared with one that is computed here
//!
//! Exit code 0 only when nothing was lost and all checksums agree.

import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readCommandLine } from '../cli/flags.ts'
import { exitCodeOf, oneLine } from '../errors.ts'
import { Demo } from './demo.ts'
import { report } from './report.ts'

const WORKSPACE = fileURLToPath(new URL('../../../../', import.meta.url))

try {
  const line = readCommandLine('demo', process.argv.slice(2), { json: { value: '', help: 'end with one line of JSON' } }, 1)
  const folder = resolve(process.env['INIT_CWD'] ?? process.cwd(), line.positionals[0] ?? `${WORKSPACE}/node_modules`)
  const outcome = await new Demo(folder, line.has('json')).run()
  report(outcome, line.has('json'))
  process.exit(outcome.lost === 0 && outcome.doublyLeased === 0 && outcome.checksumsAgree ? 0 : 1)
} catch (error) {
  process.stderr.write(`demo: ${oneLine(error)}\n`)
  process.exit(exitCodeOf(error))
}
