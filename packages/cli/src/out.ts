import { styleText } from 'node:util'
import { type Column, table } from './table.ts'
import { UsageError } from './usage-error.ts'
import { visible } from './visible.ts'

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'

export interface Out {
  /** Whether standard output is a terminal. */
  readonly isTerminal: boolean
  /** A line of data on standard output; made safe where it goes to a terminal. */
  line(text: string): void
  /** One JSON value on standard output. */
  json(value: unknown): void
  /** One JSON value on one line: an event of a stream. */
  event(value: unknown): void
  /** Bytes on standard output as they are; resolves when there is room for more. */
  raw(bytes: Uint8Array): Promise<void>
  /**
   * A listing: a table, or JSON where `json` is set; `json` as text picks fields by name. Throws `UsageError` for one that no row has.
   * `empty` is said on standard error where there is nothing to list.
   */
  rows<Row extends object>(rows: readonly Row[], columns: readonly Column<Row>[], options: RowsOptions): void
  /** A word to the person, on standard error. */
  note(text: string): void
  /** Styles text for standard output; plain where that is no terminal or NO_COLOR is set. */
  style(format: Style, text: string): string
}

export interface RowsOptions {
  json: string | true | undefined
  empty: string
}

export function createOut(stdout: NodeJS.WriteStream, stderr: NodeJS.WriteStream): Out {
  // Whoever reads us may stop (`| head`): that is an end, not an error.
  stdout.on('error', error => {
    if ((error as NodeJS.ErrnoException).code === 'EPIPE') process.exit(0)
    throw error
  })
  stderr.on('error', () => {})
  const isTerminal = stdout.isTTY === true
  const style: Out['style'] = (format, text) => styleText(format, text, { stream: stdout })
  const write = (text: string) => void stdout.write(`${text}\n`)
  return {
    isTerminal,
    line: write,
    json: value => write(JSON.stringify(value, null, 2)),
    event: value => write(JSON.stringify(value)),
    raw: bytes => (stdout.write(bytes) ? Promise.resolve() : new Promise(resolve => stdout.once('drain', resolve))),
    rows(rows, columns, { json, empty }) {
      if (json !== undefined) return write(JSON.stringify(json === true ? rows : picked(rows, json), null, 2))
      if (rows.length === 0) return void stderr.write(`${empty}\n`)
      const [head = '', ...lines] = table(
        columns.map(({ text, ...column }) => ({ ...column, text: (row: (typeof rows)[number]) => visible(text(row)) })),
        rows,
      )
      write(style('dim', head))
      for (const line of lines) write(line)
    },
    note: text => void stderr.write(`${visible(text)}\n`),
    style,
  }
}

function picked<Row extends object>(rows: readonly Row[], fields: string): object[] {
  const names = fields.split(',').map(name => name.trim())
  const known = new Set(rows.flatMap(row => Object.keys(row)))
  const wrong = rows.length > 0 ? names.find(name => !known.has(name)) : undefined
  if (wrong !== undefined)
    throw new UsageError(`There is no field ${JSON.stringify(wrong)}.`, `Fields: ${[...known].join(', ')}.`)
  return rows.map(row => Object.fromEntries(names.map(name => [name, (row as Record<string, unknown>)[name]])))
}
