import type { SecretRow, Store, TenantKeyStore } from '../store.ts'
import { type Sql, statement } from './sql.ts'

const put = statement(
  'secret.put',
  `insert into maestro.secrets (tenant, name, sealed, updated_at) values ($1, $2, $3, $4)
   on conflict (tenant, name) do update set sealed = excluded.sealed, updated_at = excluded.updated_at`,
)
const list = statement(
  'secret.list',
  'select name, sealed, updated_at as "updatedAt" from maestro.secrets where tenant = $1 order by name',
)
const remove = statement('secret.remove', 'delete from maestro.secrets where tenant = $1 and name = $2')
const findKey = statement('tenant_key.find', 'select wrapped from maestro.tenant_keys where tenant = $1')
const insertKey = statement(
  'tenant_key.insert',
  'insert into maestro.tenant_keys (tenant, wrapped, created_at) values ($1, $2, $3) on conflict (tenant) do nothing',
)

export function secretRows(sql: Sql): Pick<Store, 'putSecret' | 'listSecrets' | 'removeSecret'> & TenantKeyStore {
  return {
    putSecret: async (tenant, row) => {
      await sql.rows(put, [tenant, row.name, Buffer.from(row.sealed), row.updatedAt])
    },
    listSecrets: tenant => sql.rows<SecretRow & Record<string, unknown>>(list, [tenant]),
    removeSecret: async (tenant, name) => (await sql.changed(remove, [tenant, name])) > 0,
    findTenantKey: async tenant => (await sql.rows<{ wrapped: Buffer }>(findKey, [tenant]))[0]?.wrapped ?? null,
    insertTenantKey: async (tenant, wrapped, createdAt) => {
      await sql.rows(insertKey, [tenant, Buffer.from(wrapped), createdAt])
    },
  }
}
