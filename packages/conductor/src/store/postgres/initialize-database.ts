import { spawn } from 'node:child_process'
import { renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ConductorError } from '@maestro/contract'
import { asUser } from './choose-server-user.ts'
import type { Place } from './place-database.ts'

/** The database's only role: whoever can enter the socket's folder is it. */
export const databaseUser = 'maestro'

/**
 * Makes an empty database at the place, whole or not at all: a crash on the way leaves a folder the next start removes.
 * Throws `store_unavailable` with what initdb said.
 */
export async function initializeDatabase(programs: string, major: number, place: Place): Promise<void> {
  const partial = join(place.folder, 'data.partial')
  let said = ''
  for (const locale of localesOf(major)) {
    rmSync(partial, { recursive: true, force: true })
    const args = [
      `--pgdata=${partial}`,
      `--username=${databaseUser}`,
      '--encoding=UTF8',
      ...locale,
      '--auth-local=trust',
      '--auth-host=reject',
      '--data-checksums',
      '--no-instructions',
    ]
    const { code, output } = await run(join(programs, 'initdb'), args, place)
    if (code === 0) {
      renameSync(partial, place.data)
      return
    }
    said = output
  }
  rmSync(partial, { recursive: true, force: true })
  throw new ConductorError('store_unavailable', `Could not make a database in ${place.folder}: ${lastLines(said)}`)
}

/**
 * Sorting and letter case must not depend on the C library: its next version may sort otherwise and break every index.
 * PostgreSQL has rules of its own since 17; before, the C library's C.UTF-8 (or plain C) comes closest.
 */
function localesOf(major: number): string[][] {
  return major >= 17
    ? [['--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C']]
    : [['--locale=C.UTF-8'], ['--locale=C']]
}

function run(program: string, args: string[], place: Place): Promise<{ code: number | null; output: string }> {
  return new Promise(resolve => {
    const child = spawn(program, args, {
      ...asUser(place.user),
      env: { LC_ALL: 'C', TZ: 'UTC' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    const keep = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-8192)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    child.once('error', error => resolve({ code: null, output: error.message }))
    child.once('close', code => resolve({ code, output }))
  })
}

function lastLines(text: string): string {
  return text.trim().split('\n').slice(-3).join(' ')
}
