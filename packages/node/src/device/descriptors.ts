//! Open file descriptors, kept for the next request and bounded: the one unused for longest is closed.
//!
//! A file may be open twice: once with O_DSYNC, so that a durable write is one system call that returns when the bytes are
//! on the disk, and once without, for reading and for writes that are flushed later.

import { close, constants, open } from 'node:fs'
import { join } from 'node:path'

/** Far below the usual limit of 1,024 per process, and above the number of segments that are read at a time. */
export const DESCRIPTORS_MAX = 64

/** Not every system has it; there a durable write is followed by fdatasync. */
export const O_DSYNC: number | undefined = constants.O_DSYNC

interface Descriptor {
  readonly fd: number
  readonly file: string
  users: number
  /** Closed as soon as its last user is done: the file was replaced, or room was needed. */
  retired: boolean
}

export type Opened = (error: NodeJS.ErrnoException | null, fd: number, done: () => void) => void

export class Descriptors {
  readonly #directory: string
  readonly #most: number
  /** The longest unused first. */
  readonly #open = new Map<string, Descriptor>()

  constructor(directory: string, most = DESCRIPTORS_MAX) {
    this.#directory = directory
    this.#most = most
  }

  get size(): number {
    return this.#open.size
  }

  /** Hands over a descriptor of an existing file; `done` is called by its user when it is no longer needed. */
  use(file: string, durable: boolean, opened: Opened): void {
    const name = durable ? `${file}+` : file
    const known = this.#open.get(name)
    if (known) return this.#lend(name, known, opened)
    const flags = durable && O_DSYNC !== undefined ? constants.O_RDWR | O_DSYNC : constants.O_RDWR
    open(join(this.#directory, file), flags, (error, fd) => {
      if (error) return opened(error, -1, nothing)
      const meanwhile = this.#open.get(name)
      if (meanwhile) {
        close(fd, nothing)
        return this.#lend(name, meanwhile, opened)
      }
      const fresh: Descriptor = { fd, file, users: 0, retired: false }
      this.#open.set(name, fresh)
      this.#trim()
      this.#lend(name, fresh, opened)
    })
  }

  /** The name stands for another file from now on, or for none. */
  forget(file: string): void {
    this.#retire(file)
    this.#retire(`${file}+`)
  }

  closeAll(): void {
    for (const name of [...this.#open.keys()]) this.#retire(name)
  }

  #lend(name: string, descriptor: Descriptor, opened: Opened): void {
    this.#open.delete(name)
    this.#open.set(name, descriptor)
    descriptor.users++
    let lent = true
    opened(null, descriptor.fd, () => {
      if (!lent) return
      lent = false
      if (--descriptor.users === 0 && descriptor.retired) close(descriptor.fd, nothing)
    })
  }

  #trim(): void {
    for (const name of this.#open.keys()) {
      if (this.#open.size <= this.#most) return
      this.#retire(name)
    }
  }

  #retire(name: string): void {
    const descriptor = this.#open.get(name)
    if (!descriptor) return
    this.#open.delete(name)
    descriptor.retired = true
    if (descriptor.users === 0) close(descriptor.fd, nothing)
  }
}

function nothing(): void {}
