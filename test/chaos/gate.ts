//! What lets bytes through from one process to another, in one direction: open, shut for a protocol, or slow.
//!
//! A shut gate is silent: nobody is told, no connection ends. What came while it was shut is still there when it opens, as TCP
//! would have repeated it; datagrams are gone. So a stopped stream and a late one are both tried.

export type Protocol = 'tcp' | 'udp'

export class Gate {
  delayMs = 0
  readonly #shut = new Set<Protocol>()
  readonly #watchers = new Set<() => void>()

  isShut(protocol: Protocol): boolean {
    return this.#shut.has(protocol)
  }

  shut(protocols: readonly Protocol[]): void {
    for (const protocol of protocols) this.#shut.add(protocol)
    this.#tell()
  }

  /** As if nothing had been: open and without delay. */
  open(): void {
    this.#shut.clear()
    this.delayMs = 0
    this.#tell()
  }

  /** Calls back at every change until the returned function is called. */
  watch(changed: () => void): () => void {
    this.#watchers.add(changed)
    return () => void this.#watchers.delete(changed)
  }

  #tell(): void {
    for (const changed of this.#watchers) changed()
  }
}
