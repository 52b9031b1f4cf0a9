//! What can go wrong between two processes, as coded values: a message fit for one line on a terminal, and a code that a
//! program can act on.

export const transportCodes = [
  /** A range, port or address that cannot be read, or is too large. */
  'address',
  /** Anything but loopback was asked for without a secret. */
  'insecure',
  /** The address to listen on is taken, or is not of this machine. */
  'listen',
  /** Nobody listens there, or no way leads there. */
  'unreachable',
  /** The other side closed before it greeted. */
  'refused',
  /** The two sides do not share a secret. */
  'secret',
  /** The other side belongs to a cluster of another name, or to another cluster of the same name. */
  'cluster',
  /** One side was left behind by a recovery of the cluster. */
  'generation',
  /** The two sides speak no common version of the protocol. */
  'version',
  /** Another node than the expected one lives there, or one that is not allowed. */
  'stranger',
  /** The other side is this very process. */
  'self',
  /** Two processes run with the identity of one node. */
  'twin',
  /** Another link of the same two nodes counts. */
  'duplicate',
  /** Too many connections from one address. */
  'full',
  /** Bytes that break the protocol. */
  'malformed',
  /** Too slow: to greet, to read, or silent for too long. */
  'timeout',
  /** An ordinary end. */
  'closed',
] as const
export type TransportCode = (typeof transportCodes)[number]

export class TransportError extends Error {
  override readonly name = 'TransportError'
  readonly code: TransportCode

  constructor(code: TransportCode, message: string) {
    super(message)
    this.code = code
  }
}

/** The system's code of an error (`ECONNREFUSED`), or an empty text. */
export function systemCode(error: unknown): string {
  const code = (error as { code?: unknown } | null | undefined)?.code
  return typeof code === 'string' ? code : ''
}
