//! Links under a secret: TLS 1.3 with an external pre-shared key and an ephemeral exchange, so that a secret that leaks
//! later opens no recorded traffic. No certificates: whoever cannot prove the key is not spoken to.
//!
//!   identity = 'secret ' key id        the cluster's secret, for nodes and trusted clients
//!            | 'client ' principal     a secret of that client alone; it can greet as nothing but this principal
//!
//! The first byte of a connection tells TLS (22) from plain (the length of a greeting begins with 0), so that a side that
//! lacks the secret hears in plain words what is missing.

import type { Socket } from 'node:net'
import { connect, createServer, type TLSSocket } from 'node:tls'
import { systemCode, TransportError } from './errors.ts'
import { FrameBatch } from './frame.ts'
import { encodeRefusal } from './hello.ts'
import { deriveKey, type Keyring } from './keyring.ts'

/** Looks up the own secret of a client; undefined where the principal has none. */
export type Credentials = (principal: string) => string | undefined

export interface ServerSecurity {
  readonly keyring: Keyring
  readonly credentials?: Credentials | undefined
}

/** What the dialling side proves: the cluster's secret, or a client its own. */
export type ClientSecurity = { readonly keyring: Keyring } | { readonly principal: string; readonly credential: string }

/** Who proved to be there: undefined stands for the cluster's secret, or for no security at all. */
export type ProvenPrincipal = string | undefined

export interface Acceptor {
  /** Takes a fresh connection and calls `accepted`, or gets rid of it. */
  accept(socket: Socket): void
}

/** How long each stage may take before a connection is cut: the first byte, the proof of the key, the greeting. */
export const HANDSHAKE_MS_MAX = 3000

const CIPHERS = 'TLS_AES_128_GCM_SHA256:PSK'
const TLS_HANDSHAKE = 22
const BY_CERTIFICATE = 'a certificate is no proof of it'
const BY_SECRET = 'secret '
const BY_CREDENTIAL = 'client '

export function acceptor(security: ServerSecurity | undefined, handshakeMs: number, accepted: (socket: Socket, principal: ProvenPrincipal) => void): Acceptor {
  const wanted = security ? secureAcceptor(security, handshakeMs, accepted) : undefined
  return {
    accept: (socket) => peek(socket, handshakeMs, (first) => {
      const secured = first === TLS_HANDSHAKE
      if (wanted && secured) wanted(socket)
      else if (wanted) refusePlainly(socket, 'this node wants a secret')
      else if (secured) refusePlainly(socket, 'this node has no secret')
      else accepted(socket, undefined)
    }),
  }
}

/** Wraps a dialled connection. `ready` comes once, with the socket to speak on or the reason why there is none. */
export function secureDial(socket: Socket, security: ClientSecurity, ready: (result: TLSSocket | TransportError) => void): void {
  const { identity, psk } = proofOf(security)
  const secure = connect({
    socket, ciphers: CIPHERS, minVersion: 'TLSv1.3', ca: [],
    pskCallback: () => ({ identity, psk }),
    // Only asked for a handshake by certificate: a proof of the key is never replaced by one.
    checkServerIdentity: () => new Error(BY_CERTIFICATE),
  })
  const failed = (error: unknown): void => ready(dialFailure(error))
  secure.once('error', failed)
  secure.once('secureConnect', () => {
    secure.off('error', failed)
    if (secure.isSessionReused()) ready(secure)
    else {
      secure.destroy()
      ready(new TransportError('secret', 'the other side did not prove the secret'))
    }
  })
}

function secureAcceptor(security: ServerSecurity, handshakeMs: number, accepted: (socket: Socket, principal: ProvenPrincipal) => void): (socket: Socket) => void {
  const proven = new WeakMap<TLSSocket, string>()
  const server = createServer({
    ciphers: CIPHERS, minVersion: 'TLSv1.3', handshakeTimeout: handshakeMs,
    pskCallback(socket, identity) {
      proven.set(socket, identity)
      // Null ends the handshake, as a wrong key does; the types of Node 20 do not know it.
      return keyOf(security, identity) ?? (null as unknown as Buffer)
    },
  })
  server.on('secureConnection', (socket) => {
    const identity = proven.get(socket)
    if (identity === undefined) socket.destroy()
    else accepted(socket, identity.startsWith(BY_CREDENTIAL) ? identity.slice(BY_CREDENTIAL.length) : undefined)
  })
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  return (socket) => void server.emit('connection', socket)
}

function keyOf(security: ServerSecurity, identity: string): Buffer | undefined {
  if (identity.startsWith(BY_SECRET)) return security.keyring.tlsKey(identity.slice(BY_SECRET.length))
  if (!identity.startsWith(BY_CREDENTIAL)) return undefined
  const credential = security.credentials?.(identity.slice(BY_CREDENTIAL.length))
  return credential === undefined ? undefined : credentialKey(credential)
}

function proofOf(security: ClientSecurity): { readonly identity: string; readonly psk: Buffer } {
  if ('credential' in security) return { identity: BY_CREDENTIAL + security.principal, psk: credentialKey(security.credential) }
  const id = security.keyring.current
  return { identity: BY_SECRET + id, psk: security.keyring.tlsKey(id)! }
}

function credentialKey(credential: string): Buffer {
  return deriveKey(Buffer.from(credential), 'horus client link')
}

/** Looks at the first byte and puts it back. */
function peek(socket: Socket, handshakeMs: number, told: (first: number) => void): void {
  const look = (): void => {
    const chunk = socket.read() as Buffer | null
    if (!chunk) return
    socket.off('readable', look)
    clearTimeout(timer)
    socket.unshift(chunk)
    told(chunk[0]!)
  }
  const timer = setTimeout(() => socket.destroy(), handshakeMs)
  socket.once('close', () => clearTimeout(timer))
  socket.on('readable', look)
}

/** Tells the other side in the clear, as the one thing that needs no secret. */
function refusePlainly(socket: Socket, text: string): void {
  const batch = new FrameBatch()
  batch.add(encodeRefusal({ code: 'secret', text }))
  socket.end(Buffer.concat(batch.take()))
  socket.resume()
  setTimeout(() => socket.destroy(), HANDSHAKE_MS_MAX).unref()
}

function dialFailure(error: unknown): TransportError {
  const code = systemCode(error)
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER') return new TransportError('secret', 'has no secret; this side was given one')
  if (code.startsWith('ERR_SSL') || code.startsWith('ERR_TLS')) return new TransportError('secret', 'has another secret')
  if ((error as Error).message === BY_CERTIFICATE || code.includes('CERT')) return new TransportError('secret', `did not prove the secret: ${BY_CERTIFICATE}`)
  if (code === 'ECONNRESET') return new TransportError('refused', 'closed the connection before it was secured')
  return new TransportError('unreachable', (error as Error).message)
}
