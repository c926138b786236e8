import { statfs } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname } from 'node:path'
import { type Config, findBinaries } from '@maestro/conductor'
import { bytes } from '../format.ts'
import { type Check, failed, ok, unknown, weak } from './check.ts'

const MiB = 2 ** 20

/** Room where the data folder is or will be. */
export async function checkDisk(dataFolder: string): Promise<Check> {
  for (let folder = dataFolder; ; folder = dirname(folder)) {
    const facts = await statfs(folder).catch(() => null)
    if (facts) {
      const free = facts.bavail * facts.bsize
      const detail = `${bytes(free)} free for ${dataFolder}`
      if (free < 256 * MiB) return failed('disk', detail, 'make room, or choose another folder with --data')
      return free < 1024 * MiB ? weak('disk', detail, 'make room; recordings and bundles need it') : ok('disk', detail)
    }
    if (folder === dirname(folder)) return unknown('disk', `${dataFolder} cannot be looked at`)
  }
}

/** Whether the port is free, or is ours already. */
export async function checkPort({ host, port }: Pick<Config, 'host' | 'port'>, runningAt: string | null): Promise<Check> {
  if (port === 0) return ok('port', 'any free one')
  if (runningAt !== null && new URL(runningAt).port === String(port)) return ok('port', `${port}: Conductor listens there`)
  const server = createServer()
  const code = await new Promise<string | null>(resolve => {
    server.once('error', error => resolve((error as NodeJS.ErrnoException).code ?? 'unknown'))
    server.listen(port, host, () => resolve(null))
  })
  server.close()
  if (code === null) return ok('port', `${port} is free`)
  return failed('port', `${host}:${port} cannot be listened on (${code})`, 'choose another with --port')
}

/** Which database Conductor would use. */
export function checkDatabase(config: Pick<Config, 'databaseUrl' | 'database' | 'path'>): Check {
  const name = 'database'
  // The URL itself may hold a password.
  if (config.databaseUrl !== '')
    return ok(name, `PostgreSQL by DATABASE_URL, at ${URL.parse(config.databaseUrl)?.host ?? 'an address that cannot be read'}`)
  const found = findBinaries(config.path).filter(({ origin }) => config.database === 'auto' || origin === config.database)
  const mend = 'sudo apt-get install postgresql, or `npm ci` for the embedded one, or set DATABASE_URL'
  if (found.length === 0) return failed(name, 'no PostgreSQL 15 or newer', mend)
  return ok(name, found.map(({ origin, version }) => `${origin} PostgreSQL ${version}`).join(', '))
}
