//! Breadth first through every state of a model: level by level, so the first breach that is found has a shortest way.

import { States } from './states.ts'

/** A law of the model is broken; the message says which, and by what. */
export class Breach extends Error {}

export interface Model {
  /** Whole numbers in a state. */
  readonly words: number
  readonly start: Int32Array
  /** Visits every state that one action leads to. The array is used again. Throws a `Breach` where the action itself breaks a law. */
  expand(state: Int32Array, visit: (action: number, next: Int32Array) => void): void
  /** Throws a `Breach` where the state breaks a law. */
  check(state: Int32Array): void
  /** The action that `expand` was in when it threw. */
  readonly under: number
  /** A law that broke before the start; then there is nothing to search. */
  readonly broken: { readonly law: string; readonly way: readonly number[] } | undefined
}

export interface Result {
  /** Distinct states, the first among them. */
  readonly states: number
  /** Actions that were tried: each of them led to a new state or to one that was known. */
  readonly steps: number
  /** Actions on the longest of all shortest ways. */
  readonly depth: number
  /** No state was left whose actions had not all been tried. */
  readonly exhausted: boolean
  readonly breach: { readonly law: string; readonly way: readonly number[] } | undefined
}

export interface Limits {
  readonly statesMax: number
  /** Called now and then. */
  readonly progress?: (states: number, depth: number, frontier: number) => void
}

export function search(model: Model, limits: Limits): Result {
  if (model.broken !== undefined) return { states: 0, steps: model.broken.way.length, depth: 0, exhausted: false, breach: model.broken }
  const states = new States(model.words)
  const state = new Int32Array(model.words)
  let steps = 0
  let depth = 0
  let from = 0
  const result = (exhausted: boolean, breach?: Result['breach']): Result => ({ states: states.count, steps, depth, exhausted, breach })
  const visit = (action: number, next: Int32Array): void => {
    steps++
    if (states.add(next, from, action)) model.check(next)
  }

  states.add(model.start, 0, 0)
  try {
    model.check(model.start)
  } catch (error) {
    return result(false, { law: lawOf(error), way: [] })
  }
  for (let levelEnd = states.count; from < states.count; levelEnd = states.count, depth++) {
    limits.progress?.(states.count, depth, levelEnd - from)
    for (; from < levelEnd; from++) {
      states.read(from, state)
      try {
        model.expand(state, visit)
      } catch (error) {
        return result(false, { law: lawOf(error), way: [...states.wayTo(from), model.under] })
      }
      if (states.count > limits.statesMax) return result(false)
    }
  }
  return result(true)
}

function lawOf(error: unknown): string {
  if (error instanceof Breach) return error.message
  throw error
}
