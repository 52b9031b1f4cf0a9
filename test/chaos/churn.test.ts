import assert from 'node:assert/strict'
import { test } from 'node:test'
import { faultsOf, runChaos } from './run.ts'

test('nodes join and leave under load: nothing is lost, and nobody waits longer than for a failover', { timeout: 240_000 }, async (t) => {
  const seed = Math.floor(performance.timeOrigin) >>> 0
  const outcome = await runChaos({ seconds: 4, seed, churn: 2, say: (text) => t.diagnostic(text), show: () => {} })
  assert.equal(faultsOf(outcome), 0, `seed ${seed}: no job was completed for ${outcome.longestGapMs} ms; ${outcome.findings.slice(0, 5).map(({ what, id, why }) => `${what}: job ${id} ${why}`).join('; ')}`)
  assert.deepEqual([outcome.joins, outcome.leaves], [2, 2])
  assert.ok(outcome.completed > 0)
})
