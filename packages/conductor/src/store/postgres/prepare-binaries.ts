/** Makes PostgreSQL's programs runnable by the user who shall run them. */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { ConductorError } from '@maestro/contract'
import { asUser, type ServerUser } from './choose-server-user.ts'
import type { Binaries } from './find-binaries.ts'

/**
 * Returns the folder of programs that `user` can run. System binaries are used where they lie. The embedded ones need
 * links between their libraries, which packages cannot carry and install scripts (which we run without) would make; they are
 * made in place or, where that place cannot be written or not be reached by the user, in a copy below `copies`.
 * Throws `store_unavailable`.
 */
export function prepareBinaries(binaries: Binaries, user: ServerUser | null, copies: string): string {
  if (binaries.origin === 'embedded') linkLibraries(dirname(binaries.folder))
  if (canRun(binaries.folder, user)) return binaries.folder
  if (binaries.origin === 'embedded') {
    const copy = join(copies, `postgresql-${binaries.version}`)
    if (!existsSync(copy)) copyBinaries(dirname(binaries.folder), copy)
    if (canRun(join(copy, 'bin'), user)) return join(copy, 'bin')
  }
  throw new ConductorError(
    'store_unavailable',
    `PostgreSQL ${binaries.version} in ${binaries.folder} does not run${user ? ` as user ${user.name}` : ''}: ${whyNot(binaries.folder, user)}`,
  )
}

function canRun(folder: string, user: ServerUser | null): boolean {
  return ['postgres', 'initdb'].every(program => version(join(folder, program), user).status === 0)
}

function whyNot(folder: string, user: ServerUser | null): string {
  const { error, stderr } = version(join(folder, 'postgres'), user)
  return (error?.message ?? stderr ?? '').trim() || 'no reason given'
}

function version(program: string, user: ServerUser | null) {
  return spawnSync(program, ['--version'], { ...asUser(user), env: {}, encoding: 'utf8' })
}

function copyBinaries(native: string, copy: string): void {
  mkdirSync(dirname(copy), { recursive: true, mode: 0o711 })
  const partial = `${copy}.${process.pid}.partial`
  rmSync(partial, { recursive: true, force: true })
  cpSync(native, partial, { recursive: true, verbatimSymlinks: true, filter: source => !source.endsWith('.a') })
  linkLibraries(partial)
  try {
    renameSync(partial, copy)
  } catch (error) {
    // Another Conductor of this machine was quicker with the same copy.
    rmSync(partial, { recursive: true, force: true })
    if (!existsSync(copy)) throw error
  }
}

/** Makes the links the package lists in `pg-symlinks.json`, as far as this folder can be written. */
function linkLibraries(native: string): void {
  const listed = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8')) as { source: string; target: string }[]
  for (const { source, target } of listed) {
    try {
      symlinkSync(basename(source), join(native, 'lib', basename(target)))
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EEXIST') continue
      if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') return
      throw error
    }
  }
}
