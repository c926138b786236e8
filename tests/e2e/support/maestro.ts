import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { maestroBin } from './conductor.ts'

export interface Ran {
  code: number | null
  stdout: string
  stderr: string
}

/** Runs a program to its end and gathers what it printed. `input` is its standard input. */
export async function run(
  program: string,
  args: readonly string[],
  options: { input?: string; timeoutMs?: number } = {},
): Promise<Ran> {
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: options.timeoutMs ?? 120_000,
    killSignal: 'SIGKILL',
  })
  child.stdin.on('error', () => {})
  child.stdin.end(options.input ?? '')
  const printed = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', chunk => {
    printed.stdout += chunk
  })
  child.stderr.setEncoding('utf8').on('data', chunk => {
    printed.stderr += chunk
  })
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, ...printed }
}

/** Runs `maestro …` against the Conductor of this data folder. */
export const maestro = (data: string, args: readonly string[], options?: { input?: string; timeoutMs?: number }): Promise<Ran> =>
  run(process.execPath, [maestroBin, ...args, '--data', data], options)
