import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { ConductorError } from '@maestro/contract'
import type { World } from '../world.ts'
import { npmEnvironment } from './npm-environment.ts'
import { runTool } from './run-tool.ts'
import { withoutCredentials } from './without-credentials.ts'

const tailCharsMax = 2000

/** Runs the pinned npm in a folder. The person's own npm configuration (registry, proxy, cache) applies. */
export interface Npm {
  /** Resolves with standard output. Throws `package_not_found`, `package_integrity_failed`, `install_failed`; the signal's reason when aborted. */
  run(args: readonly string[], folder: string, timeoutMs: number, signal: AbortSignal): Promise<string>
  /** Whether the Node that will run the server is inside a package's `engines.node`. */
  accepts(engineRange: string): boolean
}

// They override what a person's configuration could otherwise bend: where files land and what is recorded about them.
const fixedArgs = [
  '--json',
  '--loglevel=error',
  '--no-audit',
  '--no-fund',
  '--no-update-notifier',
  '--no-progress',
  // A registry that cannot be reached is told in seconds, not after the minutes npm would wait between its tries.
  '--fetch-retry-mintimeout=1000',
  '--fetch-retry-maxtimeout=5000',
  '--fetch-timeout=60000',
  '--global=false',
  '--dry-run=false',
  '--package-lock=true',
  '--lockfile-version=3',
  '--install-strategy=hoisted',
  '--omit-lockfile-registry-resolved=true',
  '--omit=dev',
  '--include=optional',
  '--include=peer',
  // A git dependency makes npm run git here, outside every sandbox, and has no checksum to be held to.
  '--allow-git=none',
]

export function pinnedNpm(world: World, environment: Readonly<Record<string, string | undefined>>): Npm {
  const home = npmFolder()
  const semver = createRequire(join(home, 'package.json'))('semver') as {
    satisfies(version: string, range: string, options: { includePrerelease: boolean }): boolean
  }
  return {
    run: (args, folder, timeoutMs, signal) =>
      runNpm(world, join(home, 'bin', 'npm-cli.js'), npmEnvironment(environment), args, folder, timeoutMs, signal),
    accepts: range => semver.satisfies(process.version, range, { includePrerelease: true }),
  }
}

function npmFolder(): string {
  // Not `require.resolve('npm/package.json')`: that would also find a stray npm in NODE_PATH.
  for (let folder = import.meta.dirname; ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', 'npm')
    if (existsSync(join(candidate, 'bin', 'npm-cli.js'))) return candidate
    if (folder === dirname(folder)) throw new ConductorError('install_failed', 'The pinned npm is missing; run `npm ci` again.')
  }
}

async function runNpm(
  world: World,
  cli: string,
  env: Record<string, string>,
  args: readonly string[],
  folder: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<string> {
  const run = { name: 'npm', program: process.execPath, args: [cli, ...args, ...fixedArgs], env, folder, timeoutMs, signal }
  const { code, stdout, stderr } = await runTool(world, run)
  if (code !== 0) throw npmFailure(stdout, stderr)
  return stdout
}

/** npm with `--json` says what failed as `{error: {code, summary, detail}}` on standard output. */
export function npmFailure(stdout: string, stderr: string): ConductorError {
  const said = parseError(stdout)
  const tail = withoutCredentials(said.summary || stderr.trim()).slice(-tailCharsMax)
  const facts: Record<string, string> = said.code ? { npm: said.code } : {}
  switch (said.code) {
    case 'E404':
    case 'ETARGET':
    case 'ENOVERSIONS':
      return new ConductorError('package_not_found', `The registry has no such package or version. npm said: ${tail}`, facts)
    case 'EINTEGRITY':
      return new ConductorError(
        'package_integrity_failed',
        `A package that arrived is not the one its checksum names. npm said: ${tail}`,
        facts,
      )
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'ECONNREFUSED':
    case 'ECONNRESET':
    case 'ETIMEDOUT':
    case 'ERR_SOCKET_TIMEOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return new ConductorError('install_failed', `The package registry cannot be reached. npm said: ${tail}`, facts)
    default:
      return new ConductorError('install_failed', `npm failed. It said: ${tail || 'nothing'}`, facts)
  }
}

function parseError(stdout: string): { code: string; summary: string } {
  try {
    const { error } = JSON.parse(stdout) as { error?: { code?: unknown; summary?: unknown; detail?: unknown } }
    return { code: String(error?.code ?? ''), summary: String(error?.summary ?? error?.detail ?? '') }
  } catch {
    return { code: '', summary: '' }
  }
}
