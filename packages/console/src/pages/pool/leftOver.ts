import type { PoolView } from '@maestro/contract'

/** How many things of sandboxes that are gone are still on the machine, or null where nobody can look. */
export const leftOver = ({ leaks }: PoolView): number | null =>
  leaks && leaks.processes + leaks.mounts + leaks.cgroups + leaks.files
