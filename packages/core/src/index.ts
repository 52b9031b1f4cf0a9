export * from './actor.ts'
export * from './replica.ts'
