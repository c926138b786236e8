import { join } from 'node:path'
import type { SandboxSpec } from './sandbox.ts'

/** Where the programs and files of a sandbox are, as the program itself sees them. */
export interface Places {
  node: string
  python?: string
  bundle: string
}

/**
 * Of Python the standard library and what the bundle brings: no packages of the person (-s) or of the system (-S). Answers leave at once
 * (-u): a pipe would hold them back.
 */
const pythonOptions = ['-s', '-S', '-u']

/** What the runtime of a program wants to find, beneath what the deployment gives. */
export const runtimeEnvironment = ({ runtime }: SandboxSpec['program']): Record<string, string> =>
  // The order of a set is another in every process unless it is told, and would make two runs of one session differ.
  runtime === 'python' ? { PYTHONHASHSEED: '0', PYTHONDONTWRITEBYTECODE: '1' } : {}

/** The command line that runs the server: its interpreter, its file, its arguments. */
export function commandOf(
  { program, args }: Pick<SandboxSpec, 'program' | 'args'>,
  places: Places,
  nodeOptions: readonly string[] = [],
): string[] {
  const file = join(places.bundle, program.entry)
  switch (program.runtime) {
    case 'node':
      return [places.node, ...nodeOptions, file, ...args]
    case 'python':
      return [places.python ?? 'python3', ...pythonOptions, file, ...args]
    case 'native':
      return [file, ...args]
  }
}
