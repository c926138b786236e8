import { spawn } from 'node:child_process'
import { once } from 'node:events'

export interface Ran {
  code: number | null
  stdout: string
  stderr: string
}

export interface RunOptions {
  /** Standard input; empty where absent. */
  input?: string
  timeoutMs?: number
  env?: Record<string, string>
}

/** Runs a program to its end and gathers what it printed; kills it after `timeoutMs`. */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    timeout: options.timeoutMs ?? 120_000,
    killSignal: 'SIGKILL',
  })
  // A program that ends without reading its input closes the pipe; that is its right.
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
