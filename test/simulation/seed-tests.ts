//! Seeds as tests: each one a run of a minute that must keep every promise, and one that is run twice.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PARTS } from './parts.ts'
import { failureText } from './report.ts'
import { runSeed } from './run.ts'

export function testSeeds(from: number, to: number): void {
  for (let seed = from; seed <= to; seed++) {
    test(`seed ${seed} keeps every promise`, () => {
      const result = runSeed(seed, PARTS)
      assert.equal(result.violation, undefined, result.violation && failureText(result))
    })
  }
}

export function testDeterminism(seed: number): void {
  test(`seed ${seed} leaves the same trace twice`, () => {
    assert.equal(runSeed(seed, PARTS).trace, runSeed(seed, PARTS).trace)
  })
}
