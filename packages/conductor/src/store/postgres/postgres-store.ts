import type { Store, TenantKeyStore } from '../store.ts'
import { deploymentRows } from './deployment-rows.ts'
import { releaseRows } from './release-rows.ts'
import { replayRows } from './replay-rows.ts'
import { secretRows } from './secret-rows.ts'
import { sessionRows } from './session-rows.ts'
import type { Sql } from './sql.ts'

/** The `Store` over a migrated database. Every method throws `store_unavailable` while the database is away. */
export function postgresStore(sql: Sql, description: string): Store & TenantKeyStore {
  return {
    description,
    ...releaseRows(sql),
    ...deploymentRows(sql),
    ...sessionRows(sql),
    ...replayRows(sql),
    ...secretRows(sql),
    close: () => sql.close(),
  }
}
