import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { holdInShell } from './held.ts'
import type { SandboxSpec } from './sandbox.ts'

/** Where the programs and files of a sandbox are, as the program itself sees them. */
export interface Places {
  node: string
  python?: string
  bundle: string
  /** Where `preparedFolderOf` is. */
  prepared: string
}

/** Our own files that run inside, which a prepared folder holds copies of. */
export const loaderFolder = fileURLToPath(new URL('./loader', import.meta.url))

export const loaderFiles = ['start.cjs', 'build.cjs', 'snapshot.cjs'] as const

/** What a driver mounts at `Places.prepared`, or null. */
export function preparedFolderOf({ prepared, held, program }: SandboxSpec): string | null {
  return prepared?.folder ?? (held && program.runtime === 'node' ? loaderFolder : null)
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
  spec: Pick<SandboxSpec, 'program' | 'args' | 'prepared' | 'held'>,
  places: Places,
  nodeOptions: readonly string[] = [],
): string[] {
  const { program, args, held } = spec
  const file = join(places.bundle, program.entry)
  switch (program.runtime) {
    case 'node':
      return [places.node, ...nodeOptions, ...nodeStart(spec, places), file, ...args]
    case 'python':
      return [...(held ? holdInShell : []), places.python ?? 'python3', ...pythonOptions, file, ...args]
    case 'native':
      return [...(held ? holdInShell : []), file, ...args]
  }
}

/** What stands between Node and the program's file; `loader/start.cjs` and `loader/snapshot.cjs` read it. */
function nodeStart({ prepared, held }: Pick<SandboxSpec, 'prepared' | 'held'>, places: Places): string[] {
  const inPrepared = (name: string) => join(places.prepared, name)
  const how = held === 'loaded' ? 'held' : held === 'bare' ? 'bare' : 'now'
  switch (prepared?.kind) {
    case 'build':
      return [inPrepared('build.cjs')]
    case 'snapshot':
      return ['--snapshot-blob', inPrepared('start.blob'), how]
    case 'one-file':
      return [inPrepared('start.cjs'), how]
    case undefined:
      return held ? [inPrepared('start.cjs'), 'plain'] : []
  }
}
