import type { World } from '../world.ts'
import { type CgroupBase, cleanCgroups } from './cgroup/cgroups.ts'
import { cleanRunFolders } from './owner.ts'

/** Removes what Conductors that do not run any more left on the machine: control groups with what runs in them, and folders. */
export function removeLeftovers(cgroups: CgroupBase | null, world: World): void {
  const removed = [...(cgroups ? cleanCgroups(cgroups, (ms, callback) => world.after(ms, callback)) : []), ...cleanRunFolders()]
  if (removed.length > 0) world.log.warn('sandbox.leftovers_removed', { count: removed.length })
}
