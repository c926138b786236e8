import type { EnvValue } from '@maestro/contract'
import { UsageError } from './usage-error.ts'

/** `KEY=value` and `KEY=secret:name`. Throws `UsageError`. */
export function parseEnv(given: readonly string[]): Record<string, EnvValue> {
  const env: Record<string, EnvValue> = {}
  for (const pair of given) {
    const at = pair.indexOf('=')
    const name = at < 0 ? pair : pair.slice(0, at)
    // The text is not shown: what somebody meant to hide may be in it.
    if (at < 0)
      throw new UsageError(
        '--env needs KEY=value or KEY=secret:<name>.',
        'Keep keys and passwords with `maestro secret set <name>`.',
      )
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
      throw new UsageError(`--env: ${JSON.stringify(name)} cannot be the name of a variable.`)
    const value = pair.slice(at + 1)
    env[name] = value.startsWith('secret:') ? { secret: value.slice('secret:'.length) } : { value }
  }
  return env
}
