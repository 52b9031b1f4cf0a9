//! What can be wrong with how a node is started, as errors of one line that say what to do about it.

/** A wrong option, variable or file of settings: whoever started the node must say it differently. Exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
  readonly exitCode = 2
}

/** The options are right but the machine is not as they need it: a port in use, another node's directory. Exit code 1. */
export class StartError extends Error {
  override readonly name = 'StartError'
  readonly exitCode = 1
}

/** One line for whoever runs a command; a stack would hide what to do. */
export function oneLine(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error)
  return text.replace(/\s*\n\s*/g, ' ')
}

export function exitCodeOf(error: unknown): number {
  return error instanceof UsageError ? 2 : 1
}
