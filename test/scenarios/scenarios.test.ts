import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readStories, tellAnew } from './library.ts'
import { MastersStage } from './masters.ts'
import { difference, parseStory, type Part, retell, StoryError } from './story.ts'

const files = readStories()

test('there are stories, and each claims something that no rewriting changes', () => {
  assert.ok(files.length >= 30, `${files.length} stories`)
  const claims = (part: Part): boolean => part.kind === 'command' && part.command.words[0] === 'expect'
  assert.deepEqual(files.filter(({ story }) => !story.parts.some(claims)).map(({ name }) => name), [])
})

test('a claim that does not hold breaks a story off, whatever is written below it', () => {
  const story = (claim: string): string => `A story.\n\n> masters a b c\n> begin\n  whatever\n> expect ${claim}\n`
  assert.doesNotThrow(() => retell(parseStory(story('leader a')), new MastersStage()))
  assert.throws(() => retell(parseStory(story('leader b')), new MastersStage()), /line 6: expect leader b\nit is: a/)
  assert.throws(() => retell(parseStory(story('told b leads')), new MastersStage()), StoryError)
})

test('a story that goes differently is shown where it begins to differ', () => {
  assert.equal(difference('a\nb\nc\n', 'a\nb\nc\n'), undefined)
  assert.equal(difference('a\nb\nc\nd\n', 'a\nx\ny\nd\n'), 'line 2:\n  a\n- b\n- c\n+ x\n+ y')
})

test('prose stays as it is, and what was told is replaced', () => {
  const told = retell(parseStory('A story.\n\n> say it\n  old\n  older\n\nMore of it.\n> say it\n'), { run: (words) => [words.join(' '), '  deeper'] })
  assert.equal(told, 'A story.\n\n> say it\n  say it\n    deeper\n\nMore of it.\n> say it\n  say it\n    deeper\n')
})

for (const file of files) {
  test(`${file.name}: ${file.story.title}`, () => {
    const differs = difference(file.text, tellAnew(file))
    assert.ok(differs === undefined, `the story goes differently now; where that is right: pnpm scenarios --write ${file.name}\n${differs}`)
  })
}
