//! Reads a command line against a table of flags: `--flag value`, `--flag=value`, `--` ends the flags. Whatever the table
//! does not have is refused with the verb's help command, so that a mistyped flag never passes for a default.

import { UsageError } from '../errors.ts'

export interface Flag {
  /** Shown in the help; empty for a switch, which takes no value. */
  readonly value: string
  readonly help: string
}
export type FlagTable = Readonly<Record<string, Flag>>

export interface CommandLine {
  readonly positionals: readonly string[]
  text(flag: string): string | undefined
  has(flag: string): boolean
  /** A whole number from `least` to `most`; `otherwise` where the flag is not given. */
  number(flag: string, otherwise: number, least: number, most: number): number
}

/** Throws UsageError. `positionalsMax` is how many arguments that are no flags the verb takes. */
export function readCommandLine(verb: string, args: readonly string[], table: FlagTable, positionalsMax: number): CommandLine {
  const values = new Map<string, string>()
  const positionals: string[] = []
  const seeHelp = `'horus ${verb} --help' lists what there is`
  for (let i = 0; i < args.length; i++) {
    const argument = args[i]!
    if (argument === '--') {
      positionals.push(...args.slice(i + 1))
      break
    }
    if (!argument.startsWith('--')) {
      if (/^-[A-Za-z]/.test(argument)) throw new UsageError(`unknown option '${argument}': ${seeHelp}`)
      positionals.push(argument)
      continue
    }
    const equals = argument.indexOf('=')
    const name = argument.slice(2, equals < 0 ? undefined : equals)
    const flag = Object.hasOwn(table, name) ? table[name] : undefined
    if (!flag) throw new UsageError(`unknown option '--${name}': ${seeHelp}`)
    if (values.has(name)) throw new UsageError(`--${name} is given twice: give it once`)
    if (flag.value === '') {
      if (equals >= 0) throw new UsageError(`--${name} takes no value: leave '${argument.slice(equals)}' out`)
      values.set(name, 'true')
      continue
    }
    const value = equals >= 0 ? argument.slice(equals + 1) : args[++i]
    if (value === undefined || (equals < 0 && value.startsWith('--'))) throw new UsageError(`--${name} needs a value: ${flag.value}`)
    values.set(name, value)
  }
  if (positionals.length > positionalsMax) throw new UsageError(`'${positionals[positionalsMax]}' is one argument too many: ${seeHelp}`)
  return {
    positionals,
    text: (flag) => values.get(flag),
    has: (flag) => values.has(flag),
    number(flag, otherwise, least, most) {
      const text = values.get(flag)
      if (text === undefined) return otherwise
      const value = Number(text)
      if (!/^\d+$/.test(text) || value < least || value > most) throw new UsageError(`--${flag} '${text}' is not from ${least} to ${most}`)
      return value
    },
  }
}

export function helpOfFlags(table: FlagTable): string {
  const rows = Object.entries(table).map(([name, flag]) => [`  --${name}${flag.value === '' ? '' : ` ${flag.value}`}`, flag.help] as const)
  const width = Math.max(0, ...rows.map(([left]) => left.length))
  return rows.map(([left, help]) => `${left.padEnd(width)}  ${help}`).join('\n')
}
