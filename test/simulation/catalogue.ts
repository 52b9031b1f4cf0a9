//! docs/FAULTS.md as data, for the tests that hold it against the simulator.

import { readFileSync } from 'node:fs'

export interface CatalogueRow {
  readonly faults: readonly string[]
  /** `source.option` */
  readonly options: readonly string[]
  readonly promised: string
  readonly checked: string
}

/** This file runs as `test/dist/simulation/catalogue.js`. */
const PAGE = new URL('../../../docs/FAULTS.md', import.meta.url)

export function tableOfFaults(): readonly CatalogueRow[] {
  const rows = readFileSync(PAGE, 'utf8').split('\n').filter((line) => line.startsWith('| `'))
  return rows.map((line) => {
    const [, faults = '', options = '', promised = '', checked = ''] = line.split('|').map((cell) => cell.trim())
    return { faults: quoted(faults), options: quoted(options), promised, checked }
  })
}

function quoted(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1]!)
}
