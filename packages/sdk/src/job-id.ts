//! A job's id: the partition and the number that it got there. Unique in the cluster, and all that is needed to find the job.

import type { JobNumber, PartitionId } from '@horus/core/units'
import { HorusError } from './errors.ts'

export interface JobPlace {
  readonly partition: PartitionId
  readonly number: JobNumber
}

export function jobId(partition: number, number: number): string {
  return `${partition}-${number}`
}

/** Throws a HorusError with code `NotFound` for a text that no job has as its id. */
export function placeOf(id: string): JobPlace {
  const parts = /^(\d{1,10})-(\d{1,16})$/.exec(id)
  const partition = Number(parts?.[1])
  const number = Number(parts?.[2])
  if (!parts || partition > 0xffff_ffff || !Number.isSafeInteger(number)) throw new HorusError('NotFound', `${JSON.stringify(id)} is no id of a job`)
  return { partition: partition as PartitionId, number: number as JobNumber }
}
