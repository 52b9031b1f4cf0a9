//! One connection, whichever side dialled it: frames in and out over a socket, bounded in both directions.
//!
//!   greeting ──opened()──▶ open ──▶ closed      frames of at most 4 KiB until opened; a time limit until then
//!       └──── refuse() ──▶ ending ──▶ closed    what was queued is still sent, what comes is thrown away
//!
//! Frames that are sent in one turn leave in one write, on `flush`.

import type { Socket } from 'node:net'
import { assert } from '@horus/core/assert'
import { MalformedMessage } from '@horus/core/message/layout'
import { TransportError } from './errors.ts'
import { FRAME_BYTES_MAX, FrameBatch, FrameReader, GREETING_BYTES_MAX } from './frame.ts'
import { encodeRefusal, type Refusal } from './hello.ts'

/** How long a refusal may take to be read before the connection is cut. */
const ENDING_MS_MAX = 1000

export interface ConnectionEvents {
  /** A greeting, later a message; never an empty frame. */
  frame(payload: Uint8Array): void
  /** Once, at the end; never from within a call of this connection's methods. */
  closed(reason: TransportError): void
  /** Frames wait for `flush`. */
  queued(connection: Connection): void
  /** Everything that was queued has left. */
  drained?(): void
}

export class Connection {
  readonly #socket: Socket
  readonly #events: ConnectionEvents
  readonly #reader: FrameReader
  readonly #batch = new FrameBatch()
  readonly #handshake: NodeJS.Timeout
  #state: 'greeting' | 'open' | 'ending' | 'closed' = 'greeting'
  #reason: TransportError | undefined
  /** All bytes ever queued; less what is outstanding, it shows whether the other side reads. */
  #queuedBytes = 0
  /** Since the last look: something came, something was sent. */
  #heard = false
  #spoke = false
  #silence = 0
  /** The progress at the last look, and for how many looks it has been the same. */
  #progress = 0
  #stalled = 0

  constructor(socket: Socket, events: ConnectionEvents, handshakeMs: number) {
    this.#socket = socket
    this.#events = events
    this.#reader = new FrameReader(GREETING_BYTES_MAX, (payload) => this.#frame(payload))
    socket.setNoDelay(true)
    socket.on('data', (chunk: Uint8Array) => this.#received(chunk))
    socket.on('error', (error) => this.close(new TransportError('closed', error.message)))
    socket.on('end', () => this.close(new TransportError('closed', 'closed by the other side')))
    socket.on('close', () => this.#closed())
    socket.on('drain', () => this.#events.drained?.())
    this.#handshake = setTimeout(() => this.close(new TransportError('timeout', `no greeting within ${handshakeMs} ms`)), handshakeMs)
  }

  /** Queued here or in the socket, and not yet taken by the system. */
  get outstanding(): number {
    return this.#batch.bytes + this.#socket.writableLength
  }

  /** The other side is known: messages of full size may come, and the time limit ends. */
  opened(): void {
    if (this.#state !== 'greeting') return
    this.#state = 'open'
    this.#reader.limit = FRAME_BYTES_MAX
    clearTimeout(this.#handshake)
  }

  /** Queues a frame; `payload` must not change until it has been written. */
  send(payload: Uint8Array): void {
    if (this.#state !== 'greeting' && this.#state !== 'open') return
    assert(payload.length <= FRAME_BYTES_MAX, 'a message fits a frame')
    const first = this.#batch.bytes === 0
    this.#batch.add(payload)
    if (first) this.#events.queued(this)
  }

  flush(): void {
    if (this.#batch.bytes === 0 || (this.#state !== 'greeting' && this.#state !== 'open')) return
    this.#queuedBytes += this.#batch.bytes
    this.#spoke = true
    const pieces = this.#batch.take()
    if (pieces.length === 1) {
      this.#socket.write(pieces[0]!)
      return
    }
    this.#socket.cork()
    for (const piece of pieces) this.#socket.write(piece)
    this.#socket.uncork()
  }

  get paused(): boolean {
    return this.#socket.isPaused()
  }

  /** No longer reads, so that a peer that only asks and never listens cannot make the answers pile up. */
  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Says why, then ends. */
  refuse(refusal: Refusal): void {
    if (this.#state !== 'greeting' && this.#state !== 'open') return
    this.send(encodeRefusal(refusal))
    this.end(new TransportError(refusal.code, refusal.text))
  }

  /** Sends what is queued, then ends. */
  end(reason: TransportError): void {
    if (this.#state !== 'greeting' && this.#state !== 'open') return
    this.flush()
    this.#state = 'ending'
    this.#reason ??= reason
    this.#reader.stop()
    clearTimeout(this.#handshake)
    this.#socket.end()
    // Reading on keeps the system from resetting the connection, which would take the refusal away unread.
    this.#socket.resume()
    setTimeout(() => this.#socket.destroy(), ENDING_MS_MAX).unref()
  }

  /** Cuts the connection. */
  close(reason: TransportError): void {
    if (this.#state === 'closed') return
    this.#state = 'ending'
    this.#reason ??= reason
    this.#reader.stop()
    clearTimeout(this.#handshake)
    this.#socket.destroy()
  }

  /**
   * To be called at even intervals: for how many of them nothing came, and for how many nothing of what is outstanding left.
   * Intervals are counted, not clock time, so that a process that was stopped does not blame its peers. An empty frame is
   * sent when nothing else was.
   */
  look(): { readonly silent: number; readonly stalled: number } {
    this.#silence = this.#heard ? 0 : this.#silence + 1
    this.#heard = false
    const progress = this.#queuedBytes + this.#batch.bytes - this.outstanding
    this.#stalled = this.outstanding > 0 && progress === this.#progress ? this.#stalled + 1 : 0
    this.#progress = progress
    if (this.#state === 'open' && !this.#spoke && this.outstanding === 0) {
      this.send(EMPTY)
      this.flush()
    }
    this.#spoke = false
    return { silent: this.#silence, stalled: this.#stalled }
  }

  #received(chunk: Uint8Array): void {
    this.#heard = true
    try {
      this.#reader.push(chunk)
    } catch (error) {
      // What breaks the protocol ends this connection; anything else is a fault of this program and ends the process.
      if (error instanceof MalformedMessage || error instanceof TransportError) this.refuseMalformed(error.message)
      else throw error
    }
  }

  /** The other side broke the protocol. Before it is known it hears so; afterwards a frame would be taken for a message. */
  refuseMalformed(text: string): void {
    if (this.#state === 'greeting') this.refuse({ code: 'malformed', text })
    else this.close(new TransportError('malformed', text))
  }

  #frame(payload: Uint8Array): void {
    if (payload.length > 0) this.#events.frame(payload)
  }

  #closed(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    clearTimeout(this.#handshake)
    this.#events.closed(this.#reason ?? new TransportError('closed', 'closed'))
  }
}

const EMPTY = new Uint8Array(0)
