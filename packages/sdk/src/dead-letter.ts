//! What a job in a dead-letter topic tells of the job that it was.

import { DeadLetterHeader } from '@horus/core/message/posts'
import { decodeError, type StoredError } from './payload.ts'

export interface DeadLetter {
  /** The topic in which the job died. */
  readonly topic: string
  /** Its id there: `horus.job(topic, id)` finds it. */
  readonly id: string
  /** What its last attempt threw, or the cluster's own words where its leases were lost. A stack may be cut. */
  readonly reason: StoredError
}

/** Undefined where the headers are of a job that was added by a user. */
export function deadLetterOf(headers: Readonly<Record<string, string>>): DeadLetter | undefined {
  const topic = headers[DeadLetterHeader.topic]
  const id = headers[DeadLetterHeader.id]
  if (topic === undefined || id === undefined) return undefined
  // One character each is a byte.
  const reason = Uint8Array.from(headers[DeadLetterHeader.reason] ?? '', (character) => character.charCodeAt(0))
  return { topic, id, reason: decodeError(reason) }
}
