//! A disk that loses everything unflushed in a crash: the least that the toys need.

import type { DeviceAnswer, DeviceRequest } from '@horus/core/device'
import type { BlockDevice } from '@horus/core/world/node'

export class PlainDisk implements BlockDevice {
  #durable = new Map<string, Uint8Array>()
  #files = new Map<string, Uint8Array>()
  readonly #pending = new Map<number, DeviceRequest>()

  execute(request: DeviceRequest): void {
    this.#pending.set(request.request, request)
  }

  complete(number: number): DeviceAnswer {
    const request = this.#pending.get(number)!
    this.#pending.delete(number)
    switch (request.kind) {
      case 'list':
        return { kind: 'listed', request: number, files: [...this.#files].map(([name, bytes]) => ({ name, size: bytes.length })) }
      case 'create':
        this.#files.set(request.file, new Uint8Array(request.size))
        this.#durable.set(request.file, new Uint8Array(request.size))
        return { kind: 'created', request: number }
      case 'write': {
        const bytes = this.#files.get(request.file)!
        let at = request.at
        for (const piece of request.pieces) {
          bytes.set(piece, at)
          at += piece.length
        }
        if (request.durable) this.#durable.set(request.file, bytes.slice())
        return { kind: 'written', request: number }
      }
      case 'flush':
        this.#durable.set(request.file, this.#files.get(request.file)!.slice())
        return { kind: 'flushed', request: number }
      case 'read':
        return { kind: 'bytes', request: number, bytes: this.#files.get(request.file)!.slice(request.at, request.at + request.length) }
      default:
        return { kind: 'error', request: number, error: 'failed', detail: request.kind }
    }
  }

  crash(): void {
    this.#pending.clear()
    this.#files = new Map([...this.#durable].map(([name, bytes]) => [name, bytes.slice()]))
  }
}
