//! Where the sessions of a led shard are to be reached, and how fresh their view of the lease clock is. Soft state: a session
//! belongs to whichever connection it spoke over last, by its own time: a message that took the way over a relay may come behind one that
//! was said later over a direct link, and nobody waits for what is sent there then.

import type { LeaseTime, SessionNumber } from '../units.ts'
import type { Endpoint } from './endpoint.ts'

export interface Presence {
  endpoint: Endpoint
  /** The client's own time of the last message that was said over `endpoint`. */
  saidAt: number
  /** The newest stamp received, and the lease clock when it came: the pair bounds the worker's own clock. */
  stamp: number
  leaseClock: LeaseTime
}

export class Presences {
  readonly #sessions = new Map<SessionNumber, Presence>()

  /** Notes that the session spoke over `endpoint` at `saidAt`; the lease clock is only taken with a newer stamp, and where it is `sure`. */
  heard(session: SessionNumber, endpoint: Endpoint, saidAt: number, leaseClock: LeaseTime, sure: boolean): void {
    const known = this.#sessions.get(session)
    if (known === undefined) {
      this.#sessions.set(session, { endpoint, saidAt, stamp: sure ? saidAt : 0, leaseClock })
      return
    }
    if (saidAt >= known.saidAt) {
      known.endpoint = endpoint
      known.saidAt = saidAt
    }
    if (!sure || saidAt <= known.stamp) return
    known.stamp = saidAt
    known.leaseClock = leaseClock
  }

  of(session: SessionNumber): Presence | undefined {
    return this.#sessions.get(session)
  }

  /** The sessions that were last heard over the endpoint are gone until they speak again; returns them. */
  gone(endpoint: Endpoint): SessionNumber[] {
    const sessions: SessionNumber[] = []
    for (const [session, presence] of this.#sessions) if (presence.endpoint === endpoint) sessions.push(session)
    for (const session of sessions) this.#sessions.delete(session)
    return sessions
  }

  endpoints(): Set<Endpoint> {
    return new Set([...this.#sessions.values()].map((presence) => presence.endpoint))
  }

  get size(): number {
    return this.#sessions.size
  }

  clear(): void {
    this.#sessions.clear()
  }
}
