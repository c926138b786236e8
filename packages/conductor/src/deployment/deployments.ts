import { isDeepStrictEqual } from 'node:util'
import {
  ConductorError,
  type Deployment,
  type DeploymentId,
  type DeployRequest,
  type EnvValue,
  type Limits,
  localTenant,
  makeId,
  type Source,
  type Start,
} from '@maestro/contract'
import type { Config } from '../config.ts'
import type { Directory, Pool, PreparedStart, Runnable } from '../session/stages.ts'
import type { DeploymentRow, ReleaseRow, Store } from '../store/store.ts'
import type { Changes } from '../telemetry/changes.ts'
import type { World } from '../world.ts'
import { nameDeployment } from './name-deployment.ts'
import { runnableOf } from './runnable.ts'

export interface Deployments extends Directory {
  /** Reads what the store holds into memory and warms the pool for it. */
  load(): Promise<void>
  deploy(request: DeployRequest): Promise<{ deployment: Deployment; installed: boolean; changed: boolean }>
  list(): Promise<Deployment[]>
  /** Throws `deployment_not_found`. */
  get(idOrName: string): Promise<Deployment>
  /** Throws `deployment_not_found`. Sessions are closed by the caller. */
  remove(idOrName: string): Promise<DeploymentId>
}

interface Parts {
  config: Config
  world: World
  store: Store
  pool: Pool
  changes: Changes
  mcpUrlOf(name: string): string
  install(request: {
    source: string
    bin?: string
    allowScripts?: boolean
    args: string[]
    env: Record<string, string>
    egress: string[]
    limits: Limits
  }): Promise<{ release: ReleaseRow; installed: boolean }>
  resolveEnv(env: Record<string, EnvValue>): Promise<Record<string, string>>
  /** Absent where every start is plain. */
  starts?: {
    of(runnable: Runnable): PreparedStart | null
    view(runnable: Runnable): Start | null
    want(runnables: readonly Runnable[]): void
  }
}

/**
 * Deployments and the snapshot of them that the data path reads. The store is the truth; the snapshot is replaced
 * whole after each change, so a frame in flight never waits for the database.
 */
export function createDeployments(parts: Parts): Deployments {
  const { store, world, pool } = parts
  let snapshot = new Map<string, Runnable>()
  // One change at a time: two deploys of one name must not read the same "before".
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = last.then(work, work)
    last = result.catch(() => {})
    return result
  }

  async function load() {
    const next = new Map<string, Runnable>()
    for (const row of await store.listDeployments(localTenant)) {
      try {
        const runnable = runnableOf(row, await parts.resolveEnv(row.env), parts.config, parts.starts?.of)
        next.set(row.id, runnable)
        next.set(row.name, runnable)
      } catch (error) {
        world.log.error('deployment.unusable', error, { deployment: row.id, name: row.name })
      }
    }
    snapshot = next
    const runnables = [...new Set(next.values())]
    pool.serve(runnables)
    parts.starts?.want(runnables)
  }

  async function deploy(request: DeployRequest) {
    const env = request.env ?? {}
    const args = request.args ?? []
    const egress = request.egress ?? []
    const limits = request.limits ?? {}
    refuseMoreThanAllowed(limits, parts.config)
    const egressRecord = request.egressRecord ?? false
    const { release, installed } = await parts.install({
      source: request.source,
      args,
      egress,
      limits,
      env: await parts.resolveEnv(env),
      ...(request.bin === undefined ? {} : { bin: request.bin }),
      ...(request.allowScripts === undefined ? {} : { allowScripts: request.allowScripts }),
    })
    return inTurn(async () => {
      const name = request.name ?? nameDeployment(release.source)
      const before = await store.findDeployment(localTenant, name)
      if (before && request.name === undefined && !isSameServer(before.release.source, release.source)) {
        throw new ConductorError(
          'conflict',
          `A deployment named ${name} already runs ${before.release.name}. Name this one with --name.`,
          { name },
        )
      }
      const now = world.now()
      const row: DeploymentRow = {
        id: before?.id ?? makeId('dep', now, world.randomBytes(11)),
        tenant: localTenant,
        name,
        release,
        env,
        args,
        egress,
        limits,
        egressRecord,
        createdAt: before?.createdAt ?? now,
        updatedAt: now,
      }
      if (
        before &&
        before.release.id === release.id &&
        isDeepStrictEqual(
          [before.env, before.args, before.egress, before.limits, before.egressRecord],
          [env, args, egress, limits, egressRecord],
        )
      ) {
        return { deployment: view(before), installed, changed: false }
      }
      await store.putDeployment(row)
      await load()
      world.log.info('deployment.changed', { deployment: row.id, name, release: release.name, version: release.version })
      parts.changes.tell({ kind: 'deployment', id: row.id })
      return { deployment: view(row), installed, changed: true }
    })
  }

  async function find(idOrName: string): Promise<DeploymentRow> {
    const row = await store.findDeployment(localTenant, idOrName)
    if (!row) throw new ConductorError('deployment_not_found', `There is no deployment ${JSON.stringify(idOrName)}.`)
    return row
  }

  const startOf = (deployment: string) => {
    const runnable = snapshot.get(deployment)
    return (runnable && parts.starts?.view(runnable)) ?? null
  }

  const view = ({
    tenant,
    release: { tenant: owner, bundle, program, ranWith, ...release },
    ...row
  }: DeploymentRow): Deployment => ({
    ...row,
    release,
    start: startOf(row.id),
    mcpUrl: parts.mcpUrlOf(row.name),
  })

  return {
    load: () => inTurn(load),
    deploy,
    list: async () => (await store.listDeployments(localTenant)).map(view),
    get: async idOrName => view(await find(idOrName)),
    remove: idOrName =>
      inTurn(async () => {
        const row = await find(idOrName)
        await store.removeDeployment(localTenant, row.id)
        await load()
        world.log.info('deployment.removed', { deployment: row.id, name: row.name })
        parts.changes.tell({ kind: 'deployment', id: row.id })
        return row.id
      }),
    find: idOrName => snapshot.get(idOrName) ?? null,
  }
}

/** Who deploys chooses within what the operator allows. */
function refuseMoreThanAllowed(limits: Limits, config: Config): void {
  const ceilings = [
    ['memoryMiB', Math.max(config.memoryMiBCeiling, config.memoryMiBMax)],
    ['pids', Math.max(config.pidsCeiling, config.pidsMax)],
    ['diskMiB', Math.max(config.diskMiBCeiling, config.diskMiBMax)],
  ] as const
  for (const [name, most] of ceilings) {
    const asked = limits[name]
    if (asked === undefined || asked <= most) continue
    const settings = { memoryMiB: 'MEMORY_MIB', pids: 'PIDS', diskMiB: 'DISK_MIB' } as const
    throw new ConductorError(
      'request_malformed',
      `limits.${name} is ${asked}; this Conductor allows ${most} at most (MAESTRO_SANDBOX_${settings[name]}_MAX).`,
    )
  }
}

/** Whether both are the same server, in whatever version: then a deploy under the same name is an upgrade. */
function isSameServer(a: Source, b: Source): boolean {
  if (a.kind === 'npm' && b.kind === 'npm') return a.package === b.package
  if (a.kind === 'pypi' && b.kind === 'pypi') return a.package === b.package
  if (a.kind === 'file' && b.kind === 'file') return a.path === b.path
  if (a.kind === 'folder' && b.kind === 'folder') return a.path === b.path
  return isDeepStrictEqual(a, b)
}
