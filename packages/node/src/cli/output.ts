//! What commands print: a table for people, one line of JSON for programs, a progress bar where there is a terminal.

export type Cell = string | number

/** Columns as wide as their widest cell; numbers stand right. */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const lines = [head, ...rows]
  const widths = head.map((_, column) => Math.max(...lines.map((line) => String(line[column] ?? '').length)))
  return lines
    .map((line) => widths.map((width, column) => pad(line[column] ?? '', width, column === widths.length - 1)).join('  ').trimEnd())
    .join('\n')
}

function pad(cell: Cell, width: number, last: boolean): string {
  if (typeof cell === 'number') return String(cell).padStart(width)
  return last ? cell : cell.padEnd(width)
}

/** Two columns: what it is, and what came out. */
export function facts(rows: readonly (readonly [string, Cell])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${typeof value === 'number' ? grouped(value) : value}`).join('\n')
}

export function grouped(value: number): string {
  return Number.isInteger(value) ? value.toLocaleString('en-US') : value.toLocaleString('en-US', { maximumFractionDigits: 1 })
}

export interface Terminal {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

/** One line that is written over; nothing at all where the output is no terminal. */
export class Progress {
  readonly #terminal: Terminal
  #shown = false

  constructor(terminal: Terminal) {
    this.#terminal = terminal
  }

  /** `fraction` from 0 to 1. */
  show(fraction: number, text: string): void {
    if (this.#terminal.isTTY !== true) return
    const filled = Math.round(Math.min(1, Math.max(0, fraction)) * BAR_WIDTH)
    const line = `[${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}] ${text}`
    this.#terminal.write(`\r\u001b[2K${line.slice(0, Math.max(BAR_WIDTH, (this.#terminal.columns ?? 80) - 1))}`)
    this.#shown = true
  }

  /** A line that stays, above the bar. */
  say(text: string): void {
    this.clear()
    this.#terminal.write(`${text}\n`)
  }

  clear(): void {
    if (this.#shown) this.#terminal.write('\r\u001b[2K')
    this.#shown = false
  }
}

const BAR_WIDTH = 30
