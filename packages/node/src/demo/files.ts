//! The demo's work: the files below a folder and their SHA-256.

import { createHash } from 'node:crypto'
import { createReadStream, readdirSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { StartError, UsageError } from '../errors.ts'

/** More files than can be listed in the time that a demo takes. */
const FILES_MAX = 1_000_000

/** Paths of all regular files below the folder, relative to it, sorted. Links are not followed, so that nothing is met twice. */
export function filesBelow(folder: string): readonly string[] {
  let isFolder = false
  try {
    isFolder = statSync(folder).isDirectory()
  } catch {
    // Said below, for whatever reason it is no folder.
  }
  if (!isFolder) throw new UsageError(`'${folder}' is no folder: give one whose files are to be checksummed`)
  const files: string[] = []
  const open = [folder]
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    for (const entry of readdirSync(at, { withFileTypes: true })) {
      const path = join(at, entry.name)
      if (entry.isDirectory()) open.push(path)
      else if (entry.isFile()) files.push(relative(folder, path))
    }
    if (files.length > FILES_MAX) throw new UsageError(`'${folder}' has more than ${FILES_MAX} files: give a smaller folder`)
  }
  if (files.length === 0) throw new StartError(`'${folder}' has no files: give a folder that has some`)
  return files.sort()
}

/** As hexadecimal digits. */
export async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 18 })) hash.update(chunk as Buffer)
  return hash.digest('hex')
}
