import { createHash } from 'node:crypto'
import { statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import {
  ConductorError,
  type Limits,
  localTenant,
  type Manifest,
  makeId,
  type ProtocolRevision,
  type SessionId,
  type Source,
} from '@maestro/contract'
import { readRecording } from '@maestro/logic'
import { type Config, sandboxLimits } from '../config.ts'
import { findPython } from '../find-python.ts'
import type { Program, SandboxDriver } from '../sandbox/sandbox.ts'
import type { Runnable, Upstream } from '../session/stages.ts'
import type { ReleaseRow, Store } from '../store/store.ts'
import type { World } from '../world.ts'
import type { Bundle } from './bundle.ts'
import { captureManifest } from './capture-manifest.ts'
import { chooseEntry, type PackageFacts, readPackage, runnableEntry } from './find-entry.ts'
import { homePath } from './home-path.ts'
import { installFile } from './install-file.ts'
import { installFolder } from './install-folder.ts'
import { type InstallTools, installNpm } from './install-npm.ts'
import { pinnedNpm } from './npm.ts'
import { type ParsedSource, parseSource } from './parse-source.ts'
import { installPypi, pypiEntry } from './python/install-pypi.ts'
import { pipOf } from './python/pip.ts'
import { receiptsIn } from './receipts.ts'
import { recordedManifest } from './recorded-manifest.ts'
import { cleanStaging } from './staging.ts'

export interface InstallRequest {
  source: string
  bin?: string
  allowScripts?: boolean
  args: string[]
  /** Secrets already put in. */
  env: Record<string, string>
  egress: string[]
  limits?: Limits
}

export interface Installer {
  /**
   * Makes a release of a source, or finds the one that is there: `installed` says which. Throws `source_invalid`,
   * `package_not_found`, `package_integrity_failed`, `package_not_runnable`, `install_failed`, `manifest_failed`,
   * `runtime_missing`, `remote_unreachable`, `session_not_found`, `recording_unreadable`, and what the sandbox driver throws;
   * the signal's reason when aborted.
   */
  install(request: InstallRequest, signal?: AbortSignal): Promise<{ release: ReleaseRow; installed: boolean }>
  /** Removes what an earlier process left half installed. Once, before the first installation. */
  cleanStaging(): Promise<void>
  /** Ends the installations that run. */
  close(): Promise<void>
}

export interface InstallerParts {
  world: World
  config: Config
  dataFolder: string
  store: Store
  driver: SandboxDriver
  /** Connects to a remote server. Without it remote sources are refused. */
  startRemote?: (runnable: Runnable) => Upstream | Promise<Upstream>
  /** Where a session's recording is. Without it recorded sessions are refused. */
  recordingPathOf?: (session: SessionId) => string
  /** Digest under a key of this install: what it is made of cannot be guessed from it. */
  keyedDigest(text: string): string
  /** What npm and pip may find their configuration in. */
  environment: Readonly<Record<string, string | undefined>>
}

type Draft = Omit<ReleaseRow, 'id' | 'tenant' | 'createdAt' | 'manifest'>

export function createInstaller(parts: InstallerParts): Installer {
  const { world, store, dataFolder } = parts
  const bundlesFolder = join(dataFolder, 'bundles')
  const tools: InstallTools = {
    npm: pinnedNpm(world, parts.environment),
    pip: async () => pipOf(world, await findPython(), parts.environment),
    receipts: receiptsIn(bundlesFolder),
    dataFolder,
    bundlesFolder,
  }
  const closing = new AbortController()
  const ranWith = ({ args, env, egress }: InstallRequest) =>
    parts.keyedDigest(JSON.stringify([args, Object.entries(env).sort(), [...egress].sort()]))
  const running = new Map<string, Promise<unknown>>()

  /** Two requests for one server must not install it twice, nor make two releases of it. */
  async function inTurn<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = running.get(key) ?? Promise.resolve()
    const mine = before.then(work, work)
    const settled = mine.then(
      () => {},
      () => {},
    )
    running.set(key, settled)
    try {
      return await mine
    } finally {
      if (running.get(key) === settled) running.delete(key)
    }
  }

  async function save(draft: Draft, manifest: Manifest): Promise<ReleaseRow> {
    const now = world.now()
    const release: ReleaseRow = {
      id: makeId('rel', now, world.randomBytes(11)),
      tenant: localTenant,
      ...draft,
      manifest,
      createdAt: now,
    }
    await store.insertRelease(release)
    world.log.info('release.installed', {
      release: release.id,
      name: release.name,
      version: release.version,
      digest: release.digest,
      tools: manifest.tools.length,
      startupMs: Math.round(manifest.startupMs),
    })
    return release
  }

  async function installBundle(
    found: Pick<Draft, 'name' | 'version' | 'source'> & { program: Program },
    { digest, name: bundle }: Bundle,
    request: InstallRequest,
  ) {
    const draft: Draft = { ...found, digest, bundle, ranWith: ranWith(request) }
    const known = await findBundle(store, draft)
    if (known) return { release: known, installed: false }
    const manifest = await captureManifest({
      world,
      initializeMsMax: parts.config.initializeMsMax,
      secrets: request.env,
      probePing: true,
      start: () =>
        parts.driver.start({
          id: makeId('sbx', world.now(), world.randomBytes(11)),
          bundle: join(bundlesFolder, bundle),
          program: found.program,
          args: request.args,
          env: request.env,
          egress: request.egress,
          limits: sandboxLimits(parts.config, request.limits),
        }),
    })
    return { release: await save(draft, manifest), installed: true }
  }

  async function fromNpm(source: ParsedSource & { kind: 'npm' }, request: InstallRequest, signal: AbortSignal) {
    const wanted = { package: source.package, range: source.range, allowScripts: request.allowScripts === true }
    const { bundle, version } = await installNpm(tools, wanted, signal)
    const packageFolder = `node_modules/${source.package}`
    const facts = await readPackage(join(bundle.folder, packageFolder))
    const entry = await entryOf(bundle.folder, packageFolder, facts, request.bin, ['index.js'])
    return installBundle(
      {
        name: source.package,
        version,
        source: { kind: 'npm', package: source.package, version },
        program: { runtime: 'node', entry },
      },
      bundle,
      request,
    )
  }

  async function fromPypi(source: ParsedSource & { kind: 'pypi' }, request: InstallRequest, signal: AbortSignal) {
    const wanted = { package: source.package, range: source.range, allowScripts: request.allowScripts === true }
    const { bundle, version } = await installPypi(tools, await tools.pip(), wanted, signal)
    const entry = await pypiEntry(bundle, source.package, request.bin)
    return installBundle(
      {
        name: source.package,
        version,
        source: { kind: 'pypi', package: source.package, version },
        program: { runtime: 'python', entry },
      },
      bundle,
      request,
    )
  }

  async function fromFolder(source: ParsedSource & { kind: 'folder' }, request: InstallRequest, signal: AbortSignal) {
    const wanted = { path: source.path, bin: request.bin, allowScripts: request.allowScripts === true }
    const { bundle, name, version, path, program } = await installFolder(tools, wanted, signal)
    const nodeProgram = async (): Promise<Program> => {
      const facts = await readPackage(bundle.folder).catch(() => ({}))
      return { runtime: 'node', entry: await entryOf(bundle.folder, '', facts, request.bin, folderEntries) }
    }
    return installBundle(
      { name, version, source: { kind: 'folder', path }, program: program ?? (await nodeProgram()) },
      bundle,
      request,
    )
  }

  async function fromFile(source: ParsedSource & { kind: 'file' }, request: InstallRequest) {
    const { bundle, name, version, path, program } = await installFile(tools, source.path)
    return installBundle({ name, version, source: { kind: 'file', path }, program }, bundle, request)
  }

  /** A remote server changes without us: it is asked again each time, and what it says now is a release only where it is new. */
  async function fromRemote({ url }: ParsedSource & { kind: 'remote' }, request: InstallRequest) {
    const { startRemote } = parts
    if (!startRemote) throw new ConductorError('remote_unreachable', 'This Conductor does not reach out to remote servers.')
    const manifest = await captureManifest({
      world,
      initializeMsMax: parts.config.initializeMsMax,
      secrets: request.env,
      probePing: false,
      start: async revision => startRemote(remoteRunnable(url, revision, request, parts)),
    })
    const { name, version } = manifest.serverInfo
    const draft: Draft = {
      name: typeof name === 'string' && name !== '' ? name.slice(0, 200) : new URL(url).hostname,
      version: typeof version === 'string' && version !== '' ? version.slice(0, 100) : '0.0.0',
      source: { kind: 'remote', url },
      digest: digestOfText(url),
      bundle: null,
      program: null,
      ranWith: '',
    }
    const known = await store.findReleaseByVersion(localTenant, 'remote', draft.name, draft.version, draft.digest)
    if (known && saysTheSame(known.manifest, manifest)) return { release: known, installed: false }
    return { release: await save(draft, manifest), installed: true }
  }

  async function fromRecording({ session }: ParsedSource & { kind: 'recording' }) {
    const bytes = parts.recordingPathOf ? await readFile(parts.recordingPathOf(session)).catch(() => null) : null
    if (!bytes) throw new ConductorError('session_not_found', `There is no recording of ${session}.`, { session })
    const recording = readRecording(bytes)
    const draft: Draft = {
      name: recording.header.releaseName,
      version: recording.header.releaseVersion,
      source: { kind: 'recording', session },
      digest: digestOfText(session),
      bundle: null,
      program: null,
      ranWith: '',
    }
    const manifest = recordedManifest(recording)
    const known = await store.findReleaseByVersion(localTenant, 'recording', draft.name, draft.version, draft.digest)
    if (known && saysTheSame(known.manifest, manifest)) return { release: known, installed: false }
    return { release: await save(draft, manifest), installed: true }
  }

  return {
    async install(request, signal) {
      const source = parseSource(request.source, look)
      const until = signal ? AbortSignal.any([signal, closing.signal]) : closing.signal
      return inTurn(keyOf(source), async () => {
        until.throwIfAborted()
        switch (source.kind) {
          case 'npm':
            return fromNpm(source, request, until)
          case 'pypi':
            return fromPypi(source, request, until)
          case 'folder':
            return fromFolder(source, request, until)
          case 'file':
            return fromFile(source, request)
          case 'remote':
            return fromRemote(source, request)
          case 'recording':
            return fromRecording(source)
        }
      })
    },
    cleanStaging: () => cleanStaging(dataFolder),
    async close() {
      closing.abort(new ConductorError('conductor_draining', 'Conductor is shutting down; the installation was ended.'))
      await Promise.all(running.values())
    },
  }
}

/** A remote server before anything is known of it but the revision to try. */
function remoteRunnable(
  url: string,
  revision: ProtocolRevision,
  request: InstallRequest,
  { world, config }: InstallerParts,
): Runnable {
  const now = world.now()
  const { hostname } = new URL(url)
  const manifest: Manifest = {
    protocolVersion: revision,
    serverInfo: {},
    capabilities: {},
    instructions: null,
    tools: [],
    prompts: [],
    resources: [],
    resourceTemplates: [],
    startupMs: 0,
    pingBeforeInitialize: false,
  }
  return {
    tenant: localTenant,
    deployment: makeId('dep', now, world.randomBytes(11)),
    name: hostname,
    release: {
      id: makeId('rel', now, world.randomBytes(11)),
      name: hostname,
      version: '0.0.0',
      source: { kind: 'remote', url },
      digest: digestOfText(url),
      manifest,
      createdAt: now,
    },
    runs: { kind: 'remote', url },
    env: request.env,
    egress: request.egress,
    limits: sandboxLimits(config),
  }
}

const digestOfText = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`

/** Where a folder without a package.json usually begins. */
const folderEntries = ['index.mjs', 'index.js', 'server.mjs', 'server.js', 'index.ts', 'server.ts']

async function entryOf(
  bundle: string,
  packageFolder: string,
  facts: PackageFacts,
  bin: string | undefined,
  usual: readonly string[],
): Promise<string> {
  const path = chooseEntry(facts, bin) ?? usual.find(path => isFile(join(bundle, packageFolder, path)))
  if (path !== undefined) return runnableEntry(bundle, packageFolder, path)
  throw new ConductorError(
    'package_not_runnable',
    `It names no program: no \`bin\`, \`exports\` or \`main\` in package.json, and none of ${usual.join(', ')}.`,
  )
}

/** The release of these very files that starts with this very program. */
async function findBundle(store: Store, draft: Draft): Promise<ReleaseRow | null> {
  const isSame = (row: ReleaseRow) =>
    row.digest === draft.digest &&
    isDeepStrictEqual(row.program, draft.program) &&
    row.ranWith === draft.ranWith &&
    isDeepStrictEqual(row.source, draft.source)
  const newest = await store.findReleaseByVersion(localTenant, draft.source.kind, draft.name, draft.version, draft.digest)
  if (newest === null || isSame(newest)) return newest
  // The same files under another `--bin` or with other arguments, or the same folder content at another path.
  return (await store.listReleases(localTenant)).find(isSame) ?? null
}

function saysTheSame(a: Manifest, b: Manifest): boolean {
  const { startupMs: _, ...before } = a
  const { startupMs: __, ...now } = b
  return isDeepStrictEqual(before, JSON.parse(JSON.stringify(now)))
}

function keyOf(source: ParsedSource): string {
  const told: ParsedSource | Source = source.kind === 'npm' || source.kind === 'pypi' ? { ...source, range: '' } : source
  return JSON.stringify(told)
}

function look(path: string): 'folder' | 'file' | null {
  const facts = statSync(homePath(path), { throwIfNoEntry: false })
  return facts?.isDirectory() ? 'folder' : facts?.isFile() ? 'file' : null
}
const isFile = (path: string) => statSync(path, { throwIfNoEntry: false })?.isFile() === true
