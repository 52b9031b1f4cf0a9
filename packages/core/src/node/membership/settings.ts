//! How patient the failure detector is. The defaults suit one data centre; the simulator draws its own.

export interface MembershipSettings {
  /** One member is probed per interval. */
  readonly probeIntervalMs: number
  /** A direct answer is awaited so long; then others are asked to ping for us. */
  readonly probeTimeoutMs: number
  /** How many are asked. */
  readonly relays: number
  /** A suspicion lasts this x log10(n) probe intervals at least, six times that where nobody confirms it. */
  readonly suspicionFactor: number
  /** News travels in this x log10(n) datagrams of every node. */
  readonly retransmitFactor: number
  /** While there is news, it is told to `gossipFanout` members this often. */
  readonly gossipIntervalMs: number
  readonly gossipFanout: number
  /** A dead member is pinged this often, so that the halves of a healed partition find each other. */
  readonly reviveIntervalMs: number
  /** A dead member is forgotten after so long. */
  readonly keepDeadMs: number
  /** Everything is exchanged with one member this often. */
  readonly syncIntervalMs: number
  /** Woken so much later than asked, the process itself has stood still, and nobody is blamed for it. */
  readonly stallMs: number
}

export const membershipSettings: MembershipSettings = {
  probeIntervalMs: 500, probeTimeoutMs: 200, relays: 3, suspicionFactor: 4, retransmitFactor: 4,
  gossipIntervalMs: 100, gossipFanout: 3, reviveIntervalMs: 5000, keepDeadMs: 3_600_000, syncIntervalMs: 30_000, stallMs: 250,
}
