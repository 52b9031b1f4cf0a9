//! A client in the virtual world: the real client of the SDK on one side, a process of the world on the other, which has a link to nodes, a clock
//! and turns. What the user hands over to the SDK's machine passes here and is noted, so that whoever drives the time knows who waits.

import type { Now } from '@horus/core/actor'
import type { Random } from '@horus/core/random'
import { type Address, type ConnectionId, type Instant, never } from '@horus/core/units'
import { type ClientActor, ClientProcess, type ClientProcessInput } from '@horus/core/world/client'
import type { ChannelEvents, ClientChannel, ClientTransport } from '../connection.ts'
import type { ClientLoad, Machine, Timer } from '../machine.ts'
import type { VirtualTime } from './time.ts'

interface Alarm {
  readonly at: Instant
  readonly call: () => void
}

export class VirtualClient implements Machine, ClientTransport, ClientActor {
  readonly process: ClientProcess
  readonly #time: VirtualTime
  readonly #random: Random
  readonly #channels = new Map<ConnectionId, ChannelEvents>()
  readonly #alarms = new Set<Alarm>()
  #turns: (() => void)[] = []
  #last = 0
  #load: ClientLoad | undefined

  constructor(time: VirtualTime, name: string, home: Address) {
    this.#time = time
    this.process = time.world.add((index) => new ClientProcess(time.world, index, name, home, () => this))
    this.#random = time.world.fork()
    this.process.start()
  }

  /** Of a client that stands still nothing can be expected. */
  get load(): ClientLoad | undefined {
    return this.process.state === 'up' ? this.#load : undefined
  }

  // ---- the machine -------------------------------------------------------------------------------------------------

  now(): Now {
    return this.process.clock.read(this.#time.world.now)
  }

  random(): Random {
    return this.#random.fork()
  }

  afterReads(call: () => void): void {
    const { process } = this
    this.#turns.push(call)
    this.#time.acted()
    if (process.turnPending || !process.running) return
    process.turnPending = true
    process.world.push(0, { kind: 'turn', process, run: process.run })
  }

  /** Only set in a turn or by another alarm, behind which the process looks when it is to be woken. */
  alarm(call: () => void, at: Instant): Timer {
    const alarm: Alarm = { at, call }
    this.#alarms.add(alarm)
    return { stop: () => void this.#alarms.delete(alarm) }
  }

  timer(call: () => void, ms: number): Timer {
    return this.#time.after(ms, call)
  }

  run<Value, Returned>(handler: (value: Value) => Returned, value: Value): Returned {
    return this.#time.handlers.run(handler, value)
  }

  waiting<T>(promise: Promise<T>): Promise<T> {
    return this.#time.waiting(promise)
  }

  changes(): number {
    return this.#time.changes
  }

  pause(ms: number, signal: AbortSignal | undefined, changes: number): Promise<void> {
    return this.#time.waiting(this.#time.news(ms, signal, changes))
  }

  begun(client: ClientLoad): void {
    this.#load = client
  }

  // ---- the transport -----------------------------------------------------------------------------------------------

  connect(address: string, events: ChannelEvents): ClientChannel {
    const connection = ++this.#last as ConnectionId
    this.#channels.set(connection, events)
    this.process.connect(connection, address as Address)
    return {
      send: (bytes) => {
        this.process.transmit(connection, bytes)
        return true
      },
      flush: () => {},
      close: () => {
        if (this.#channels.delete(connection)) this.process.disconnect(connection)
      },
    }
  }

  // ---- the process -------------------------------------------------------------------------------------------------

  get wakeAt(): Instant {
    let at: Instant = never
    for (const alarm of this.#alarms) if (alarm.at < at) at = alarm.at
    return at
  }

  receive(_now: Now, input: ClientProcessInput): void {
    this.#time.touch()
    switch (input.kind) {
      case 'start':
        return
      case 'connected':
        return this.#channels.get(input.connection)?.up()
      case 'received':
        return this.#channels.get(input.connection)?.message(input.bytes)
      case 'disconnected': {
        const events = this.#channels.get(input.connection)
        this.#channels.delete(input.connection)
        return events?.closed({ code: 'closed', message: 'the connection has ended' })
      }
      case 'turn': {
        const turns = this.#turns
        this.#turns = []
        for (const turn of turns) turn()
        return
      }
      default:
        input satisfies never
    }
  }

  wake(now: Now): void {
    this.#time.touch()
    for (const alarm of [...this.#alarms]) {
      if (alarm.at > now.monotonic) continue
      this.#alarms.delete(alarm)
      alarm.call()
    }
  }

  clone(): this {
    throw new Error('users are not explored')
  }

  digest(): string {
    throw new Error('users are not hashed')
  }
}
