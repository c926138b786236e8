import type { DeploymentId, EnvValue, Limits, TenantId } from '@maestro/contract'
import type { DeploymentRow, Store } from '../store.ts'
import { type StoredRelease, toRelease } from './release-rows.ts'
import { type Sql, statement } from './sql.ts'

interface StoredDeployment extends StoredRelease {
  deployment_id: string
  deployment_name: string
  env: Record<string, EnvValue>
  args: string[]
  egress: string[]
  limits: Limits
  egress_record: boolean
  deployed_at: number
  updated_at: number
}

const select = `select r.tenant, r.id, r.name, r.version, r.digest, r.source, r.manifest, r.bundle, r.entry, r.runtime, r.ran_with, r.created_at,
    d.id as deployment_id, d.name as deployment_name, d.env, d.args, d.egress, d.egress_record, d.limits, d.created_at as deployed_at, d.updated_at
  from maestro.deployments d join maestro.releases r on r.tenant = d.tenant and r.id = d.release`

const put = statement(
  'deployment.put',
  `insert into maestro.deployments (tenant, id, name, release, env, args, egress, egress_record, limits, created_at, updated_at)
   values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
   on conflict (tenant, name) do update set id = excluded.id, release = excluded.release, env = excluded.env,
     args = excluded.args, egress = excluded.egress, egress_record = excluded.egress_record, limits = excluded.limits,
     created_at = excluded.created_at, updated_at = excluded.updated_at`,
)
const find = statement('deployment.find', `${select} where d.tenant = $1 and (d.id = $2 or d.name = $2)`)
const list = statement('deployment.list', `${select} where d.tenant = $1 order by d.name`)
const remove = statement('deployment.remove', 'delete from maestro.deployments where tenant = $1 and id = $2')

export function deploymentRows(
  sql: Sql,
): Pick<Store, 'putDeployment' | 'findDeployment' | 'listDeployments' | 'removeDeployment'> {
  return {
    putDeployment: async row => {
      const documents = [JSON.stringify(row.env), JSON.stringify(row.args), JSON.stringify(row.egress)]
      await sql.rows(put, [
        row.tenant,
        row.id,
        row.name,
        row.release.id,
        ...documents,
        row.egressRecord,
        JSON.stringify(row.limits),
        row.createdAt,
        row.updatedAt,
      ])
    },
    findDeployment: async (tenant, idOrName) => {
      const [row] = await sql.rows<StoredDeployment>(find, [tenant, idOrName])
      return row ? toDeployment(row) : null
    },
    listDeployments: async tenant => (await sql.rows<StoredDeployment>(list, [tenant])).map(toDeployment),
    removeDeployment: async (tenant, id) => (await sql.changed(remove, [tenant, id])) > 0,
  }
}

function toDeployment(row: StoredDeployment): DeploymentRow {
  const { deployment_id, deployment_name, env, args, egress, egress_record, limits, deployed_at, updated_at, ...release } = row
  return {
    id: deployment_id as DeploymentId,
    tenant: row.tenant as TenantId,
    name: deployment_name,
    release: toRelease(release),
    env,
    args,
    egress,
    limits,
    egressRecord: egress_record,
    createdAt: deployed_at,
    updatedAt: updated_at,
  }
}
