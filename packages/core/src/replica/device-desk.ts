//! One block device, several actors that use it: requests are numbered anew on their way out, so that each answer finds
//! whoever asked, under the number that it was asked with.

import type { DeviceAnswer, DeviceRequest } from '../device.ts'

export type DeviceUser = 'identity' | 'journal'

export class DeviceDesk {
  #next = 1
  readonly #asked = new Map<number, { readonly user: DeviceUser; readonly request: number }>()

  out(user: DeviceUser, request: DeviceRequest): DeviceRequest {
    const number = this.#next++
    this.#asked.set(number, { user, request: request.request })
    return { ...request, request: number }
  }

  /** Undefined for an answer that nobody waits for. */
  in(answer: DeviceAnswer): { readonly user: DeviceUser; readonly answer: DeviceAnswer } | undefined {
    const asked = this.#asked.get(answer.request)
    if (asked === undefined) return undefined
    this.#asked.delete(answer.request)
    return { user: asked.user, answer: { ...answer, request: asked.request } }
  }
}
