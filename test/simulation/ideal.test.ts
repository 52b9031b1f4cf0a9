import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Client } from '@horus/core/client/client'
import type { Address } from '@horus/core/units'
import type { Parts } from './cluster.ts'
import { IdealLog, IdealNode } from './ideal-node.ts'
import { failureText } from './report.ts'
import { runSetup } from './run.ts'
import { drawSetup } from './setup.ts'

function idealParts(): Parts {
  const logs = new Map<Address, IdealLog>()
  return {
    replica: ({ address }) => {
      const log = logs.get(address) ?? new IdealLog()
      logs.set(address, log)
      return new IdealNode(log, address)
    },
    client: (random, addresses) => new Client({ random, addresses }),
  }
}

test('users and checkers find nothing wrong with a cluster that never fails, whatever happens around it', () => {
  for (let seed = 1; seed <= 8; seed++) {
    const setup = drawSetup(seed)
    const result = runSetup({ ...setup, workload: { ...setup.workload, deadLetter: undefined }, nodes: 1, expect: 1, leaveOneDead: false }, idealParts())
    assert.equal(result.violation, undefined, result.violation && failureText(result))
  }
})
