import { join } from 'node:path'
import { ConductorError, type SandboxId } from '@maestro/contract'
import type { World } from '../world.ts'
import type { Cgroup } from './cgroup/cgroup.ts'
import { type CgroupBase, makeCgroup } from './cgroup/cgroups.ts'
import { type EgressProxy, openEgressProxy } from './egress/egress-proxy.ts'
import type { EgressRules } from './egress/egress-rules.ts'
import type { Inventory } from './inventory.ts'
import type { Sandbox, SandboxDriver, SandboxLimits, SandboxSpec } from './sandbox.ts'
import { type ProcessTree, StdioUpstream } from './stdio-upstream.ts'

/** What a driver has, and how it starts this one. */
export interface StartParts {
  driver: SandboxDriver['name']
  world: World
  /** Its run folder. */
  folder: string
  egress: EgressRules
  inventory: Inventory
  running: Set<Sandbox>
  /** Null where nothing is bounded by a group. */
  cgroups: CgroupBase | null
  /** Of this sandbox, what the driver itself takes included. */
  groupLimits: SandboxLimits
  /** Starts the processes. `spec` has in its environment what leads programs to the proxy. From then on the tree holds both others. */
  spawn(spec: SandboxSpec, cgroup: Cgroup | null, egress: EgressProxy | null): Promise<ProcessTree>
}

/** Starts what a sandbox of processes consists of, in order; of one that does not start nothing stays. */
export async function startSandbox(parts: StartParts, spec: SandboxSpec): Promise<Sandbox> {
  const { driver, world, inventory, running } = parts
  inventory.add(spec.id)
  let cgroup: Cgroup | null = null
  let egress: EgressProxy | null = null
  try {
    cgroup = makeGroup(parts, spec.id)
    if (spec.unhurried) cgroup?.yieldCpu(true)
    let report: StdioUpstream['report'] = () => {}
    if (spec.egress.length > 0) {
      egress = await openEgressProxy({
        path: join(parts.folder, `${spec.id}.sock`),
        allow: spec.egress,
        record: spec.egressRecord ?? false,
        env: { ...spec.masked, ...spec.env },
        rules: parts.egress,
        world,
        report: event => report(event),
      })
    }
    const enriched = egress ? { ...spec, env: { ...egress.environment, ...spec.env } } : spec
    const tree = await parts.spawn(enriched, cgroup, egress)
    const sandbox = new StdioUpstream(driver, spec, tree, world)
    report = event => sandbox.report(event)
    running.add(sandbox)
    void sandbox.exited.then(() => {
      running.delete(sandbox)
      inventory.remove(spec.id)
    })
    return sandbox
  } catch (cause) {
    await egress?.close()
    cgroup?.remove()
    inventory.remove(spec.id)
    if (cause instanceof ConductorError) throw cause
    throw new ConductorError('sandbox_start_failed', `sandbox ${spec.id} did not start`, { sandbox: spec.id }, cause)
  }
}

function makeGroup({ cgroups, groupLimits }: StartParts, sandbox: SandboxId): Cgroup | null {
  try {
    return cgroups && makeCgroup(cgroups, sandbox, groupLimits)
  } catch (cause) {
    throw new ConductorError('sandbox_start_failed', `the control group of ${sandbox} could not be made`, { sandbox }, cause)
  }
}
