//! A topic as code sees it: a name, and for TypeScript what its jobs carry and result in. Schemas (any library that follows
//! Standard Schema, https://standardschema.dev) also check at run time. A plain string works wherever a topic does.

import { InvalidOption, SchemaInvalid } from './errors.ts'
import { names } from './options.ts'

/** For each job name: what it carries and what its handler returns. */
export type JobTypes = Readonly<Record<string, { readonly input: unknown; readonly output?: unknown }>>

export interface JobTopic<T extends JobTypes = JobTypes> {
  readonly kind: 'jobs'
  readonly name: string
  readonly schemas: JobSchemas | undefined
  /** Only for the compiler. */
  readonly types?: T
}

export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}
type SchemaResult<Output> = { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly { readonly message: string }[] }

export type JobSchemas = Readonly<Record<string, { readonly input: StandardSchema<never, unknown> | StandardSchema; readonly output?: StandardSchema<never, unknown> | StandardSchema }>>
type Carried<S> = S extends { readonly '~standard': { readonly types?: { readonly input: infer I } | undefined } } ? I : unknown
export type TypesOf<S extends JobSchemas> = { readonly [N in keyof S]: { readonly input: Carried<S[N]['input']>; readonly output: S[N] extends { readonly output: infer O } ? Carried<O> : unknown } }

export type AnyTopic<T extends JobTypes = JobTypes> = JobTopic<T> | string

/** `jobTopic<{ bill: { input: Bill; output: Receipt } }>('orders')`, or with schemas: `jobTopic('orders', { bill: { input: billSchema } })`. `name` is 1 to 255 bytes, else InvalidOption. */
export function jobTopic<T extends JobTypes>(name: string): JobTopic<T>
export function jobTopic<S extends JobSchemas>(name: string, schemas: S): JobTopic<TypesOf<S>>
export function jobTopic(name: string, schemas?: JobSchemas): JobTopic {
  return { kind: 'jobs', name: topicName(name), schemas }
}

export function topicName(topic: AnyTopic<never> | JobTopic): string {
  const name = typeof topic === 'string' ? topic : topic.name
  try {
    return names(name)
  } catch (error) {
    throw new InvalidOption(`a topic's name: ${(error as Error).message}`)
  }
}

/** The value as the topic's schema wants it. Throws SchemaInvalid. A promise only where the schema itself gives one. */
export function conform(topic: AnyTopic<never> | JobTopic, job: string, side: 'input' | 'output', value: unknown): unknown {
  const schema = typeof topic === 'string' ? undefined : topic.schemas?.[job]?.[side]
  if (schema === undefined) return value
  const result = schema['~standard'].validate(value)
  return result instanceof Promise ? result.then((settled) => valueOf(job, side, settled)) : valueOf(job, side, result)
}

function valueOf(job: string, side: string, result: SchemaResult<unknown>): unknown {
  if (result.issues === undefined) return result.value
  throw new SchemaInvalid(`the ${side} of ${job} does not fit its schema: ${result.issues.map((issue) => issue.message).join('; ')}`, result.issues)
}
