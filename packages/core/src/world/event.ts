//! What lies in the world's queue.

import type { DeviceAnswer, DeviceRequest } from '../device.ts'
import type { Address } from '../units.ts'
import type { Link, LinkEnd } from './link.ts'
import type { Process } from './process.ts'

/** Whatever drives a world from outside: faults, the beginning and end of a phase. */
export interface Stage {
  /** `code` and `subject` are what it was scheduled with. */
  act(code: number, subject: number): void
}

export type WorldEvent =
  | { readonly kind: 'wake' | 'turn' | 'restart' | 'resume'; readonly process: Process; readonly run: number }
  | { readonly kind: 'device'; readonly process: Process; readonly run: number; readonly request: DeviceRequest; readonly answer: DeviceAnswer }
  | { readonly kind: 'datagram'; readonly from: Address; readonly process: Process; readonly bytes: Uint8Array }
  | { readonly kind: 'dial'; readonly link: Link; readonly process: Process | undefined }
  | { readonly kind: 'linkMessage'; readonly link: Link; readonly end: LinkEnd; readonly bytes: Uint8Array }
  | { readonly kind: 'linkUp' | 'linkDown'; readonly link: Link; readonly end: LinkEnd }
  | { readonly kind: 'stage'; readonly stage: Stage; readonly code: number; readonly subject: number }
