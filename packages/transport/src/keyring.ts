//! The secrets that a node accepts, and the one that it uses. A secret is changed without a pause in three steps: `add` the
//! new one on every node, `use` it on every node, `remove` the old one on every node.
//!
//! Nothing is sealed with the secret itself: HKDF-SHA-256 makes a key for each purpose, and a short id by which both sides
//! name the secret without telling anything about it.

import { hkdfSync } from 'node:crypto'
import { TransportError } from './errors.ts'

/** Names a secret: eight hexadecimal digits. */
export type KeyId = string

/** Under this many bytes a secret can be guessed by whoever records a handshake. */
export const SECRET_BYTES_ADVISED = 16
/** During a change there are two; more are for stragglers. */
const SECRETS_MAX = 8
const KEY_BYTES = 32

interface Key {
  readonly id: KeyId
  readonly secret: Buffer
  readonly tls: Buffer
  readonly datagram: Buffer
}

export class Keyring {
  readonly #keys = new Map<KeyId, Key>()
  #current: Key

  /** Throws a TransportError with code `secret` when the secret is empty. */
  constructor(secret: string | Uint8Array) {
    this.#current = this.#put(secret)
  }

  /** The id of the secret in use. */
  get current(): KeyId {
    return this.#current.id
  }

  get ids(): readonly KeyId[] {
    return [...this.#keys.keys()]
  }

  /** Whether the secret in use is shorter than advised; for a warning. */
  get weak(): boolean {
    return this.#current.secret.length < SECRET_BYTES_ADVISED
  }

  /** Accepts what is sealed with this secret from now on. */
  add(secret: string | Uint8Array): KeyId {
    return this.#put(secret).id
  }

  /** Seals with this secret from now on; it was added before. */
  use(id: KeyId): void {
    this.#current = this.#present(id)
  }

  /** No longer accepts this secret; the one in use stays. */
  remove(id: KeyId): void {
    if (id === this.#current.id) throw new TransportError('secret', `the secret ${id} is in use: use another one before it is removed`)
    this.#present(id)
    this.#keys.delete(id)
  }

  /** The pre-shared key of links, or undefined when the id is not on the ring. */
  tlsKey(id: KeyId): Buffer | undefined {
    return this.#keys.get(id)?.tls
  }

  /** The key that a sender's datagram key is derived from, or undefined when the id is not on the ring. */
  datagramKey(id: KeyId): Buffer | undefined {
    return this.#keys.get(id)?.datagram
  }

  #put(secret: string | Uint8Array): Key {
    const key = makeKey(Buffer.from(secret as Uint8Array))
    const known = this.#keys.get(key.id)
    if (known) {
      if (!known.secret.equals(key.secret)) throw new TransportError('secret', 'two secrets have the same id: choose another one')
      return known
    }
    if (this.#keys.size >= SECRETS_MAX) throw new TransportError('secret', `more than ${SECRETS_MAX} secrets: remove those that no node uses any more`)
    this.#keys.set(key.id, key)
    return key
  }

  #present(id: KeyId): Key {
    const key = this.#keys.get(id)
    if (!key) throw new TransportError('secret', `no secret of the id ${id} was added`)
    return key
  }
}

/** The key for one purpose. `salt` is public and makes the key of one sender differ from that of another. */
export function deriveKey(secret: Uint8Array, purpose: string, salt: Uint8Array = NO_SALT): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, salt, purpose, KEY_BYTES))
}

function makeKey(secret: Buffer): Key {
  if (secret.length === 0) throw new TransportError('secret', 'the secret is empty')
  return {
    id: deriveKey(secret, 'horus key id').subarray(0, 4).toString('hex'),
    secret,
    tls: deriveKey(secret, 'horus link'),
    datagram: deriveKey(secret, 'horus datagram'),
  }
}

const NO_SALT = new Uint8Array(0)
