import { assembleFilter, encodeFilter } from '../bubblewrap/seccomp/assemble.ts'
import { sandboxPolicy } from '../bubblewrap/seccomp/policy.ts'
import { insideCommand, insideHome, sandboxEnvironment } from '../inside.ts'
import type { SandboxSpec } from '../sandbox.ts'
import type { GuestStart } from './channel.ts'
import type { GuestEgress } from './guest-egress.ts'

const insideTwin = '/run/maestro/twin.cjs'
const openFilesMax = 4096
const filters = new Map<boolean, Buffer>()

/** What the agent of a guest is told to run; `hold` where the program shall be copied once it is loaded. */
export function startOf(plain: SandboxSpec, egress: GuestEgress | null, hold: boolean): GuestStart {
  const spec = egress?.enrich(plain) ?? plain
  const { memoryBytesMax, pidsMax, diskBytesMax } = spec.limits
  return {
    // The agent is the bridge: nothing runs beside the server.
    command: insideCommand(spec, false, hold ? ['--require', insideTwin] : []),
    env: sandboxEnvironment(spec),
    cwd: insideHome,
    limits: { memoryBytesMax, pidsMax, diskBytesMax, openFilesMax },
    filter: filterOf(egress !== null),
    hold,
    ...(egress ? { egress: { ca: egress.ca } } : {}),
  }
}

/** Whether all sessions of a release start the same program in the same way, so that one which has loaded can be copied. */
export function startsAlike(spec: SandboxSpec, egress: GuestEgress | null): boolean {
  // Only Node, whose randomness we can make a twin's own; one that makes something ends by itself, and a heap that was loaded before
  // runs no preload. A session's own certificate is read while the server loads.
  const isCopied = spec.prepared === undefined || spec.prepared.kind === 'one-file'
  return spec.program.runtime === 'node' && isCopied && Object.keys(spec.env).length === 0 && !egress?.ca
}

function filterOf(inet: boolean): Buffer {
  let filter = filters.get(inet)
  if (!filter) {
    filter = encodeFilter(assembleFilter('x86_64', sandboxPolicy({ inet })))
    filters.set(inet, filter)
  }
  return filter
}
