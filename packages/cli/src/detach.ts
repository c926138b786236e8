import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { ConductorError } from '@maestro/contract'

/**
 * Starts `maestro up` as a process of its own that outlives this one, its log in `<data>/logs/up.log`.
 * Resolves with its ready line. Throws `internal` with the end of the log where it ended before that.
 */
export async function detach(maestro: string, args: readonly string[], dataFolder: string, signal: AbortSignal): Promise<string> {
  mkdirSync(join(dataFolder, 'logs'), { recursive: true, mode: 0o700 })
  const logFile = join(dataFolder, 'logs', 'up.log')
  const log = openSync(logFile, 'w', 0o600)
  const child = spawn(process.execPath, [maestro, 'up', '--json', ...args], {
    detached: true,
    stdio: ['ignore', 'pipe', log],
  }) as ChildProcessByStdio<null, Readable, null>
  const calledOff = () => void child.kill('SIGTERM')
  signal.addEventListener('abort', calledOff, { once: true })
  const { stdout } = child
  let said = ''
  const readyLine = new Promise<null>(resolve => {
    stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text
      if (said.includes('\n')) resolve(null)
    })
  })
  const code = await Promise.race([readyLine, once(child, 'exit').then(([code]) => (code as number | null) ?? 1)])
  signal.removeEventListener('abort', calledOff)
  signal.throwIfAborted()
  if (code !== null) {
    throw new ConductorError(
      'conductor_unreachable',
      `Conductor ended with code ${code} before it was ready. The end of ${logFile}:\n${readFileSync(logFile, 'utf8').slice(-2000)}`,
    )
  }
  child.unref()
  stdout.destroy()
  return said.split('\n', 1)[0] ?? ''
}
