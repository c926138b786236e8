import type { SandboxSpec } from '../sandbox/sandbox.ts'
import type { PreparedStart } from '../session/stages.ts'
import type { BundleRunnable } from './standby.ts'

export type ChosenStart = Pick<SandboxSpec, 'prepared' | 'held' | 'env' | 'masked'> & {
  /** What it gets when it is leased; null where it gets all at once. */
  late: Readonly<Record<string, string>> | null
}

/**
 * How a sandbox of this deployment is started: as fast as was found to be right for its environment, and without its secrets where
 * nobody has leased it yet. What reads the environment while it loads is not loaded before the environment is there.
 */
export function chooseStart(runnable: BundleRunnable, leased: boolean): ChosenStart {
  const { env, runs, secretEnv = [] } = runnable
  const { program, prepared } = runs
  const fits = (kind: 'one-file' | 'snapshot') =>
    kind !== 'snapshot' || !touches(prepared?.reads.snapshot ?? [], Object.keys(env))
  const kind = prepared?.kinds.find(fits)
  const chosen = prepared && kind ? { prepared: { folder: prepared.folder, kind } } : {}
  const names = leased ? [] : secretEnv.filter(name => name in env)
  if (names.length === 0) return { ...chosen, env, late: null }
  const late = Object.fromEntries(names.map(name => [name, env[name]!]))
  const early = Object.fromEntries(Object.entries(env).filter(([name]) => !(name in late)))
  const held = kind && program.runtime === 'node' && loadsFirst(prepared!, kind, names) ? 'loaded' : 'bare'
  return { ...chosen, held, env: early, masked: late, late }
}

function loadsFirst({ holds, reads }: PreparedStart, kind: 'one-file' | 'snapshot', late: readonly string[]): boolean {
  // A snapshot without what the environment could change waits like any other, but the rest of it loads afterwards.
  return kind === 'snapshot' || (holds && !touches(reads.ahead, late))
}

const touches = (reads: readonly string[], names: readonly string[]): boolean =>
  names.length > 0 && (reads.includes('*') || reads.some(name => names.includes(name)))
