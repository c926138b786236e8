import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ConductorError } from '@maestro/contract'
import type { Program } from '../../sandbox/sandbox.ts'
import { type Bundle, digestOf, sealBundle } from '../bundle.ts'
import type { FolderProgram } from '../folder-program.ts'
import type { InstallTools } from '../install-npm.ts'
import { installedScripts } from './console-scripts.ts'
import { installPackages, writeLauncher } from './install-pypi.ts'
import { launchFolder, packagesFolder, type Target } from './launcher.ts'
import type { Pip, PipPlace } from './pip.ts'
import { distInfo, type PythonProject } from './project.ts'

const launcherName = 'server'
const noProject: PythonProject = {
  name: null,
  version: null,
  requiresPython: null,
  requirements: [],
  scripts: new Map(),
  roots: [''],
}

/**
 * Makes a bundle of a staged folder of Python sources: its dependencies beside it, its own modules on the path as they lie, nothing built.
 * Throws `package_not_runnable`, and as `Pip` does.
 */
export async function installPythonFolder(
  { pip: openPip, receipts, bundlesFolder }: InstallTools,
  root: string,
  found: PythonProject | null,
  how: FolderProgram & { kind: 'python' | 'script' },
  place: PipPlace,
): Promise<{ bundle: Bundle; program: Program; fetched: boolean }> {
  const project = found ?? noProject
  const pip = await openPip()
  await refuseVersion(pip, project, place)
  const program: Program = { runtime: 'python', entry: `${launchFolder}/${launcherName}.py` }
  const receipt = [
    'python-folder',
    await digestOf(root),
    place.allowBuilds ? 'scripts' : 'plain',
    pip.python.tag,
    JSON.stringify(how),
  ]
  const known = await receipts.recall(receipt)
  if (known) return { bundle: known, program, fetched: false }

  await pip.compile(root, place)
  const pinned = project.requirements.length > 0 ? await pip.resolve(project.requirements, place) : []
  await installPackages(pip, pinned, root, place)
  const info = distInfo(project)
  if (info) {
    await mkdir(join(root, packagesFolder, info.folder), { recursive: true })
    await writeFile(join(root, packagesFolder, info.folder, 'METADATA'), info.metadata)
  }
  await writeLauncher(pip, root, launcherName, await targetOf(root, how), project.roots)
  const bundle = await sealBundle(root, bundlesFolder)
  await receipts.remember(receipt, bundle)
  return { bundle, program, fetched: true }
}

async function targetOf(root: string, how: FolderProgram & { kind: 'python' | 'script' }): Promise<Target> {
  if (how.kind === 'python') return how.target
  const scripts = await installedScripts(join(root, packagesFolder))
  const target = scripts.get(how.name)
  if (target) return target
  const names = [...scripts.keys()].sort().join(', ')
  throw new ConductorError(
    'package_not_runnable',
    `Neither the folder nor its packages have a program, module or file ${JSON.stringify(how.name)}; scripts of packages: ${names || 'none'}.`,
  )
}

async function refuseVersion(pip: Pip, { name, requiresPython }: PythonProject, place: PipPlace): Promise<void> {
  if (requiresPython === null || (await pip.accepts(requiresPython, place))) return
  throw new ConductorError(
    'package_not_runnable',
    `${name ?? 'The project'} needs Python ${requiresPython}; servers run on ${pip.python.version} here.`,
    { needs: requiresPython },
  )
}
