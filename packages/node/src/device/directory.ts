//! A data directory belongs to one process at a time. Node has no flock, so the lock is a listening local socket: the
//! system closes it when the process dies, however it dies, and nobody else can bind it before.
//!
//!   Linux        an abstract socket named after the directory's device and inode: bound in one step, gone with the process
//!   everywhere   a socket file inside the directory, which processes of other network namespaces (containers) see too;
//!                one that nobody answers on was left by a dead process and is taken over
//!
//! Where there are only socket files, two processes that start in the same instant over a dead one's file could both take
//! it over; each looks again afterwards whether the file is still its own, which leaves a window of microseconds.

import { createHash } from 'node:crypto'
import { access, constants, mkdir, realpath, stat, unlink } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type DataDirectoryCode = 'inUse' | 'notADirectory' | 'notWritable' | 'failed'

export class DataDirectoryError extends Error {
  override readonly name = 'DataDirectoryError'
  readonly code: DataDirectoryCode

  constructor(code: DataDirectoryCode, message: string) {
    super(message)
    this.code = code
  }
}

/** What sockaddr_un holds, less the closing zero, on the smallest of the systems (macOS has 104, Linux 108). */
const SOCKET_PATH_BYTES_MAX = 103
const ANSWER_MS_MAX = 2000

export class DataDirectory {
  /** Absolute, links resolved. */
  readonly path: string
  readonly #locks: readonly Server[]

  private constructor(path: string, locks: readonly Server[]) {
    this.path = path
    this.#locks = locks
  }

  /** Makes the directory where it is missing and locks it. Rejects with a DataDirectoryError, and then nothing was changed. */
  static async open(path: string): Promise<DataDirectory> {
    await makeWritable(path)
    const resolved = await realpath(path)
    const locks: Server[] = []
    try {
      if (process.platform === 'linux') locks.push(await bind(await abstractName(resolved), path))
      locks.push(await bindAnyFile(socketPaths(resolved), path))
    } catch (error) {
      for (const lock of locks) lock.close()
      throw error
    }
    return new DataDirectory(resolved, locks)
  }

  /** Lets the next process have it. */
  async release(): Promise<void> {
    // Last bound, first freed: whoever then gets the first lock finds the second free.
    for (const lock of this.#locks.toReversed()) await new Promise<void>((resolve) => lock.close(() => resolve()))
  }
}

async function makeWritable(path: string): Promise<void> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? undefined : error))
  if (found instanceof Error) {
    if (found.code === 'ENOTDIR') throw new DataDirectoryError('notADirectory', `the data directory ${path} lies below a file`)
    throw new DataDirectoryError('failed', `the data directory ${path} cannot be opened: ${found.message}`)
  }
  if (found && !found.isDirectory()) throw new DataDirectoryError('notADirectory', `the data directory ${path} is a file, not a directory`)
  try {
    if (!found) await mkdir(path, { recursive: true, mode: 0o700 })
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    throw new DataDirectoryError('notWritable', `the data directory ${path} cannot be written to: ${(error as Error).message}`)
  }
}

/** The same for all paths that lead to the directory. */
async function abstractName(path: string): Promise<string> {
  const { dev, ino } = await stat(path, { bigint: true })
  return `\0horus-data-${dev}-${ino}`
}

/** Inside the directory where its path is short enough; else, and on file systems that know no sockets, among the temporary files. */
function socketPaths(directory: string): readonly string[] {
  const hash = createHash('sha256').update(directory).digest('hex').slice(0, 32)
  if (process.platform === 'win32') return [`\\\\.\\pipe\\horus-${hash}`]
  const inside = join(directory, 'lock.sock')
  const outside = join(tmpdir(), `horus-${hash}.sock`)
  return Buffer.byteLength(inside) <= SOCKET_PATH_BYTES_MAX ? [inside, outside] : [outside]
}

async function bindAnyFile(paths: readonly string[], directory: string): Promise<Server> {
  for (const path of paths.slice(0, -1)) {
    try {
      return await bindFile(path, directory)
    } catch (error) {
      if (!(error instanceof DataDirectoryError) || error.code === 'inUse') throw error
    }
  }
  return bindFile(paths.at(-1)!, directory)
}

async function bindFile(path: string, directory: string): Promise<Server> {
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      const server = await bind(path, directory)
      await confirm(path, directory, server)
      return server
    } catch (error) {
      if (!(error instanceof DataDirectoryError) || error.code !== 'inUse' || attempt > 0 || await answers(path)) throw error
      // Nobody answers: the process that made the file is dead.
      await unlink(path).catch(() => undefined)
    }
  }
  throw inUse(directory)
}

/** Whether the file at `path` is still the one that `server` made, and not that of a process that took it over meanwhile. */
async function confirm(path: string, directory: string, server: Server): Promise<void> {
  if (process.platform === 'win32') return
  const own = await new Promise<boolean>((resolve) => {
    const socket = connect(path).on('error', () => settle(false))
    const timer = setTimeout(() => settle(false), ANSWER_MS_MAX)
    const settle = (mine: boolean): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(mine)
    }
    server.once('connection', () => settle(true))
  })
  // The lost socket is not closed: that would remove the winner's file. It ends with this process.
  if (!own) throw inUse(directory)
}

function bind(path: string, directory: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.destroy()
    })
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'EADDRINUSE' ? inUse(directory) : new DataDirectoryError('notWritable', `the data directory ${directory} cannot be locked: ${error.message}`))
    })
    // Without `exclusive` the workers of node:cluster would share the socket, and with it the lock.
    server.listen({ path, exclusive: true }, () => resolve(server.unref()))
  })
}

/** Whether a living process listens there; one that is stopped counts, since it may go on. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    const settle = (living: boolean): void => {
      socket.destroy()
      resolve(living)
    }
    socket.setTimeout(ANSWER_MS_MAX, () => settle(true))
    socket.once('connect', () => settle(true))
    socket.once('error', (error: NodeJS.ErrnoException) => settle(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'))
  })
}

function inUse(directory: string): DataDirectoryError {
  return new DataDirectoryError('inUse', `the data directory ${directory} is in use by another process`)
}
