//! The dialling side of a link: connect, secure, greet, check who answers. Ends in `up` or in `failed`, once.

import { connect, type Socket } from 'node:net'
import { splitHost } from './address.ts'
import { Connection } from './connection.ts'
import { systemCode, TransportError } from './errors.ts'
import { decodeGreeting, encodeHello, type Hello, type Refusal } from './hello.ts'
import { type ClientSecurity, HANDSHAKE_MS_MAX, secureDial } from './tls.ts'

export interface DialOptions {
  readonly address: string
  /** The own host to dial from, where it matters that others see it. */
  readonly from?: string | undefined
  readonly security: ClientSecurity | undefined
  readonly hello: Hello
  /** Why the answering side is not spoken to; undefined when it is. */
  check(theirs: Hello): Refusal | undefined
  up(connection: Connection, theirs: Hello): void
  failed(error: TransportError): void
  message(payload: Uint8Array): void
  /** The end of a connection that was up. */
  closed(reason: TransportError): void
  queued(connection: Connection): void
  drained?(): void
}

/** Nothing is called before this returns. The function that it returns gives up without a further word. */
export function dial(options: DialOptions): () => void {
  const { host, port } = splitHost(options.address)
  const socket = connect({ host, port, noDelay: true, ...(options.from === undefined ? {} : { localAddress: options.from }) })
  let settled = false
  const settle = (): boolean => {
    if (settled) return false
    settled = true
    clearTimeout(timer)
    return true
  }
  const fail = (error: TransportError): void => {
    if (!settle()) return
    socket.destroy()
    options.failed(new TransportError(error.code, `${options.address} ${error.message}`))
  }
  const timer = setTimeout(() => fail(new TransportError('timeout', `did not answer within ${HANDSHAKE_MS_MAX} ms`)), HANDSHAKE_MS_MAX)
  const greet = (ready: Socket): void => {
    if (settled) ready.destroy()
    else greetOver(ready, options, settle, fail)
  }
  socket.on('error', (error) => fail(unreachable(error)))
  socket.once('connect', () => {
    if (!options.security) greet(socket)
    else secureDial(socket, options.security, (result) => (result instanceof TransportError ? fail(result) : greet(result)))
  })
  return () => {
    settle()
    socket.destroy()
  }
}

function greetOver(socket: Socket, options: DialOptions, settle: () => boolean, fail: (error: TransportError) => void): void {
  let up = false
  const connection = new Connection(socket, {
    frame(payload) {
      if (up) return options.message(payload)
      const greeting = decodeGreeting(payload)
      if (greeting.kind === 'refusal') return fail(new TransportError(greeting.refusal.code, `refused: ${greeting.refusal.text}`))
      const refusal = options.check(greeting.hello)
      if (refusal) return fail(new TransportError(refusal.code, `is not spoken to: ${refusal.text}`))
      if (!settle()) return
      up = true
      connection.opened()
      options.up(connection, greeting.hello)
    },
    closed(reason) {
      if (up) options.closed(reason)
      else fail(reason.code === 'closed' ? new TransportError('refused', 'closed the connection instead of greeting') : reason)
    },
    queued: options.queued,
    drained: () => options.drained?.(),
  }, HANDSHAKE_MS_MAX)
  connection.send(encodeHello(options.hello))
  connection.flush()
}

function unreachable(error: Error): TransportError {
  const why = systemCode(error) === 'ECONNREFUSED' ? 'nobody listens there' : error.message
  return new TransportError('unreachable', `cannot be reached: ${why}`)
}
