//! Disks on which a node finds an identity that the story has chosen: its id and its value.

import { Identity } from '@horus/core/node/identity'
import { Random } from '@horus/core/random'
import type { DeviceRequest } from '@horus/core/device'
import type { NodeId, WallTime } from '@horus/core/units'
import { SimulatedDevice } from '@horus/core/world/device'

const NOW = { monotonic: 0 as never, wall: 0 as WallTime }

/** Draws one id, and nothing else that matters. */
class IdDraw extends Random {
  readonly #id: NodeId

  constructor(id: NodeId) {
    super(1)
    this.#id = id
  }

  override hex(): string {
    return this.#id
  }
}

export function diskOf(cluster: string, id: NodeId, value: number): SimulatedDevice {
  const device = new SimulatedDevice()
  const identity = new Identity({ cluster, random: new IdDraw(id) })
  const requests: DeviceRequest[] = []
  let loaded = false
  const outbox = {
    device: (request: DeviceRequest) => void requests.push(request),
    loaded: () => void (loaded = true),
    saved: () => {},
    refused: (reason: string) => { throw new Error(reason) },
    failed: (reason: string) => { throw new Error(reason) },
  }
  const settle = (): void => {
    for (let request = requests.shift(); request !== undefined; request = requests.shift()) {
      const answer = device.execute(request)
      device.complete(request)
      identity.receive(NOW, { kind: 'device', answer }, outbox)
    }
  }
  identity.receive(NOW, { kind: 'start' }, outbox)
  settle()
  if (!loaded) throw new Error('an identity that does not load')
  identity.receive(NOW, { kind: 'save', user: 'replica', ticket: 1, changes: { value } }, outbox)
  settle()
  return device
}
