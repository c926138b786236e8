import { commandOf, type Places } from '../command.ts'
import type { SandboxLimits, SandboxSpec } from '../sandbox.ts'

/** What the bridge takes up inside beside the server. */
const bridgeProcesses = 6
const bridgeMemoryBytes = 24 * 1024 * 1024

/** The limits of the server, and of the bridge on top where there is one: so the server has all of what it was given. */
export function limitsWithBridge({ limits, egress }: Pick<SandboxSpec, 'limits' | 'egress'>): SandboxLimits {
  if (egress.length === 0) return limits
  return {
    ...limits,
    pidsMax: limits.pidsMax + bridgeProcesses,
    memoryBytesMax: limits.memoryBytesMax + bridgeMemoryBytes,
  }
}

/** The bridge closes its descriptor 3 when it listens, and only then the shell reads on and becomes the server. */
const script = '_=$(env -i "$1" --v8-pool-size=0 "$2" </dev/null 3>&1 >/dev/null 2>&1 &); shift 2; exec "$@"'

/**
 * The command line of a server that may reach the network: the bridge first, then the server. Node opens the bridge's port itself, on
 * its way to the server, and so loses no time; whatever else runs waits for the bridge. `bridge` is its path inside.
 */
export function bridgedCommand(
  spec: Pick<SandboxSpec, 'program' | 'args' | 'prepared' | 'held'>,
  places: Places,
  bridge: string,
  nodeOptions: readonly string[] = [],
): string[] {
  if (spec.program.runtime === 'node') return commandOf(spec, places, [...nodeOptions, '--require', bridge])
  return ['/bin/sh', '-c', script, 'maestro-bridge', places.node, bridge, ...commandOf(spec, places)]
}
