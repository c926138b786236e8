import { ConductorError } from '@maestro/contract'
import type { Pool } from 'pg'
import type { Config } from '../config.ts'
import type { World } from '../world.ts'
import { migrate } from './migrate.ts'
import { majorMin } from './postgres/find-binaries.ts'
import { postgresStore } from './postgres/postgres-store.ts'
import { openSql, type Sql, statement } from './postgres/sql.ts'
import { type Database, startDatabase } from './postgres/supervisor.ts'
import type { Store, TenantKeyStore } from './store.ts'

export type OpenStore = Store & TenantKeyStore & { readonly pool: Pool; readonly database: Database }

/**
 * Starts or reaches the database, migrates it, and returns the store. Closing the store stops a database of our own.
 * The caller holds the lock of the data folder. Throws `store_unavailable`, `store_incompatible`, `data_locked`.
 */
export async function openStore(deps: {
  config: Pick<Config, 'databaseUrl' | 'database' | 'path'>
  world: World
  dataFolder: string
}): Promise<OpenStore> {
  const database = await startDatabase(deps)
  const sql = openSql(database, deps.world)
  const close = async () => {
    await sql.close()
    await database.stop()
  }
  try {
    const version = await readVersion(sql)
    const applied = await migrate(sql)
    if (applied.length > 0) deps.world.log.info('database.migrated', { applied: applied.join(' ') })
    const byUrl = deps.config.databaseUrl !== ''
    const description = byUrl ? `PostgreSQL ${version} by URL` : `${database.description} ${version}`
    return { ...postgresStore(sql, description), pool: sql.pool, database, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function readVersion(sql: Sql): Promise<string> {
  const [row] = await sql.rows<{ server_version: string }>(statement('version', 'show server_version'))
  const version = row?.server_version.split(' ')[0] ?? '0'
  if (Number.parseInt(version, 10) < majorMin) {
    throw new ConductorError('store_incompatible', `PostgreSQL ${version} is too old: Conductor needs ${majorMin} or newer.`)
  }
  return version
}
