import { basename, join } from 'node:path'
import { ConductorError } from '@maestro/contract'
import type { Program } from '../sandbox/sandbox.ts'
import { binsOf, type PackageFacts } from './find-entry.ts'
import { programKind } from './program-file.ts'
import { chooseScript } from './python/console-scripts.ts'
import type { Target } from './python/launcher.ts'
import { moduleTarget, type PythonProject, usualTarget } from './python/project.ts'

/** How a folder's server is run. `node` is left to what reads package.json. */
export type FolderProgram =
  | { kind: 'node' }
  | { kind: 'file'; program: Program }
  | { kind: 'python'; target: Target }
  /** A script of a package that is still to be installed. */
  | { kind: 'script'; name: string }

/**
 * Tells how the folder is run, before anything is installed. A package.json means Node unless `--bin` names something else: a script of
 * the project, a module, a file. Throws `package_not_runnable`.
 */
export async function folderProgram(
  folder: string,
  facts: PackageFacts | null,
  project: PythonProject | null,
  wanted: string | undefined,
): Promise<FolderProgram> {
  if (wanted !== undefined) return named(folder, facts, project, wanted)
  if (facts !== null || project === null) return { kind: 'node' }
  const target = await usualTarget(folder, project, chooseScript(project.scripts, project.name ?? basename(folder)))
  if (target) return { kind: 'python', target }
  throw new ConductorError(
    'package_not_runnable',
    'The folder names no program: no [project.scripts] in pyproject.toml, and no server.py, main.py or __main__.py. Name one with --bin.',
  )
}

async function named(
  folder: string,
  facts: PackageFacts | null,
  project: PythonProject | null,
  wanted: string,
): Promise<FolderProgram> {
  if (facts !== null && binsOf(facts).has(wanted)) return { kind: 'node' }
  const script = project?.scripts.get(wanted)
  if (script) return { kind: 'python', target: script }
  const path = wanted.replace(/^(\.\/)+/, '')
  const isInside = path !== '' && !path.startsWith('/') && !path.split('/').includes('..')
  const runtime = isInside ? await programKind(join(folder, path)) : null
  if (runtime === 'python') return { kind: 'python', target: { kind: 'file', path } }
  if (runtime === 'native' || (runtime === 'node' && facts === null)) return { kind: 'file', program: { runtime, entry: path } }
  if (project === null) return { kind: 'node' }
  const module = await moduleTarget(folder, project, wanted.replace(/^-m\s+/, ''))
  return module ? { kind: 'python', target: module } : { kind: 'script', name: wanted }
}
