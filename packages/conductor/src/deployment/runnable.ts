import { join } from 'node:path'
import { invariant } from '@maestro/contract'
import { type Config, sandboxLimits } from '../config.ts'
import type { PreparedStart, Runnable } from '../session/stages.ts'
import type { DeploymentRow } from '../store/store.ts'

/** What running this deployment takes. `env` comes with its secrets already put in. */
export function runnableOf(
  row: DeploymentRow,
  env: Record<string, string>,
  config: Config,
  preparedOf: (runnable: Runnable) => PreparedStart | null = () => null,
): Runnable {
  const runnable = plainRunnable(row, env, config)
  if (runnable.runs.kind !== 'bundle') return runnable
  return { ...runnable, runs: { ...runnable.runs, prepared: preparedOf(runnable) } }
}

function plainRunnable(row: DeploymentRow, env: Record<string, string>, config: Config): Runnable {
  return {
    tenant: row.tenant,
    deployment: row.id,
    name: row.name,
    release: row.release,
    runs: runsOf(row, config),
    env,
    secretEnv: Object.keys(row.env).filter(name => 'secret' in row.env[name]!),
    egress: row.egress,
    limits: sandboxLimits(config, row.limits),
    egressRecord: row.egressRecord,
  }
}

function runsOf({ release, args }: DeploymentRow, config: Config): Runnable['runs'] {
  const { source } = release
  if (source.kind === 'remote') return { kind: 'remote', url: source.url }
  if (source.kind === 'recording') return { kind: 'recording', session: source.session as never }
  invariant(release.bundle !== null && release.program !== null, `release ${release.id} of kind ${source.kind} has no bundle`)
  return { kind: 'bundle', bundle: join(config.data, 'bundles', release.bundle), program: release.program, args }
}
