import { spawn } from 'node:child_process'
import { once } from 'node:events'

export interface Ran {
  code: number | null
  stdout: string
  stderr: string
}

/** Runs any program to its end and gathers what it printed; kills it after `timeoutMs`. */
export async function run(program: string, args: readonly string[], timeoutMs = 120_000): Promise<Ran> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: timeoutMs, killSignal: 'SIGKILL' })
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
