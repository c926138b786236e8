import type { Leaks } from '@maestro/contract'
import type { CgroupBase } from './cgroup/cgroups.ts'
import { ThawWatch } from './cgroup/thaw-watch.ts'
import { findLeaks } from './leaks.ts'
import type { TreeNews } from './namespaced-tree.ts'
import { ownerName } from './owner.ts'
import { memoryOf, startTimeOf } from './processes.ts'

/** What a driver has on the machine: the sandboxes that exist, and what of others would not go. */
export class Inventory implements TreeNews {
  /** Processes that were found alive after their sandbox had ended. */
  orphans = 0
  readonly weigh: TreeNews['weigh']
  readonly #cgroups: CgroupBase | null
  readonly #folder: string
  readonly #ids = new Set<string>()
  /** First processes that would not go: pid and start time. */
  readonly #strays = new Map<number, string | null>()
  #thawWatch: ThawWatch | null = null

  constructor(cgroups: CgroupBase | null, folder: string, weigh: TreeNews['weigh'] = memoryOf) {
    this.weigh = weigh
    this.#cgroups = cgroups
    this.#folder = folder
  }

  /** From before anything of the sandbox is made … */
  add(id: string): void {
    this.#ids.add(id)
  }

  /** … until nothing of it should be left. */
  remove(id: string): void {
    this.#ids.delete(id)
  }

  stayed(count: number, pid: number): void {
    this.orphans += count
    this.#strays.set(pid, startTimeOf(pid))
  }

  freezing(): void {
    const folder = this.#cgroups?.version === 1 && this.#cgroups.folders.get('freezer')
    if (folder) this.#thawWatch ??= new ThawWatch(folder, ownerName)
  }

  async leaks(): Promise<Leaks> {
    const leaks = await findLeaks({ running: this.#ids, cgroups: this.#cgroups, folder: this.#folder })
    if (this.#cgroups) return leaks
    for (const [pid, startTime] of this.#strays) if (startTimeOf(pid) !== startTime) this.#strays.delete(pid)
    return { ...leaks, processes: this.#strays.size }
  }

  async close(): Promise<void> {
    await this.#thawWatch?.close()
  }
}
