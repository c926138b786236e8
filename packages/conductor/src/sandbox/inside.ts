/** What a sandbox looks like from inside, whichever driver made it. */

import { commandOf, runtimeEnvironment } from './command.ts'
import { bridgedCommand } from './egress/bridged-command.ts'
import type { SandboxSpec } from './sandbox.ts'

/** Who the server is inside; outside it is somebody else or nobody. */
export const insideUid = 65_534
export const insideHome = '/home/sandbox'
export const insideBundle = '/bundle'
/** Where what was made ahead for a faster start is. */
export const insidePrepared = '/prepared'
export const insideNode = '/run/maestro/node'

/** Files from our side that a sandbox with egress needs. */
export interface EgressMounts {
  socket: string
  bridge: string
  /** The certificate of the session's CA, where connections are recorded. */
  ca: string | null
}
export const insideEgress = {
  socket: '/run/maestro/egress.sock',
  bridge: '/run/maestro/egress-bridge.cjs',
  ca: '/run/maestro/egress-ca.pem',
} as const satisfies EgressMounts

/** What the driver gives comes first: a deployment may set its own PATH or TZ, and only harms itself. */
export function sandboxEnvironment(spec: SandboxSpec): Record<string, string> {
  return {
    PATH: '/run/maestro:/usr/local/bin:/usr/bin:/bin',
    HOME: insideHome,
    TMPDIR: '/tmp',
    LANG: 'C.UTF-8',
    ...runtimeEnvironment(spec.program),
    ...spec.env,
  }
}

/** The command that runs the server inside. */
export function insideCommand(spec: SandboxSpec, egress: boolean, nodeOptions: readonly string[] = []): string[] {
  const python = spec.python ? { python: spec.python.program } : {}
  const places = { node: insideNode, bundle: insideBundle, prepared: insidePrepared, ...python }
  return egress ? bridgedCommand(spec, places, insideEgress.bridge, nodeOptions) : commandOf(spec, places, nodeOptions)
}
