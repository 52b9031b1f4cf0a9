//! Where the stories are, and who tells them: the folder of a story names its driver.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { BooksStage } from './books.ts'
import { ClusterStage } from './cluster.ts'
import { JournalStage } from './journal.ts'
import { MastersStage } from './masters.ts'
import { type Driver, parseStory, retell, type Story } from './story.ts'

const DRIVERS: Readonly<Record<string, () => Driver>> = {
  masters: () => new MastersStage(),
  cluster: () => new ClusterStage(),
  books: () => new BooksStage(),
  journal: () => new JournalStage(),
}

/** This file runs as `test/dist/scenarios/library.js`; the stories lie beside its source. */
const STORIES = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'scenarios', 'stories')

export interface StoryFile {
  /** `masters/first-election`. */
  readonly name: string
  readonly path: string
  readonly text: string
  readonly story: Story
}

/** All stories, or those whose name holds one of the given words. */
export function readStories(wanted: readonly string[] = []): readonly StoryFile[] {
  return Object.keys(DRIVERS).flatMap((folder) => {
    const directory = join(STORIES, folder)
    if (!existsSync(directory)) return []
    const files = readdirSync(directory).filter((file) => file.endsWith('.txt')).sort()
    return files.map((file) => {
      const path = join(directory, file)
      const text = readFileSync(path, 'utf8')
      return { name: relative(STORIES, path).replace(/\\/g, '/').replace(/\.txt$/, ''), path, text, story: parseStory(text) }
    })
  }).filter(({ name }) => wanted.length === 0 || wanted.some((word) => name.includes(word)))
}

/** What the story's commands bring about now. Throws a `StoryError` where a claim in it fails. */
export function tellAnew({ name, story }: StoryFile): string {
  return retell(story, DRIVERS[name.split('/')[0]!]!())
}
