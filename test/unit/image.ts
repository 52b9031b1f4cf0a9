//! Parts of books on their way into an image and out of it, for tests of the parts.

import { type Frozen, imageOf as whole, ImageReader, Imaging, walked, type Walk } from '@horus/core/message/image'

export function imageOf(frozen: Frozen): Uint8Array {
  return whole(new Imaging(frozen, undefined))
}

export function readBack<T>(frozen: Frozen, read: (input: ImageReader) => Walk<T>): T {
  return walked(read(new ImageReader([imageOf(frozen)])), Infinity)!.result
}
