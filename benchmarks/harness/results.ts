import { mkdir, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { progress } from './progress.ts'

const benchmarks = fileURLToPath(new URL('..', import.meta.url))

export interface Run {
  name: string
  quick: boolean
  /** The drivers it was run for, where some were asked for. */
  drivers?: readonly string[]
  /** Folder of the results, where it is not called as the benchmark is. */
  folder?: string
  /** Name of the summary, without its ending. */
  summary?: string
}

/**
 * Writes what was measured: raw data to `<folder>/raw/`, the summary to `<folder>/<summary>.md`. A quick run writes beside a
 * full one, never over it: its figures are for looking, not for printing.
 */
export async function writeResults(run: Run, raw: object, summary: string): Promise<void> {
  const folder = join(benchmarks, run.folder ?? run.name)
  await mkdir(join(folder, 'raw'), { recursive: true })
  const at = new Date().toISOString()
  const rawFile = join(
    folder,
    'raw',
    `${run.folder ? `${run.name}-` : ''}${run.quick ? 'quick' : at.slice(0, 19).replaceAll(':', '-')}.json`,
  )
  const summaryFile = join(folder, `${run.summary ?? 'summary'}${run.quick ? '.quick' : ''}.md`)
  const options = [...(run.quick ? ['--quick'] : []), ...(run.drivers ?? []).map(driver => `--driver ${driver}`)]
  const command = ['npm run bench', run.name, ...(options.length > 0 ? ['--', ...options] : [])].join(' ')
  await writeFile(rawFile, `${JSON.stringify({ benchmark: run.name, quick: run.quick, at, command, ...raw }, null, 1)}\n`)
  const foot = `Measured ${at.slice(0, 10)} by \`${command}\`; raw data: [${relative(folder, rawFile)}](${relative(folder, rawFile)}). This file is written by the harness.`
  await writeFile(summaryFile, `${summary}\n${foot}\n`)
  progress(`written: ${relative(process.cwd(), rawFile)}, ${relative(process.cwd(), summaryFile)}`)
}

/** A figure with three significant digits; a dash where there is none. */
export function figure(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–'
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en')
  return String(Number(value.toPrecision(3)))
}

/** Three significant digits, as a number. */
export const rounded = (value: number): number => (Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3)))

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
