//! Datagrams under a secret: AES-256-GCM, so that nobody without it can read, forge, change or repeat one. Whoever has no
//! key gets no answer at all, not even a refusal.
//!
//!   datagram = 1 u8 | payload                                                         plain: loopback only, no secret
//!            | 2 u8 | key id u32 | salt 12 bytes | counter u48 | sealed payload | tag 16 bytes
//!              └─────────────── authenticated with it ───────┘
//!
//! The salt is drawn when the process starts, and with the secret it makes the sender's key; the counter is the nonce under
//! that key. So no nonce comes twice whatever a crash forgets, and a receiver that keeps a window of counters per salt lets
//! each datagram through once. What this cannot see: datagrams of a sender of long ago, repeated to a receiver that was
//! restarted since. Boot and incarnation numbers inside the messages take care of those.

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { deriveKey, type Keyring } from './keyring.ts'

const PLAIN = 1
const SEALED = 2
const KEY_ID_AT = 1
const SALT_AT = 5
const SALT_BYTES = 12
const COUNTER_AT = SALT_AT + SALT_BYTES
const SEALED_HEADER_BYTES = COUNTER_AT + 6
const TAG_BYTES = 16
/** What sealing adds to a payload. */
export const SEAL_BYTES = SEALED_HEADER_BYTES + TAG_BYTES
/** Senders remembered with key and window; the one unheard for longest makes room. Only who had the key ever gets in. */
const SENDERS_MAX = 8192
/** How far behind the newest a datagram may arrive and still be told from a repeated one. */
const WINDOW = 1024

export type Unsealed = { readonly kind: 'payload'; readonly payload: Uint8Array } | { readonly kind: 'dropped'; readonly reason: DropReason }
/** `foreign`: no key of ours, not authentic, or not sealed as it should be. */
export type DropReason = 'foreign' | 'replayed'

export interface Sealer {
  seal(payload: Uint8Array): Uint8Array
  open(datagram: Uint8Array): Unsealed
}

/** Without a secret: a byte in front that tells plain from sealed. Only ever used on loopback. */
export class PlainSealer implements Sealer {
  seal(payload: Uint8Array): Uint8Array {
    const datagram = new Uint8Array(1 + payload.length)
    datagram[0] = PLAIN
    datagram.set(payload, 1)
    return datagram
  }

  open(datagram: Uint8Array): Unsealed {
    if (datagram[0] !== PLAIN) return FOREIGN
    return { kind: 'payload', payload: new Uint8Array(datagram.buffer, datagram.byteOffset + 1, datagram.length - 1) }
  }
}

export class SecretSealer implements Sealer {
  readonly #keyring: Keyring
  readonly #salt = randomBytes(SALT_BYTES)
  #counter = 0
  /** The own key under the secret in use. */
  #own: { readonly keyId: string; readonly key: Buffer } | undefined
  readonly #senders = new Map<string, Sender>()

  constructor(keyring: Keyring) {
    this.#keyring = keyring
  }

  seal(payload: Uint8Array): Uint8Array {
    const own = this.#ownKey()
    const datagram = Buffer.allocUnsafe(SEAL_BYTES + payload.length)
    datagram[0] = SEALED
    datagram.write(own.keyId, KEY_ID_AT, 'hex')
    datagram.set(this.#salt, SALT_AT)
    datagram.writeUIntBE(++this.#counter, COUNTER_AT, 6)
    const header = datagram.subarray(0, SEALED_HEADER_BYTES)
    const cipher = createCipheriv('aes-256-gcm', own.key, nonceOf(header), { authTagLength: TAG_BYTES })
    cipher.setAAD(header)
    datagram.set(cipher.update(payload), SEALED_HEADER_BYTES)
    cipher.final()
    datagram.set(cipher.getAuthTag(), SEALED_HEADER_BYTES + payload.length)
    return datagram
  }

  open(datagram: Uint8Array): Unsealed {
    if (datagram[0] !== SEALED || datagram.length < SEAL_BYTES) return FOREIGN
    const bytes = Buffer.from(datagram.buffer, datagram.byteOffset, datagram.length)
    const name = bytes.toString('latin1', KEY_ID_AT, COUNTER_AT)
    const keyId = bytes.toString('hex', KEY_ID_AT, SALT_AT)
    const base = this.#keyring.datagramKey(keyId)
    if (!base) return FOREIGN
    const known = this.#senders.get(name)
    const counter = bytes.readUIntBE(COUNTER_AT, 6)
    if (known && !known.window.fresh(counter)) return { kind: 'dropped', reason: 'replayed' }
    const key = known?.key ?? deriveKey(base, PURPOSE, bytes.subarray(SALT_AT, COUNTER_AT))
    const payload = unseal(bytes, key)
    if (!payload) return FOREIGN
    this.#remember(name, known ?? { key, window: new ReplayWindow() }, counter)
    return { kind: 'payload', payload }
  }

  #remember(name: string, sender: Sender, counter: number): void {
    sender.window.mark(counter)
    this.#senders.delete(name)
    this.#senders.set(name, sender)
    if (this.#senders.size <= SENDERS_MAX) return
    for (const longest of this.#senders.keys()) {
      this.#senders.delete(longest)
      return
    }
  }

  #ownKey(): { readonly keyId: string; readonly key: Buffer } {
    const keyId = this.#keyring.current
    if (this.#own?.keyId !== keyId) this.#own = { keyId, key: deriveKey(this.#keyring.datagramKey(keyId)!, PURPOSE, this.#salt) }
    return this.#own
  }
}

interface Sender {
  readonly key: Buffer
  readonly window: ReplayWindow
}

/** Which of the last counters of a sender have been seen (RFC 4303, 3.4.3). */
export class ReplayWindow {
  #newest = 0
  readonly #seen = new Uint8Array(WINDOW)

  fresh(counter: number): boolean {
    if (counter > this.#newest) return true
    return counter > this.#newest - WINDOW && counter > 0 && this.#seen[counter % WINDOW] === 0
  }

  mark(counter: number): void {
    if (counter > this.#newest) {
      if (counter - this.#newest >= WINDOW) this.#seen.fill(0)
      else for (let skipped = this.#newest + 1; skipped < counter; skipped++) this.#seen[skipped % WINDOW] = 0
      this.#newest = counter
    }
    this.#seen[counter % WINDOW] = 1
  }
}

function unseal(bytes: Buffer, key: Buffer): Uint8Array | undefined {
  const header = bytes.subarray(0, SEALED_HEADER_BYTES)
  const tagAt = bytes.length - TAG_BYTES
  // Without authTagLength a tag of four bytes would pass.
  const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(header), { authTagLength: TAG_BYTES })
  decipher.setAAD(header)
  decipher.setAuthTag(bytes.subarray(tagAt))
  try {
    const payload = decipher.update(bytes.subarray(SEALED_HEADER_BYTES, tagAt))
    decipher.final()
    return new Uint8Array(payload.buffer, payload.byteOffset, payload.length)
  } catch {
    return undefined
  }
}

/** 96 bits, the counter in the last 48: under one key a counter never comes twice. */
function nonceOf(header: Buffer): Buffer {
  const nonce = Buffer.alloc(12)
  header.copy(nonce, 6, COUNTER_AT, SEALED_HEADER_BYTES)
  return nonce
}

const PURPOSE = 'horus datagram of one sender'
const FOREIGN: Unsealed = { kind: 'dropped', reason: 'foreign' }
