import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ConductorError } from '@maestro/contract'
import { type Bundle, sealBundle } from './bundle.ts'
import { checkLock, readLock } from './check-lock.ts'
import type { Npm } from './npm.ts'
import type { Pip } from './python/pip.ts'
import type { Receipts } from './receipts.ts'
import { openStaging } from './staging.ts'

const resolveMsMax = 180_000
const installMsMax = 600_000

export interface NpmInstall {
  package: string
  range: string
  allowScripts: boolean
}

export interface Installation {
  bundle: Bundle
  /** The exact version that was chosen. */
  version: string
  /** Whether anything had to be fetched. */
  fetched: boolean
}

export interface InstallTools {
  npm: Npm
  /** Looked for when first needed. Throws `runtime_missing`. */
  pip(): Promise<Pip>
  receipts: Receipts
  dataFolder: string
  bundlesFolder: string
}

/**
 * Installs one package with its dependencies as a bundle, checksums enforced, install scripts off unless allowed.
 * What was installed before is found again without fetching. Throws `package_not_found`, `package_integrity_failed`,
 * `package_not_runnable`, `install_failed`; the signal's reason when aborted.
 */
export async function installNpm(tools: InstallTools, wanted: NpmInstall, signal: AbortSignal): Promise<Installation> {
  const receiptFor = (version: string) => ['npm', wanted.package, version, wanted.allowScripts ? 'scripts' : 'plain']
  await using staging = await openStaging(tools.dataFolder)

  const probable = isExact(wanted.range) ? wanted.range : await currentVersion(tools.npm, wanted, staging.folder, signal)
  const known = probable && (await tools.receipts.recall(receiptFor(probable)))
  if (known) return { bundle: known, version: probable, fetched: false }

  const version = await lockVersion(tools.npm, wanted, staging.folder, signal)
  const same = await tools.receipts.recall(receiptFor(version))
  if (same) return { bundle: same, version, fetched: false }

  await tools.npm.run(['ci', ...scriptArgs(wanted.allowScripts)], staging.folder, installMsMax, signal)
  const bundle = await sealBundle(staging.folder, tools.bundlesFolder)
  await tools.receipts.remember(receiptFor(version), bundle)
  return { bundle, version, fetched: true }
}

/** npm blocks scripts of dependencies by default since version 12; allowing them is one word of the person who deploys. */
export const scriptArgs = (allowed: boolean): string[] =>
  allowed ? ['--ignore-scripts=false', '--dangerously-allow-all-scripts'] : ['--ignore-scripts']

const isExact = (range: string) => /^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?$/.test(range)

// The first word with the registry: where there is no network, that is found out in under a minute.
const impatient = ['--fetch-retries=1', '--fetch-timeout=20000']

/** Which version the registry names for a tag now. One small request; null where several fit or the answer is unclear. */
async function currentVersion(npm: Npm, wanted: NpmInstall, folder: string, signal: AbortSignal): Promise<string | null> {
  const spec = wanted.range === '*' ? wanted.package : `${wanted.package}@${wanted.range}`
  const answer: unknown = JSON.parse(
    (await npm.run(['view', spec, 'version', ...impatient], folder, resolveMsMax, signal)) || 'null',
  )
  const versions = Array.isArray(answer) ? answer : [answer]
  return versions.length === 1 && typeof versions[0] === 'string' ? versions[0] : null
}

/** Lets npm choose the whole tree, holds it to checksums, and pins it: the same version gives the same bundle however it was asked for. */
async function lockVersion(npm: Npm, wanted: NpmInstall, folder: string, signal: AbortSignal): Promise<string> {
  const project = (range: string) => ({
    name: 'bundle',
    version: '0.0.0',
    private: true,
    dependencies: { [wanted.package]: range },
  })
  await writeJson(join(folder, 'package.json'), project(wanted.range))
  await npm.run(['install', '--package-lock-only', '--ignore-scripts'], folder, resolveMsMax, signal)

  const lock = readLock(await readFile(join(folder, 'package-lock.json'), 'utf8'))
  checkLock(lock)
  const chosen = lock.packages[`node_modules/${wanted.package}`]
  if (!chosen?.version) throw new ConductorError('package_not_found', `npm resolved no version of ${wanted.package}.`)
  const range = chosen.engines?.node
  if (typeof range === 'string' && !npm.accepts(range)) {
    throw new ConductorError(
      'package_not_runnable',
      `${wanted.package}@${chosen.version} needs Node ${range}; servers run on ${process.version} here.`,
      { package: wanted.package, needs: range },
    )
  }
  const root = lock.packages['']
  if (root) root.dependencies = { [wanted.package]: chosen.version }
  await writeJson(join(folder, 'package.json'), project(chosen.version))
  await writeJson(join(folder, 'package-lock.json'), lock)
  return chosen.version
}

const writeJson = (file: string, value: unknown) => writeFile(file, `${JSON.stringify(value, null, 2)}\n`)
