import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { ConductorError } from '@maestro/contract'
import type { PoolClient } from 'pg'
import type { Sql } from './postgres/sql.ts'

export interface Migration {
  number: number
  name: string
  sql: string
  /** SHA-256 of the file, hex. */
  checksum: string
}

const filePattern = /^(\d{4})-[a-z0-9-]+\.sql$/

/** Any number will do; it only has to be the same in every Conductor. */
const lockKey = 8_460_846_084

/** The migrations that came with this Conductor, in order. */
export function readMigrations(folder = new URL('./migrations/', import.meta.url)): Migration[] {
  return readdirSync(folder)
    .filter(file => filePattern.test(file))
    .sort()
    .map(file => {
      const sql = readFileSync(new URL(file, folder), 'utf8')
      return {
        number: Number(file.slice(0, 4)),
        name: file.slice(0, -4),
        sql,
        checksum: createHash('sha256').update(sql).digest('hex'),
      }
    })
}

/**
 * Brings the database up to this Conductor: what is missing is applied in order, all in one transaction and under a lock,
 * so two that start together apply it once and a crash applies nothing. Returns the names of what was applied.
 * Throws `store_incompatible` where an applied migration is not the one we have, or is newer than all we have.
 */
export async function migrate(sql: Sql, migrations: readonly Migration[] = readMigrations()): Promise<string[]> {
  return sql.transaction(async client => {
    await client.query('select pg_advisory_xact_lock($1)', [lockKey])
    await client.query('create schema if not exists maestro')
    await client.query(
      `create table if not exists maestro.migrations
         (number integer primary key, name text not null, checksum text not null, applied_at timestamptz not null default now())`,
    )
    const known = new Map(migrations.map(migration => [migration.number, migration]))
    const applied = await readApplied(client)
    for (const { number, name, checksum } of applied) refuseStranger(known.get(number), name, checksum)

    const done = new Set(applied.map(row => row.number))
    const missing = migrations.filter(migration => !done.has(migration.number))
    for (const { number, name, sql, checksum } of missing) {
      await client.query(sql)
      await client.query('insert into maestro.migrations (number, name, checksum) values ($1, $2, $3)', [number, name, checksum])
    }
    return missing.map(migration => migration.name)
  })
}

async function readApplied(client: PoolClient): Promise<{ number: number; name: string; checksum: string }[]> {
  return (await client.query('select number, name, checksum from maestro.migrations order by number')).rows
}

function refuseStranger(ours: Migration | undefined, name: string, checksum: string): void {
  if (!ours) {
    throw new ConductorError(
      'store_incompatible',
      `The database was used by a newer Conductor: it has migration ${name}, which this one does not know. Run the newer Conductor.`,
      { migration: name },
    )
  }
  if (ours.checksum !== checksum) {
    throw new ConductorError(
      'store_incompatible',
      `Migration ${name} was changed after it was applied to this database. Bring the file back as it was.`,
      { migration: name },
    )
  }
}
