import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readStories, tellAnew } from './library.ts'
import { difference, type Part } from './story.ts'

const files = readStories()

test('there are stories, and each claims something that no rewriting changes', () => {
  assert.ok(files.length >= 30, `${files.length} stories`)
  const claims = (part: Part): boolean => part.kind === 'command' && part.command.words[0] === 'expect'
  assert.deepEqual(files.filter(({ story }) => !story.parts.some(claims)).map(({ name }) => name), [])
})

for (const file of files) {
  test(`${file.name}: ${file.story.title}`, () => {
    const differs = difference(file.text, tellAnew(file))
    assert.ok(differs === undefined, `the story goes differently now; where that is right: pnpm scenarios --write ${file.name}\n${differs}`)
  })
}
