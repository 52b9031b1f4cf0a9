import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

/** This file runs as `test/dist/e2e/chaos.test.js`. */
const chaos = join(dirname(fileURLToPath(import.meta.url)), '..', 'chaos', 'main.js')

interface Summary {
  readonly lost: number
  readonly doublyLeased: number
  readonly rerunAfterComplete: number
  readonly acknowledged: number
}

test('twenty seconds of killed and stopped masters lose nothing and lease nothing twice', { skip: !existsSync(chaos), timeout: 120_000 }, async () => {
  const child = spawn(process.execPath, [chaos, '--seconds', '20', '--json'], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part))
  const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve))
  const summary = JSON.parse(text.trimEnd().split('\n').at(-1) ?? '') as Summary
  assert.ok(summary.acknowledged > 0)
  assert.deepEqual([summary.lost, summary.doublyLeased, summary.rerunAfterComplete], [0, 0, 0])
  assert.equal(code, 0)
})
