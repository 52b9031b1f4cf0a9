//! One proxied connection: two flows, one a direction, each through its gate. How a side ends is passed on as it was: a close
//! as a close, a break as a reset, and behind a shut gate not at all until the gate opens.

import type { Socket } from 'node:net'
import type { Gate } from './gate.ts'

/** More than this waits in the sender's own buffers, so that it notices as it would without a proxy. */
const HELD_BYTES_MAX = 256 * 1024

type Piece = { readonly kind: 'bytes'; readonly bytes: Buffer; readonly dueAt: number } | { readonly kind: 'end' | 'reset'; readonly dueAt: number }

export class Flow {
  readonly #from: Socket
  readonly #to: Socket
  readonly #gate: Gate
  readonly #unwatch: () => void
  #pieces: Piece[] = []
  #heldBytes = 0
  #timer: NodeJS.Timeout | undefined
  #over = false

  constructor(from: Socket, to: Socket, gate: Gate) {
    this.#from = from
    this.#to = to
    this.#gate = gate
    this.#unwatch = gate.watch(() => this.#pump())
    from.on('data', (bytes: Buffer) => {
      this.#heldBytes += bytes.length
      this.#take({ kind: 'bytes', bytes, dueAt: this.#dueAt() })
    })
    from.on('end', () => this.#take({ kind: 'end', dueAt: this.#dueAt() }))
    from.on('close', (broken) => {
      if (broken) this.#take({ kind: 'reset', dueAt: this.#dueAt() })
    })
    to.on('drain', () => this.#pump())
    to.on('close', () => this.end())
  }

  end(): void {
    this.#over = true
    clearTimeout(this.#timer)
    this.#unwatch()
  }

  #dueAt(): number {
    return performance.now() + this.#gate.delayMs
  }

  /** Where the other side has gone and this one does not know it yet, what it sends goes nowhere. */
  #take(piece: Piece): void {
    if (this.#over) return
    this.#pieces.push(piece)
    this.#pump()
  }

  #pump(): void {
    clearTimeout(this.#timer)
    if (this.#over) return
    const isShut = this.#gate.isShut('tcp')
    while (!isShut && !this.#to.writableNeedDrain) {
      const piece = this.#pieces[0]
      if (!piece) break
      const waitMs = piece.dueAt - performance.now()
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#pump(), waitMs)
        break
      }
      this.#pieces.shift()
      this.#pass(piece)
      if (this.#over) return
    }
    if (this.#heldBytes > HELD_BYTES_MAX) this.#from.pause()
    else this.#from.resume()
  }

  #pass(piece: Piece): void {
    switch (piece.kind) {
      case 'bytes':
        this.#heldBytes -= piece.bytes.length
        this.#to.write(piece.bytes)
        return
      case 'end':
        this.#to.end()
        return
      case 'reset':
        reset(this.#to)
        this.end()
        return
      default:
        piece satisfies never
    }
  }
}

/** Both directions of a connection. */
export class Pipe {
  readonly source: number
  readonly target: number
  readonly #near: Socket
  readonly #far: Socket

  /** `there` is passed from near to far, `back` from far to near. */
  constructor(source: number, target: number, sockets: { readonly near: Socket; readonly far: Socket }, gates: { readonly there: Gate; readonly back: Gate }) {
    this.source = source
    this.target = target
    this.#near = sockets.near
    this.#far = sockets.far
    for (const socket of [this.#near, this.#far]) socket.on('error', () => {})
    new Flow(this.#near, this.#far, gates.there)
    new Flow(this.#far, this.#near, gates.back)
  }

  /** Calls back once, when neither side is open any more. */
  onGone(gone: () => void): void {
    let open = 2
    for (const socket of [this.#near, this.#far]) {
      socket.once('close', () => {
        if (--open === 0) gone()
      })
    }
  }

  /** Both ends are told at once that it broke (RST). */
  cut(): void {
    reset(this.#near)
    reset(this.#far)
  }
}

/** A side that was told of the end already cannot be reset any more: libuv refuses, and Node would wait for that socket when it exits. */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}
