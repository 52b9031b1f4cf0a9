//! Runs the example of docs/TESTING.md as it stands there: what a user copies works.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { testCluster } from '@horus/sdk/testing'

const PAGE = new URL('../../../../docs/TESTING.md', import.meta.url)
const IMPORTS = `import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testCluster } from '@horus/sdk/testing'
`

test('the example of the page on testing runs', async () => {
  const example = /^```js\n([\s\S]*?)^```$/m.exec(readFileSync(PAGE, 'utf8'))?.[1]
  assert.ok(example !== undefined && example.startsWith(IMPORTS), 'the page begins with an example that imports what this test hands in')
  const names: string[] = []
  const running: Promise<void>[] = []
  const collect = (name: string, run: () => Promise<void>): void => {
    names.push(name)
    running.push(run())
  }
  new Function('assert', 'test', 'testCluster', example.slice(IMPORTS.length))(assert, collect, testCluster)
  await Promise.all(running)
  assert.equal(names.length, 1)
})
