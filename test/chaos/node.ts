//! A node of a chaos run: `horus start`, but with small segments and frequent snapshots, so that files are filled, copied, rewritten
//! and deleted while things break, and a machine that is busy elsewhere has a node up again soon.

import { run } from '@horus/node/cli/start'
import { exitCodeOf, oneLine } from '@horus/node/errors'

const TUNING = { segmentBytes: 8 * 1024 * 1024, snapshotEntries: 4096 }

try {
  const [, ...args] = process.argv.slice(2)
  await run(args, TUNING)
  process.exit(0)
} catch (error) {
  process.stderr.write(`${oneLine(error)}\n`)
  process.exit(exitCodeOf(error))
}
