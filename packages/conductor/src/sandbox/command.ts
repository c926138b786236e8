import { join } from 'node:path'
import type { SandboxSpec } from './sandbox.ts'

/** Where the programs and files of a sandbox are, as the program itself sees them. */
export interface Places {
  node: string
  python?: string
  bundle: string
}

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
      return [places.python ?? 'python3', file, ...args]
    case 'native':
      return [file, ...args]
  }
}
