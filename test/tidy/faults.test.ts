//! docs/FAULTS.md names every option of the simulator's faults, and none that is not there.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NO_FAULTS } from '@horus/core/world/faults/plan'
import { tableOfFaults } from '../simulation/catalogue.ts'

/** `source.option` of every leaf; what a source keeps under `settings` is its own all the same. */
function optionsOf(value: object, path: readonly string[] = []): string[] {
  return Object.entries(value).flatMap(([name, inner]: [string, unknown]) => {
    if (typeof inner === 'object' && inner !== null) return optionsOf(inner, name === 'settings' ? path : [...path, name])
    return [[...path, name].join('.')]
  })
}

test('every option of the faults stands in the catalogue once, and none that does not exist', () => {
  const told = tableOfFaults().flatMap((row) => row.options)
  assert.deepEqual([...told].sort(), optionsOf(NO_FAULTS).sort())
})

test('every fault of the catalogue says what is promised, and what checks it', () => {
  for (const { faults, promised, checked } of tableOfFaults()) assert.ok(faults.length > 0 && promised !== '' && checked !== '', faults.join(' '))
})
