//! The calls to the file system that take several steps, each ended by a callback.

import { close, constants, fdatasync, fsync, open, readdir, rename, stat, unlink, write, writev } from 'node:fs'
import { join } from 'node:path'

type Callback = (error: NodeJS.ErrnoException | null) => void

/** A file grows in steps of this size, so that other requests get their turn of the disk in between. */
const ZERO_BYTES = 1024 * 1024
/** Written zeros are sent to the disk at this pace: one flush of a whole segment at the end would hold up every other. */
const FLUSH_EVERY_BYTES = 8 * ZERO_BYTES
/** The system takes at most this many pieces in one call (IOV_MAX); more would no longer be one durable write. */
const PIECES_MAX = 1024
/** A file under construction; the dot keeps it out of every listing. */
const UNFINISHED = '.new'

/**
 * Makes a file of zeros under another name and renames it, so that there is never half of one. The zeros are really written:
 * a later flush then overwrites blocks and need not make the file system remember new ones, which halves its cost.
 */
export function createFile(directory: string, file: string, size: number, done: Callback): void {
  const path = join(directory, file + UNFINISHED)
  open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC, 0o600, (error, fd) => {
    if (error) return done(error)
    writeZeros(fd, size, 0, (failed) => {
      if (failed) return abandon(fd, path, failed, done)
      fsync(fd, (unsynced) => {
        if (unsynced) return abandon(fd, path, unsynced, done)
        close(fd, () => rename(path, join(directory, file), (unnamed) => (unnamed ? done(unnamed) : syncDirectory(directory, done))))
      })
    })
  })
}

/** Writes all pieces one behind the other from `at` on; a short write is continued. */
export function writeAll(fd: number, pieces: readonly Uint8Array[], at: number, done: Callback): void {
  if (pieces.length === 0) return process.nextTick(done, null)
  const parts = pieces.length > PIECES_MAX ? [Buffer.concat(pieces)] : pieces
  writev(fd, parts as NodeJS.ArrayBufferView[], at, (error, count) => {
    if (error) return done(error)
    const left = behind(parts, count)
    if (left.length === 0) return done(null)
    if (count === 0) return done(Object.assign(new Error('the disk takes no more bytes'), { code: 'ENOSPC' }))
    writeAll(fd, left, at + count, done)
  })
}

/** Makes the names in a directory durable. */
export function syncDirectory(directory: string, done: Callback): void {
  open(directory, constants.O_RDONLY, (error, fd) => {
    if (error) return done(process.platform === 'win32' ? null : error)
    fsync(fd, (failed) => close(fd, () => done(process.platform === 'win32' ? null : failed)))
  })
}

/** Regular files whose names fit, in order of their names. */
export function list(directory: string, names: RegExp, done: (error: NodeJS.ErrnoException | null, files: { name: string; size: number }[]) => void): void {
  readdir(directory, { withFileTypes: true }, (error, entries) => {
    if (error) return done(error, [])
    const found = entries.filter((entry) => entry.isFile() && names.test(entry.name)).map((entry) => entry.name).sort()
    const files: { name: string; size: number }[] = []
    const next = (): void => {
      const name = found[files.length]
      if (name === undefined) return done(null, files)
      stat(join(directory, name), (failed, stats) => {
        if (failed) return done(failed, [])
        files.push({ name, size: stats.size })
        next()
      })
    }
    next()
  })
}

/** Deletes files whose construction a crash cut short. */
export function removeLeftovers(directory: string, done: Callback): void {
  readdir(directory, (error, names) => {
    if (error) return done(error)
    const leftovers = names.filter((name) => name.endsWith(UNFINISHED))
    const next = (): void => {
      const name = leftovers.pop()
      if (name === undefined) return done(null)
      unlink(join(directory, name), (failed) => (failed && failed.code !== 'ENOENT' ? done(failed) : next()))
    }
    next()
  })
}

function writeZeros(fd: number, size: number, at: number, done: Callback): void {
  if (at === size) return done(null)
  const count = Math.min(ZERO_BYTES, size - at)
  write(fd, ZEROS, 0, count, at, (error, written) => {
    if (error) return done(error)
    const next = at + written
    if (Math.floor(next / FLUSH_EVERY_BYTES) === Math.floor(at / FLUSH_EVERY_BYTES)) return writeZeros(fd, size, next, done)
    fdatasync(fd, (failed) => (failed ? done(failed) : writeZeros(fd, size, next, done)))
  })
}

function abandon(fd: number, path: string, error: NodeJS.ErrnoException, done: Callback): void {
  close(fd, () => unlink(path, () => done(error)))
}

/** What is left of the pieces behind their first `count` bytes. */
function behind(pieces: readonly Uint8Array[], count: number): Uint8Array[] {
  const left: Uint8Array[] = []
  for (const piece of pieces) {
    if (count >= piece.length) count -= piece.length
    else {
      left.push(count > 0 ? piece.subarray(count) : piece)
      count = 0
    }
  }
  return left
}

const ZEROS = Buffer.alloc(ZERO_BYTES)
