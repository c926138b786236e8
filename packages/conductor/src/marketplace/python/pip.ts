import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ConductorError } from '@maestro/contract'
import { type Python, requirePip } from '../../find-python.ts'
import type { World } from '../../world.ts'
import { runTool } from '../run-tool.ts'
import { withoutCredentials } from '../without-credentials.ts'
import { pipEnvironment } from './pip-environment.ts'
import { type Pinned, readResolution } from './read-resolution.ts'

const resolveMsMax = 300_000
const installMsMax = 600_000
const tailCharsMax = 2000
/** Where compiled files say they are; any sandbox will do, and most have the bundle there. */
const insideBundle = '/bundle'

/** Where an installation works, and what it may do. */
export interface PipPlace {
  /** A folder of its own. */
  folder: string
  /** Whether source archives may be built, which runs their code here. */
  allowBuilds: boolean
  signal: AbortSignal
}

/**
 * The pip of the Python that will run the server, with the person's own configuration. Throws `runtime_missing`, `package_not_found`,
 * `package_not_runnable`, `package_integrity_failed`, `install_failed`; the signal's reason when aborted.
 */
export interface Pip {
  readonly python: Python
  /** Chooses everything that these requirements need, without installing. `shallow` leaves dependencies out. */
  resolve(requirements: readonly string[], place: PipPlace, shallow?: boolean): Promise<Pinned[]>
  /** Installs exactly these, each held to its checksum, and compiles them. */
  install(pinned: readonly Pinned[], target: string, place: PipPlace): Promise<void>
  compile(folder: string, place: PipPlace): Promise<void>
  /** Whether this Python is inside `requires-python`. */
  accepts(specifier: string, place: PipPlace): Promise<boolean>
}

// They override what a person's configuration could otherwise bend. The root's warning and the newer version are nobody's business here.
const fixedArgs = ['--quiet', '--no-input', '--no-color', '--disable-pip-version-check', '--retries=1']

export function pipOf(world: World, python: Python, environment: Readonly<Record<string, string | undefined>>): Pip {
  const env = pipEnvironment(environment)

  async function runPip(args: readonly string[], { folder, allowBuilds, signal }: PipPlace, timeoutMs: number): Promise<string> {
    requirePip(python)
    const script = join(import.meta.dirname, 'run-pip.py')
    const { code, stdout, stderr } = await runTool(world, {
      name: 'pip',
      program: python.program,
      // Isolated from PYTHON… variables and the person's own packages; pip's configuration is read all the same.
      args: ['-I', script, allowBuilds ? 'builds' : 'plain', ...args, ...fixedArgs],
      env,
      folder,
      timeoutMs,
      signal,
    })
    if (code !== 0) throw pipFailure(stderr, python)
    return stdout
  }

  const wheelsOnly = ({ allowBuilds }: PipPlace) => (allowBuilds ? [] : ['--only-binary=:all:'])

  const pip: Pip = {
    python,
    async resolve(requirements, place, shallow = false) {
      const asked = join(place.folder, 'requirements.in')
      const report = join(place.folder, 'resolution.json')
      await writeFile(asked, `${requirements.join('\n')}\n`)
      const what = ['--dry-run', '--ignore-installed', `--report=${report}`, `--target=${join(place.folder, 'nowhere')}`]
      const deps = shallow ? ['--no-deps'] : []
      await runPip(
        ['install', ...what, ...deps, ...wheelsOnly(place), '--root-user-action=ignore', '-r', asked],
        place,
        resolveMsMax,
      )
      return readResolution(await readFile(report, 'utf8').catch(() => ''))
    },
    async install(pinned, target, place) {
      const lines = pinned.map(({ name, version, sha256 }) => `${name}==${version} --hash=sha256:${sha256}\n`)
      const locked = join(place.folder, 'requirements.lock')
      await writeFile(locked, lines.join(''))
      const how = ['--require-hashes', '--no-deps', '--no-compile', `--target=${target}`, '--root-user-action=ignore']
      await runPip(['install', ...how, ...wheelsOnly(place), '-r', locked], place, installMsMax)
    },
    async compile(folder, place) {
      const script = join(import.meta.dirname, 'compile-bundle.py')
      const { code, stderr } = await runTool(world, {
        name: 'The compilation of Python sources',
        program: python.program,
        args: ['-s', '-S', script, folder, insideBundle],
        // The order of sets ends up in bytecode, and is another in every process unless it is told.
        env: { PATH: env['PATH'] ?? '', PYTHONHASHSEED: '0', LANG: 'C.UTF-8' },
        folder: place.folder,
        timeoutMs: installMsMax,
        signal: place.signal,
      })
      // Sources that do not compile are left to the server; only a compiler that does not run is told of.
      if (code !== 0)
        throw new ConductorError('install_failed', `Python sources were not compiled: ${stderr.slice(-tailCharsMax)}`)
    },
    async accepts(specifier, place) {
      const check =
        'import sys; from pip._vendor.packaging.specifiers import SpecifierSet as S; print(S(sys.argv[1]).contains(sys.argv[2]))'
      const { stdout } = await runTool(world, {
        name: 'Python',
        program: python.program,
        args: ['-I', '-c', check, specifier, python.version],
        env,
        folder: place.folder,
        timeoutMs: resolveMsMax,
        signal: place.signal,
      })
      // What cannot be read refuses nothing: pip would not have understood it either.
      return stdout.trim() !== 'False'
    },
  }
  return pip
}

/** pip says what failed in words. */
export function pipFailure(stderr: string, { version, tag }: Pick<Python, 'version' | 'tag'>): ConductorError {
  const lines = stderr.split('\n').filter(line => !/^\s*(File |Traceback|\[notice\])/.test(line))
  const tail = withoutCredentials(lines.join('\n').trim()).slice(-tailCharsMax)
  const cannotReach =
    /Failed to establish a new connection|NewConnectionError|Name or service not known|Temporary failure in name resolution|Max retries exceeded|Connection refused|Read timed out|ProxyError|SSLError|Network is unreachable|RemoteDisconnected/
  if (/DO NOT MATCH THE HASHES|Hashes are required in --require-hashes mode/.test(stderr))
    return new ConductorError(
      'package_integrity_failed',
      `A package that arrived is not the one its checksum names. pip said: ${tail}`,
    )
  if (/outside the target directory|is outside of the/.test(stderr))
    return new ConductorError('package_integrity_failed', `A package puts files outside of its own folder. pip said: ${tail}`)
  if (/maestro: the archives hold more/.test(stderr))
    return new ConductorError('install_failed', 'What its packages unpack to is larger than a bundle may be.')
  if (/maestro: no (program may be started|source archive may be unpacked)/.test(stderr))
    return new ConductorError(
      'package_not_runnable',
      'A package has to be built from source, which runs its code outside of every sandbox; --allow-scripts allows it.',
    )
  if (cannotReach.test(stderr))
    return new ConductorError('install_failed', `The package index cannot be reached. pip said: ${tail}`)
  if (isForAnotherPython(stderr))
    return new ConductorError('package_not_runnable', `It needs another Python than ${version}. pip said: ${tail}`, {
      needs: version,
    })
  if (/No matching distribution found|Could not find a version/.test(stderr))
    return new ConductorError(
      'package_not_found',
      `The index has no such package or version, or none that is built for ${tag}; --allow-scripts lets packages be built here. pip said: ${tail}`,
    )
  return new ConductorError('install_failed', `pip failed. It said: ${tail || 'nothing'}`)
}

/** Whether what was asked for is there, and left out because of the Python it needs. */
function isForAnotherPython(stderr: string): boolean {
  if (/requires a different Python/i.test(stderr)) return true
  const [, ignored] = /require a different python version:(.*)/i.exec(stderr) ?? []
  if (ignored === undefined) return false
  const [, exact] = /satisfies the requirement \S+==([^\s*]+) /.exec(stderr) ?? []
  return exact === undefined || ignored.includes(` ${exact} Requires-Python`)
}
