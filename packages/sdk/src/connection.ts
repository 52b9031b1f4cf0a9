//! How bytes reach a node. The real one is TCP of `@horus/transport`; an embedded node hands in one that stays in the process;
//! tests script one.

/** Opens channels to nodes by their address. */
export interface ClientTransport {
  /** Nothing is called back before this returns. */
  connect(address: string, events: ChannelEvents): ClientChannel
}

export interface ChannelEvents {
  up(): void
  message(bytes: Uint8Array): void
  /** Once, also when connecting failed. */
  closed(reason: ChannelClosed): void
  /** There is room again after `send` was refused. */
  drained(): void
}

export interface ChannelClosed {
  /** As in transport: `secret cluster version` and so on; anything else is worth another try. */
  readonly code: string
  readonly message: string
}

export interface ClientChannel {
  /** False when too much is queued, and then nothing was sent. */
  send(bytes: Uint8Array): boolean
  /** Writes what was sent in this turn. */
  flush(): void
  close(): void
}
