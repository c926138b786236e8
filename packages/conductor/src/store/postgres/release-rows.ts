import type { Manifest, ReleaseId, Source, TenantId } from '@maestro/contract'
import type { Program } from '../../sandbox/sandbox.ts'
import type { ReleaseRow, Store } from '../store.ts'
import { type Sql, statement } from './sql.ts'

/** As the database returns it. */
export interface StoredRelease {
  tenant: string
  id: string
  name: string
  version: string
  digest: string
  source: Source
  manifest: Manifest
  bundle: string | null
  entry: string | null
  runtime: Program['runtime'] | null
  ran_with: string
  created_at: number
}

const columns = 'tenant, id, name, version, digest, source, manifest, bundle, entry, runtime, ran_with, created_at'

// A release never changes, so one that is there already is the same one.
const insert = statement(
  'release.insert',
  `insert into maestro.releases (tenant, id, kind, name, version, digest, source, manifest, bundle, entry, runtime, ran_with, created_at)
   values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) on conflict (tenant, id) do nothing`,
)
const find = statement('release.find', `select ${columns} from maestro.releases where tenant = $1 and id = $2`)
const findByVersion = statement(
  'release.find_by_version',
  `select ${columns} from maestro.releases
   where tenant = $1 and kind = $2 and name = $3 and version = $4 and ($5::text is null or digest = $5)
   order by created_at desc, id desc limit 1`,
)
const list = statement(
  'release.list',
  `select ${columns} from maestro.releases where tenant = $1 order by created_at desc, id desc`,
)

export function releaseRows(sql: Sql): Pick<Store, 'insertRelease' | 'findRelease' | 'findReleaseByVersion' | 'listReleases'> {
  return {
    insertRelease: async row => {
      const { tenant, id, source, name, version, digest, manifest, bundle, program, ranWith, createdAt } = row
      const documents = [JSON.stringify(source), JSON.stringify(manifest)]
      await sql.rows(insert, [
        tenant,
        id,
        source.kind,
        name,
        version,
        digest,
        ...documents,
        bundle,
        program?.entry ?? null,
        program?.runtime ?? null,
        ranWith,
        createdAt,
      ])
    },
    findRelease: async (tenant, id) => first(await sql.rows<StoredRelease>(find, [tenant, id])),
    findReleaseByVersion: async (tenant, kind, name, version, digest) =>
      first(await sql.rows<StoredRelease>(findByVersion, [tenant, kind, name, version, digest ?? null])),
    listReleases: async tenant => (await sql.rows<StoredRelease>(list, [tenant])).map(toRelease),
  }
}

export function toRelease(row: StoredRelease): ReleaseRow {
  const { tenant, id, entry, runtime, ran_with, created_at, ...rest } = row
  const program = entry !== null && runtime !== null ? { runtime, entry } : null
  return { ...rest, program, tenant: tenant as TenantId, id: id as ReleaseId, ranWith: ran_with, createdAt: created_at }
}

function first(rows: StoredRelease[]): ReleaseRow | null {
  return rows[0] ? toRelease(rows[0]) : null
}
