//! The disk as a peer. An actor sends a request and later receives its answer; nothing is durable before a durable write's
//! answer, or that of a flush behind it, has come. Real files in `packages/node`; in the simulator durable bytes plus
//! unsynced 512-byte sectors that a crash keeps, drops or tears.

export type DeviceRequest =
  | { readonly kind: 'list'; readonly request: number }
  /** Makes a file of `size` zero bytes, in place of any of that name; durable, its name too, when answered. */
  | { readonly kind: 'create'; readonly request: number; readonly file: string; readonly size: number }
  /** Writes the pieces one behind the other. With `durable` they are on the disk when answered; without, they may be lost or torn by a crash. */
  | { readonly kind: 'write'; readonly request: number; readonly file: string; readonly at: number; readonly pieces: readonly Uint8Array[]; readonly durable: boolean }
  /** Makes every earlier write to the file durable. */
  | { readonly kind: 'flush'; readonly request: number; readonly file: string }
  /** Reads up to `length` bytes; fewer at the end of the file. */
  | { readonly kind: 'read'; readonly request: number; readonly file: string; readonly at: number; readonly length: number }
  /** Durable when answered; replaces `to` where it exists. */
  | { readonly kind: 'rename'; readonly request: number; readonly file: string; readonly to: string }
  | { readonly kind: 'delete'; readonly request: number; readonly file: string }
  /** How much more the files may take. */
  | { readonly kind: 'space'; readonly request: number }

export type DeviceError = 'full' | 'missing' | 'failed'

export type DeviceAnswer =
  | { readonly kind: 'listed'; readonly request: number; readonly files: readonly { readonly name: string; readonly size: number }[] }
  | { readonly kind: 'created' | 'written' | 'flushed' | 'renamed' | 'deleted'; readonly request: number }
  | { readonly kind: 'bytes'; readonly request: number; readonly bytes: Uint8Array }
  /** Infinity where nobody can tell. */
  | { readonly kind: 'space'; readonly request: number; readonly freeBytes: number }
  | { readonly kind: 'error'; readonly request: number; readonly error: DeviceError; readonly detail: string }

export interface DeviceOutbox {
  device(request: DeviceRequest): void
}
