//! `pnpm scenarios [--write] [WORD...]`: tells the stories whose names hold a word (all, without one) and shows where they differ from
//! what is written; with `--write` they are rewritten. Exits with 1 when one differs, or when a claim in one fails.

import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { readStories, tellAnew } from './library.ts'
import { difference, StoryError } from './story.ts'

function main(): void {
  const { values, positionals } = parseArgs({ options: { write: { type: 'boolean', default: false } }, allowPositionals: true })
  const files = readStories(positionals)
  let wrong = 0
  for (const file of files) {
    try {
      const told = tellAnew(file)
      const differs = difference(file.text, told)
      if (differs === undefined) continue
      if (values.write) writeFileSync(file.path, told)
      else wrong++
      console.log(`${values.write ? 'rewritten' : 'differs'}: ${file.name}\n${values.write ? '' : differs}`)
    } catch (error) {
      if (!(error instanceof StoryError)) throw error
      wrong++
      console.log(`breaks off: ${file.name}, ${error.message}`)
    }
  }
  console.log(`${files.length} stories, ${wrong} wrong`)
  process.exitCode = wrong > 0 ? 1 : 0
}

main()
