//! The greeting that opens every link, over TLS where there is a secret.
//!
//!   dialling side                    listening side
//!     HELLO  ─────────────────────────▶  checks
//!       checks  ◀────────────────────── HELLO            from here on both send messages
//!                     or  ◀──────────── REFUSAL, then the end
//!
//!   greeting = 'HORUS' | kind u8 (1 HELLO, 2 REFUSAL) | CBOR map
//!
//! How to change it: add fields that an older side may miss (unknown ones are ignored). What older sides must not
//! miss raises PROTOCOL; a side that still speaks an older version says so in PROTOCOL_OLDEST.

import { type ClusterId, clusterId, type NodeId, nodeId } from '@horus/core/units'
import { decodeControl, encodeControl } from './codec.ts'
import { TransportError, type TransportCode, transportCodes } from './errors.ts'

export const PROTOCOL = 1
const PROTOCOL_OLDEST = 1

export interface HelloCommon {
  readonly protocol: number
  /** The oldest protocol version that the sender also speaks. */
  readonly oldest: number
  /** The cluster's name. */
  readonly cluster: string
  /** Unknown to a client, and to a node before the cluster is founded or joined. */
  readonly clusterId: ClusterId | undefined
  /** Raised when the registry is recovered by force. Whoever is of an older one takes the newer before the two are linked. */
  readonly generation: number
  /** Of the software, for people. */
  readonly version: string
}

export interface NodeHello extends HelloCommon {
  readonly role: 'node'
  readonly nodeId: NodeId
  readonly value: number
  readonly boot: number
  /** Drawn at every start of a process: tells a node that dialled itself from a twin with the same disk. */
  readonly instance: string
  /** Whom the dialling side wants to reach. */
  readonly expects: NodeId | undefined
}

export interface ClientHello extends HelloCommon {
  readonly role: 'client'
  readonly principal: string
}

export type Hello = NodeHello | ClientHello

export interface Refusal {
  readonly code: TransportCode
  readonly text: string
}

export type Greeting = { readonly kind: 'hello'; readonly hello: Hello } | { readonly kind: 'refusal'; readonly refusal: Refusal }

const MAGIC = new TextEncoder().encode('HORUS')
const KIND = { hello: 1, refusal: 2 } as const
const NAME_LENGTH_MAX = 255
const TEXT_LENGTH_MAX = 512

export function common(cluster: string, id: ClusterId | undefined, generation: number, version: string): HelloCommon {
  return { protocol: PROTOCOL, oldest: PROTOCOL_OLDEST, cluster, clusterId: id, generation, version }
}

export function encodeHello(hello: Hello): Uint8Array {
  return greeting(KIND.hello, Object.fromEntries(Object.entries(hello).filter(([, value]) => value !== undefined)))
}

export function encodeRefusal(refusal: Refusal): Uint8Array {
  return greeting(KIND.refusal, { code: refusal.code, text: refusal.text.slice(0, TEXT_LENGTH_MAX) })
}

/** Throws a TransportError with code `malformed`. */
export function decodeGreeting(payload: Uint8Array): Greeting {
  if (payload.length < MAGIC.length + 1 || MAGIC.some((byte, i) => payload[i] !== byte)) throw broken('the other side does not speak the protocol of Horus')
  const kind = payload[MAGIC.length]
  const value = decodeControl(payload.subarray(MAGIC.length + 1))
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw broken('a greeting that is no map')
  const fields = new FieldReader(value as Record<string, unknown>)
  if (kind === KIND.hello) return { kind: 'hello', hello: readHello(fields) }
  if (kind === KIND.refusal) return { kind: 'refusal', refusal: readRefusal(fields) }
  throw broken(`a greeting of the unknown kind ${kind}`)
}

/** Why the two cannot be linked, told from the side of `mine`; undefined when they can. */
export function disagreement(mine: HelloCommon, theirs: HelloCommon): Refusal | undefined {
  if (theirs.protocol < mine.oldest || mine.protocol < theirs.oldest) {
    const speaks = (side: HelloCommon): string => `version ${side.version} speaks ${side.oldest} to ${side.protocol}`
    return { code: 'version', text: `no common protocol: ${speaks(mine)}, ${speaks(theirs)}` }
  }
  if (theirs.cluster !== mine.cluster) {
    return { code: 'cluster', text: `this is cluster ${JSON.stringify(mine.cluster)}, not ${JSON.stringify(theirs.cluster)}` }
  }
  if (mine.clusterId === undefined || theirs.clusterId === undefined) return undefined
  if (mine.clusterId !== theirs.clusterId) {
    const both = `this is ${mine.clusterId}, the other side belongs to ${theirs.clusterId}`
    return { code: 'cluster', text: `two clusters are named ${JSON.stringify(mine.cluster)}: ${both}; they never merge` }
  }
  if (mine.generation !== theirs.generation) {
    return { code: 'generation', text: `the cluster was recovered: this side is of generation ${mine.generation}, the other of ${theirs.generation}` }
  }
  return undefined
}

function readHello(fields: FieldReader): Hello {
  const base: HelloCommon = {
    protocol: fields.whole('protocol'),
    oldest: fields.whole('oldest'),
    cluster: fields.text('cluster'),
    clusterId: fields.optionalId('clusterId', clusterId),
    generation: fields.whole('generation'),
    version: fields.text('version'),
  }
  const role = fields.text('role')
  if (role === 'client') return { ...base, role, principal: fields.text('principal') }
  if (role !== 'node') throw broken(`the role ${JSON.stringify(role)}`)
  const id = fields.optionalId('nodeId', nodeId)
  if (id === undefined) throw broken('a node without its id')
  return {
    ...base, role, nodeId: id, value: fields.whole('value'), boot: fields.whole('boot'),
    instance: fields.text('instance'), expects: fields.optionalId('expects', nodeId),
  }
}

function readRefusal(fields: FieldReader): Refusal {
  const code = fields.text('code') as TransportCode
  // What is printed came over the network: only printable characters, so that no terminal is led astray.
  const text = fields.text('text', TEXT_LENGTH_MAX).replace(/[^\x20-\x7e\u00a0-\ud7ff]/g, '?')
  return { code: transportCodes.includes(code) ? code : 'refused', text }
}

class FieldReader {
  readonly #values: Record<string, unknown>

  constructor(values: Record<string, unknown>) {
    this.#values = values
  }

  whole(name: string): number {
    const value = this.#values[name]
    if (!Number.isSafeInteger(value) || (value as number) < 0) throw broken(`a greeting whose ${name} is no whole number`)
    return value as number
  }

  text(name: string, most = NAME_LENGTH_MAX): string {
    const value = this.#values[name]
    if (typeof value !== 'string' || value.length > most) throw broken(`a greeting whose ${name} is no text of at most ${most} characters`)
    return value
  }

  optionalId<T>(name: string, check: (text: string) => T): T | undefined {
    if (this.#values[name] === undefined) return undefined
    try {
      return check(this.text(name))
    } catch {
      throw broken(`a greeting whose ${name} is no id`)
    }
  }
}

function greeting(kind: number, value: Record<string, unknown>): Uint8Array {
  const body = encodeControl(value)
  const payload = new Uint8Array(MAGIC.length + 1 + body.length)
  payload.set(MAGIC)
  payload[MAGIC.length] = kind
  payload.set(body, MAGIC.length + 1)
  return payload
}

function broken(what: string): TransportError {
  return new TransportError('malformed', what)
}
