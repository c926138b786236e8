import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ConductorError } from '@maestro/contract'
import { type Bundle, sealBundle } from '../bundle.ts'
import type { Installation, InstallTools } from '../install-npm.ts'
import { openStaging } from '../staging.ts'
import { chooseScript, installedScripts } from './console-scripts.ts'
import { launcherText, launchFolder, packagesFolder, type Target } from './launcher.ts'
import type { Pip, PipPlace } from './pip.ts'
import { isVersion, normalizedName, type Pinned } from './read-resolution.ts'

export interface PypiInstall {
  /** With extras, where there are some: `mcp[cli]`. */
  package: string
  /** An exact version, a PEP 440 range, or `*`. */
  range: string
  allowScripts: boolean
}

/**
 * Installs one package with its dependencies as a bundle: resolved first, then exactly that, every file held to its checksum, wheels
 * only unless allowed otherwise. What was installed before for this Python is found again without fetching. Throws as `Pip` does.
 */
export async function installPypi(
  { receipts, dataFolder, bundlesFolder }: InstallTools,
  pip: Pip,
  wanted: PypiInstall,
  signal: AbortSignal,
): Promise<Installation> {
  const name = nameOf(wanted.package)
  const receiptFor = (version: string) => [
    'pypi',
    normalizedName(name) + extrasOf(wanted.package),
    version,
    wanted.allowScripts ? 'scripts' : 'plain',
    pip.python.tag,
  ]
  const known = async (version: string) => {
    const bundle = await receipts.recall(receiptFor(version))
    return bundle && { bundle, version, fetched: false }
  }
  await using staging = await openStaging(dataFolder)
  const place: PipPlace = { folder: staging.folder, allowBuilds: wanted.allowScripts, signal }
  const versionIn = (pinned: readonly Pinned[]): string => {
    const chosen = pinned.find(found => normalizedName(found.name) === normalizedName(name))
    if (!chosen) throw new ConductorError('package_not_found', `pip resolved no version of ${name}.`)
    return chosen.version
  }

  const exact = isVersion(wanted.range) ? wanted.range : versionIn(await pip.resolve([requirementOf(wanted)], place, true))
  const before = await known(exact)
  if (before) return before
  const pinned = await pip.resolve([`${wanted.package}==${exact}`], place)
  const version = versionIn(pinned)
  const same = await known(version)
  if (same) return same

  const root = join(staging.folder, 'bundle')
  await installPackages(pip, pinned, root, place)
  const scripts = await installedScripts(join(root, packagesFolder), name)
  const targets: [string, Target][] = scripts.size > 0 ? [...scripts] : [[name, { kind: 'module', module: moduleOf(name) }]]
  for (const [script, target] of targets) await writeLauncher(pip, root, script, target, [])
  const bundle = await sealBundle(root, bundlesFolder)
  await receipts.remember(receiptFor(version), bundle)
  return { bundle, version, fetched: true }
}

/** Puts the packages where launchers look for them, compiled. */
export async function installPackages(pip: Pip, pinned: readonly Pinned[], root: string, place: PipPlace): Promise<void> {
  const target = join(root, packagesFolder)
  await mkdir(target, { recursive: true })
  if (pinned.length === 0) return
  await pip.install(pinned, target, place)
  await pip.compile(target, place)
}

/** Writes a launcher into a bundle in the making. Returns its path there. */
export async function writeLauncher(
  pip: Pip,
  root: string,
  name: string,
  target: Target,
  ownFolders: readonly string[],
): Promise<string> {
  const path = `${launchFolder}/${name}.py`
  await mkdir(join(root, launchFolder), { recursive: true })
  await writeFile(join(root, path), launcherText(name, target, ownFolders, pip.python))
  return path
}

/** The launcher of the program of a package that was installed. Throws `package_not_runnable`. */
export async function pypiEntry(bundle: Bundle, packageText: string, wanted: string | undefined): Promise<string> {
  const name = nameOf(packageText)
  const scripts = await installedScripts(join(bundle.folder, packagesFolder), name)
  const script = chooseScript(scripts, name, wanted)
  if (script === null && wanted !== undefined && (scripts.size > 0 || normalizedName(wanted) !== normalizedName(name))) {
    const names = [...scripts.keys()].sort().join(', ')
    throw new ConductorError(
      'package_not_runnable',
      `The package has no program ${JSON.stringify(wanted)}; it has ${names || 'none'}.`,
    )
  }
  return `${launchFolder}/${script ?? name}.py`
}

const nameOf = (packageText: string): string => packageText.split('[', 1)[0]!
const extrasOf = (packageText: string): string => packageText.slice(nameOf(packageText).length)
const moduleOf = (name: string): string => name.toLowerCase().replace(/[-.]/g, '_')

function requirementOf({ package: packageText, range }: PypiInstall): string {
  if (range === '*') return packageText
  return isVersion(range) ? `${packageText}==${range}` : `${packageText}${range}`
}
