//! The block device of core over real files: requests come in, each is answered once, later.
//!
//! Requests on one file are carried out one at a time in the order in which they came; a rename counts for both of its
//! names. Only a read goes ahead of them, where no earlier request touches what it reads, so that fetching an old payload
//! never waits for the disk to confirm new ones. Requests on different files go side by side.

import { fdatasync, fstat, read, rename, statfs, unlink } from 'node:fs'
import { join } from 'node:path'
import { assert } from '@horus/core/assert'
import type { DeviceAnswer, DeviceError, DeviceRequest } from '@horus/core/device'
import { createFile, list, removeLeftovers, syncDirectory, writeAll } from './calls.ts'
import { Descriptors, O_DSYNC } from './descriptors.ts'

/** A segment with room to spare; what asks for more is mistaken. */
const READ_BYTES_MAX = 256 * 1024 * 1024
/** A read up to this size gets its buffer at once; a longer one looks first how much there is. */
const READ_BYTES_UNASKED = 64 * 1024

export interface FileDeviceOptions {
  /** A directory that this process has locked (`DataDirectory`). */
  readonly directory: string
  /** Never called from within `request`. */
  readonly answer: (answer: DeviceAnswer) => void
  /** How many files are kept open; 64 unless told. */
  readonly descriptorsMax?: number
}

type FileRequest = Exclude<DeviceRequest, { kind: 'list' | 'space' }>

interface Task {
  readonly request: FileRequest
  readonly names: readonly string[]
  started: boolean
}

/** How one request ends. */
type Done = (error: NodeJS.ErrnoException | null, answer?: DeviceAnswer) => void

export class FileDevice {
  readonly #directory: string
  readonly #answer: (answer: DeviceAnswer) => void
  readonly #descriptors: Descriptors
  /** What is under way and waits, by file. */
  readonly #queues = new Map<string, Task[]>()
  #active = 0
  #used = false
  #closed: (() => void) | undefined

  constructor(options: FileDeviceOptions) {
    this.#directory = options.directory
    this.#answer = options.answer
    this.#descriptors = new Descriptors(options.directory, options.descriptorsMax)
  }

  request(request: DeviceRequest): void {
    assert(!this.#closed, 'no request reaches a closed device')
    this.#active++
    if (request.kind === 'list') return this.#list(request.request)
    if (request.kind === 'space') return this.#space(request.request)
    this.#used = true
    assert(FILE_NAME.test(request.file), 'a file name has at most 64 of a to z, 0 to 9 and -')
    if (request.kind === 'read' && this.#undisturbed(request)) return this.#run(request, (error, answer) => this.#settle(request.request, error, answer))
    if (request.kind === 'rename') assert(FILE_NAME.test(request.to) && request.to !== request.file, 'a file is renamed to another good name')
    const names = request.kind === 'rename' ? [request.file, request.to] : [request.file]
    const task: Task = { request, names, started: false }
    for (const name of names) {
      const queue = this.#queues.get(name)
      if (queue) queue.push(task)
      else this.#queues.set(name, [task])
    }
    this.#start(task)
  }

  /** Resolves when everything requested has been answered and all files are closed. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#closed = resolve
      if (this.#active === 0) this.#finish()
    })
  }

  /** Runs the task when it is the first of all its files. */
  #start(task: Task | undefined): void {
    if (!task || task.started || !task.names.every((name) => this.#queues.get(name)![0] === task)) return
    task.started = true
    this.#run(task.request, (error, answer) => {
      for (const name of task.names) {
        const queue = this.#queues.get(name)!
        queue.shift()
        if (queue.length === 0) this.#queues.delete(name)
      }
      this.#settle(task.request.request, error, answer)
      for (const name of task.names) this.#start(this.#queues.get(name)?.[0])
    })
  }

  /** Whether nothing that was requested earlier changes what this read sees. */
  #undisturbed(request: Extract<DeviceRequest, { kind: 'read' }>): boolean {
    const queue = this.#queues.get(request.file)
    return !queue || queue.every(({ request: earlier }) => {
      if (earlier.kind === 'read' || earlier.kind === 'flush') return true
      if (earlier.kind !== 'write') return false
      const size = earlier.pieces.reduce((sum, piece) => sum + piece.length, 0)
      return earlier.at + size <= request.at || earlier.at >= request.at + request.length
    })
  }

  #run(request: FileRequest, done: Done): void {
    const number = request.request
    switch (request.kind) {
      case 'create':
        this.#descriptors.forget(request.file)
        return createFile(this.#directory, request.file, request.size, (error) => done(error, { kind: 'created', request: number }))
      case 'write':
        return this.#write(request, done)
      case 'flush':
        return this.#descriptors.use(request.file, false, (error, fd, free) => {
          if (error) return done(error)
          fdatasync(fd, (failed) => {
            free()
            done(failed, { kind: 'flushed', request: number })
          })
        })
      case 'read':
        return this.#read(request, done)
      case 'rename':
        return rename(join(this.#directory, request.file), join(this.#directory, request.to), (error) => {
          this.#descriptors.forget(request.file)
          this.#descriptors.forget(request.to)
          if (error) return done(error)
          syncDirectory(this.#directory, (failed) => done(failed, { kind: 'renamed', request: number }))
        })
      case 'delete':
        // The name may come back after a crash: whoever deletes a file no longer needs it either way.
        this.#descriptors.forget(request.file)
        return unlink(join(this.#directory, request.file), (error) => done(error, { kind: 'deleted', request: number }))
      default:
        request satisfies never
    }
  }

  #write(request: Extract<DeviceRequest, { kind: 'write' }>, done: Done): void {
    this.#descriptors.use(request.file, request.durable, (error, fd, free) => {
      if (error) return done(error)
      const finish: (error: NodeJS.ErrnoException | null) => void = (failed) => {
        free()
        // After a failed write the system may have dropped the pages: a later flush on this descriptor proves nothing.
        if (failed) this.#descriptors.forget(request.file)
        done(failed, { kind: 'written', request: request.request })
      }
      writeAll(fd, request.pieces, request.at, (failed) => {
        if (failed || !request.durable || O_DSYNC !== undefined) finish(failed)
        else fdatasync(fd, finish)
      })
    })
  }

  #read(request: Extract<DeviceRequest, { kind: 'read' }>, done: Done): void {
    assert(request.length <= READ_BYTES_MAX, 'a read asks for at most 256 MiB')
    this.#descriptors.use(request.file, false, (error, fd, free) => {
      if (error) return done(error)
      const finish = (failed: NodeJS.ErrnoException | null, bytes: Uint8Array): void => {
        free()
        done(failed, { kind: 'bytes', request: request.request, bytes })
      }
      if (request.length <= READ_BYTES_UNASKED) return fill(fd, new Uint8Array(request.length), request.at, 0, finish)
      fstat(fd, (failed, stats) => {
        if (failed) return finish(failed, NO_BYTES)
        fill(fd, new Uint8Array(Math.max(0, Math.min(request.length, stats.size - request.at))), request.at, 0, finish)
      })
    })
  }

  #list(request: number): void {
    const look = (failed: NodeJS.ErrnoException | null): void => {
      if (failed) return this.#settle(request, failed)
      list(this.#directory, FILE_NAME, (error, files) => this.#settle(request, error, { kind: 'listed', request, files }))
    }
    // The first look of a run sweeps away what a crash left half made; later that might be a file under construction.
    if (this.#used) look(null)
    else removeLeftovers(this.#directory, look)
    this.#used = true
  }

  /** What an ordinary user may still take of the file system; where it does not tell, there is no bound. */
  #space(request: number): void {
    statfs(this.#directory, (error, stats) => this.#settle(request, null, { kind: 'space', request, freeBytes: error ? Infinity : stats.bavail * stats.bsize }))
  }

  #settle(request: number, error: NodeJS.ErrnoException | null, answer?: DeviceAnswer): void {
    this.#active--
    this.#answer(error || !answer ? { kind: 'error', request, error: deviceError(error), detail: error?.message ?? 'no answer' } : answer)
    if (this.#closed && this.#active === 0) this.#finish()
  }

  #finish(): void {
    this.#descriptors.closeAll()
    this.#closed?.()
  }
}

const FILE_NAME = /^[a-z0-9-]{1,64}$/
const NO_BYTES = new Uint8Array(0)
const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG'])

function deviceError(error: NodeJS.ErrnoException | null): DeviceError {
  if (FULL.has(error?.code ?? '')) return 'full'
  return error?.code === 'ENOENT' ? 'missing' : 'failed'
}

/** Reads until `into` is full or the file ends. */
function fill(fd: number, into: Uint8Array, at: number, filled: number, done: (error: NodeJS.ErrnoException | null, bytes: Uint8Array) => void): void {
  if (into.length === 0) return process.nextTick(done, null, into)
  if (filled === into.length) return done(null, into)
  read(fd, into, filled, into.length - filled, at + filled, (error, count) => {
    if (error) return done(error, NO_BYTES)
    if (count === 0) return done(null, into.slice(0, filled))
    fill(fd, into, at, filled + count, done)
  })
}
