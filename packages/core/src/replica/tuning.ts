//! What of a node's tuning is the masters': their settings, the defaults where nothing else is asked for.

import { defaultMasterSettings, type MasterSettings } from '../master/settings.ts'
import type { ReplicaTuning } from './boundary.ts'

export function masterSettingsOf(tuning: ReplicaTuning = {}): MasterSettings {
  const { heartbeatMs, electionMs, appendBytes, snapshotEntries, wallJumpMs } = tuning
  return {
    ...defaultMasterSettings,
    ...(heartbeatMs === undefined ? {} : { heartbeatMs }),
    ...(electionMs === undefined ? {} : { electionMs, restAfterMs: electionMs }),
    ...(appendBytes === undefined ? {} : { appendBytesMax: appendBytes }),
    ...(snapshotEntries === undefined ? {} : { keepEntries: Math.ceil(snapshotEntries / 2) }),
    ...(wallJumpMs === undefined ? {} : { wallJumpMs }),
  }
}
