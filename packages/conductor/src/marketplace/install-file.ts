import { chmod, constants, copyFile, mkdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { ConductorError } from '@maestro/contract'
import type { Program } from '../sandbox/sandbox.ts'
import { sealBundle } from './bundle.ts'
import { homePath } from './home-path.ts'
import type { Installation, InstallTools } from './install-npm.ts'
import { programKind } from './program-file.ts'
import { writeLauncher } from './python/install-pypi.ts'
import { openStaging } from './staging.ts'

const fileBytesMax = 1024 ** 3

export interface FileInstallation extends Installation {
  name: string
  /** Absolute. */
  path: string
  program: Program
}

/**
 * Makes a bundle of one program that needs nothing beside it but the system's libraries: a binary, a script of a shell, of Node or of
 * Python. Throws `source_invalid`, `package_not_runnable`, `runtime_missing`.
 */
export async function installFile(tools: InstallTools, path: string): Promise<FileInstallation> {
  const source = homePath(path)
  const facts = await stat(source).catch(() => null)
  if (!facts?.isFile()) throw new ConductorError('source_invalid', `${JSON.stringify(path)} is not a file.`)
  if (facts.size > fileBytesMax) throw new ConductorError('source_invalid', `${JSON.stringify(path)} is larger than 1 GiB.`)
  const runtime = await programKind(source)
  const name = basename(source)
  if (runtime === null)
    throw new ConductorError('package_not_runnable', `${name} is no program: neither a binary, nor a script that begins with #!.`)

  await using staging = await openStaging(tools.dataFolder)
  const root = join(staging.folder, 'bundle')
  await mkdir(root)
  await copyFile(source, join(root, name), constants.COPYFILE_FICLONE)
  await chmod(join(root, name), 0o755)
  const entry =
    runtime === 'python' ? await writeLauncher(await tools.pip(), root, 'server', { kind: 'file', path: name }, []) : name
  const bundle = await sealBundle(root, tools.bundlesFolder)
  return { bundle, name, version: '0.0.0', path: source, program: { runtime, entry }, fetched: true }
}
