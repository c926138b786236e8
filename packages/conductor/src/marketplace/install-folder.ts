import { chmod, constants, copyFile, lstat, mkdir, readdir, readFile, readlink, rm, stat, symlink } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { ConductorError } from '@maestro/contract'
import type { Program } from '../sandbox/sandbox.ts'
import { digestOf, sealBundle } from './bundle.ts'
import { checkLock, readLock } from './check-lock.ts'
import { type PackageFacts, readPackage } from './find-entry.ts'
import { folderProgram } from './folder-program.ts'
import { homePath } from './home-path.ts'
import { type Installation, type InstallTools, scriptArgs } from './install-npm.ts'
import { keepRegistries } from './keep-registries.ts'
import { installPythonFolder } from './python/install-python-folder.ts'
import { readProject } from './python/project.ts'
import { openStaging } from './staging.ts'

const installMsMax = 600_000
/** Made by tools and made again by us; `.maestro` may hold this very copy. */
const skipped = new Set(['.git', 'node_modules', '.maestro', '.venv', '__pycache__'])
const copyDepthMax = 64

export interface FolderInstallation extends Installation {
  name: string
  /** Absolute. */
  path: string
  /** Null where package.json says it, or the usual names do. */
  program: Program | null
}

export interface FolderInstall {
  path: string
  /** Which program of the folder to run. */
  bin: string | undefined
  allowScripts: boolean
}

/**
 * Copies a folder as it is now and installs its dependencies: those of Node by its lockfile, or by one made first, those of Python
 * resolved and pinned. A folder without dependencies needs no package manager and no description. The same content again is found
 * without work. Throws `source_invalid`, `package_integrity_failed`, `package_not_runnable`, `install_failed`, `runtime_missing`; the
 * signal's reason when aborted.
 */
export async function installFolder(
  tools: InstallTools,
  wanted: FolderInstall,
  signal: AbortSignal,
): Promise<FolderInstallation> {
  const source = await folderAt(wanted.path)
  await using staging = await openStaging(tools.dataFolder)
  const root = join(staging.folder, 'bundle')
  await copyTree(source, root, resolve(tools.dataFolder), signal, 0)

  const facts = await packageFacts(root)
  const project = await readProject(root)
  const how = await folderProgram(root, facts, project, wanted.bin)
  if (how.kind === 'python' || how.kind === 'script') {
    const place = { folder: staging.folder, allowBuilds: wanted.allowScripts, signal }
    const installed = await installPythonFolder(tools, root, project, how, place)
    return { name: project?.name ?? basename(source), version: project?.version ?? '0.0.0', path: source, ...installed }
  }

  const name = typeof facts?.name === 'string' && facts.name !== '' ? facts.name : basename(source)
  const version = typeof facts?.version === 'string' && facts.version !== '' ? facts.version : '0.0.0'
  if (facts) refuseEngine(tools, name, facts)
  const program = how.kind === 'file' ? how.program : null
  if (program) await chmod(join(root, program.entry), 0o755)
  const found = { name, version, path: source, program }

  const receipt = ['folder', await digestOf(root), wanted.allowScripts ? 'scripts' : 'plain']
  const known = await tools.receipts.recall(receipt)
  if (known) return { ...found, bundle: known, fetched: false }

  await keepRegistries(root)
  if (facts && hasDependencies(facts)) await installDependencies(tools, root, wanted.allowScripts, signal)
  // Nothing needs it once everything is installed.
  await rm(join(root, '.npmrc'), { force: true })
  const bundle = await sealBundle(root, tools.bundlesFolder)
  await tools.receipts.remember(receipt, bundle)
  return { ...found, bundle, fetched: true }
}

/** Throws `source_invalid` where it is not a folder. */
async function folderAt(path: string): Promise<string> {
  const full = homePath(path)
  const facts = await stat(full).catch(() => null)
  if (!facts?.isDirectory()) throw new ConductorError('source_invalid', `${JSON.stringify(path)} is not a folder.`)
  return full
}

async function copyTree(from: string, to: string, dataFolder: string, signal: AbortSignal, depth: number): Promise<void> {
  if (depth > copyDepthMax) throw new ConductorError('source_invalid', `The folder is nested more than ${copyDepthMax} deep.`)
  await mkdir(to, { recursive: true })
  for (const entry of await readdir(from, { withFileTypes: true })) {
    signal.throwIfAborted()
    const source = join(from, entry.name)
    if (skipped.has(entry.name) || source === dataFolder) continue
    const target = join(to, entry.name)
    if (entry.isDirectory()) await copyTree(source, target, dataFolder, signal, depth + 1)
    else if (entry.isSymbolicLink()) await symlink(await readlink(source), target)
    else if (entry.isFile()) await copyFile(source, target, constants.COPYFILE_FICLONE)
    else throw new ConductorError('source_invalid', `${entry.name} is a device, a socket or a pipe; a server is made of files.`)
  }
}

async function packageFacts(folder: string): Promise<PackageFacts | null> {
  const there = await lstat(join(folder, 'package.json')).catch(() => null)
  return there ? readPackage(folder) : null
}

function refuseEngine(tools: InstallTools, name: string, facts: PackageFacts): void {
  const range = (facts.engines as { node?: unknown } | null | undefined)?.node
  if (typeof range !== 'string' || tools.npm.accepts(range)) return
  throw new ConductorError('package_not_runnable', `${name} needs Node ${range}; servers run on ${process.version} here.`, {
    needs: range,
  })
}

const hasDependencies = (facts: PackageFacts) =>
  [facts.dependencies, facts.optionalDependencies].some(
    table => typeof table === 'object' && table !== null && Object.keys(table).length > 0,
  )

async function installDependencies(
  tools: InstallTools,
  folder: string,
  allowScripts: boolean,
  signal: AbortSignal,
): Promise<void> {
  const lockFile = await lockOf(folder)
  if (!lockFile) await tools.npm.run(['install', '--package-lock-only', '--ignore-scripts'], folder, installMsMax, signal)
  checkLock(readLock(await readFile(join(folder, lockFile ?? 'package-lock.json'), 'utf8')))
  await tools.npm.run(['ci', ...scriptArgs(allowScripts)], folder, installMsMax, signal)
}

/** npm prefers a shrinkwrap where both are there. */
async function lockOf(folder: string): Promise<string | null> {
  for (const name of ['npm-shrinkwrap.json', 'package-lock.json']) {
    if (await lstat(join(folder, name)).catch(() => null)) return name
  }
  return null
}
