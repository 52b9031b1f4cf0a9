export { startNode, type HorusNode, type NodeEvent } from './start.ts'
export type { NodeOptions } from './config.ts'
export { StartError, UsageError } from './errors.ts'
