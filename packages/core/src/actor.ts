//! The contract of everything that decides.
//!
//!            now, input                     effects
//!   host ───────────────▶ actor.receive ───────────────▶ outbox ───▶ host carries them out
//!     ▲                                                                   │
//!     └──────────── flushed, message, link closed: later inputs ◀─────────┘
//!
//! An actor gets the time and one input and writes effects to an outbox that it cannot read. It holds no promise, no
//! callback, no clock: time is an argument, a timer is `wakeAt`, the disk is a peer that answers later. So the same code
//! runs on real sockets and in the simulator, and "answered before it was durable" has nowhere to live.

import type { Instant, WallTime } from './units.ts'

export interface Now {
  /** For time-outs and intervals; never jumps. */
  readonly monotonic: Instant
  /** For what people call a time; may jump. */
  readonly wall: WallTime
}

export interface Actor<Input, Outbox> {
  receive(now: Now, input: Input, outbox: Outbox): void
  /** Called at `wakeAt` or later; what is due is done, and `wakeAt` moves on. */
  wake(now: Now, outbox: Outbox): void
  /** When the actor next wants to be woken; Infinity when idle. */
  readonly wakeAt: Instant
  /** An independent copy, for the explorer. */
  clone(): this
  /** A hash of the whole state, for the trace and the explorer. */
  digest(): string
}
