/** How a program that was started waits for the environment of whoever leases it. The other side is in `loader/start.cjs`. */
import { ConductorError } from '@maestro/contract'
import type { Program } from './sandbox.ts'

/** What it says on standard output once it waits. */
export const heldLine = '{"maestro":"held"}'

/** Waits in a shell, which then becomes the program: the line it takes is code, so `environmentLine` alone may make it. */
export const holdInShell: readonly string[] = [
  '/bin/sh',
  '-c',
  `printf '%s\\n' '${heldLine}'; IFS= read -r line || exit 0; eval "$line"; unset line; exec "$@"`,
  'maestro-held',
]

/**
 * The line that brings the environment, without its newline. Nothing behind it is read by who takes it.
 * Throws `sandbox_start_failed` for a value that no environment can hold.
 */
export function environmentLine({ runtime }: Program, env: Readonly<Record<string, string>>): Uint8Array {
  if (Object.values(env).some(value => value.includes('\0'))) {
    throw new ConductorError('sandbox_start_failed', 'an environment value holds a NUL character')
  }
  if (runtime === 'node') {
    const json = Buffer.from(JSON.stringify(env))
    // Its length first, so that only a few bytes must be read one by one.
    return Buffer.concat([Buffer.from(`${json.length} `), json])
  }
  return Buffer.from(Object.entries(env).map(shellAssignment).join(''))
}

/** A shell keeps no newline at the end of a substitution, so a dot stands there and is taken off. */
function shellAssignment([name, value]: [string, string]): string {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return ''
  const octal = [...Buffer.from(value)].map(byte => `\\0${byte.toString(8).padStart(3, '0')}`).join('')
  return `${name}=$(printf '%b.' '${octal}');${name}="\${${name}%.}";export ${name};`
}
