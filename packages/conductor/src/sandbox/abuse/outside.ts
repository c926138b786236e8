/** The control of an attack: the same program, not in a sandbox, in namespaces that are thrown away after it, so that nobody is harmed. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { type AttackProgram, pathOf, python } from './cell.ts'

const throwaway = [
  '--mount',
  '--pid',
  '--net',
  '--ipc',
  '--uts',
  '--fork',
  '--kill-child',
  '--propagation',
  'private',
  '--mount-proc',
]
const asRoot = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']
const script = 'mount -t tmpfs -o mode=1777 none /tmp && exec "$@"'

/** Runs a command as root of namespaces of its own, with an empty /tmp. Gives what it printed. */
export async function runOutside(command: readonly string[]): Promise<string> {
  const args = [...asRoot, ...throwaway, '/bin/sh', '-c', script, 'maestro-control', ...command]
  const { stdout } = await promisify(execFile)('unshare', args, { timeout: 60_000, maxBuffer: 100 * 1024 * 1024, cwd: '/' })
  return stdout
}

export async function runProgramOutside<T>(program: AttackProgram, ...args: string[]): Promise<T> {
  // As text: the program itself may be below /tmp, which is empty there.
  return JSON.parse(await runOutside([python, '-c', readFileSync(pathOf(program), 'utf8'), ...args])) as T
}
