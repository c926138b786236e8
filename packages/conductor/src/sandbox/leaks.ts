import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Leaks } from '@maestro/contract'
import type { CgroupBase } from './cgroup/cgroups.ts'
import { ownerName } from './owner.ts'

interface Place {
  /** Ids of the sandboxes that exist, those that start or end included. */
  running: ReadonlySet<string>
  cgroups: CgroupBase | null
  /** The run folder: what a sandbox needs there is named after its id. */
  folder: string
}

/**
 * Looks for what we made on the machine and nobody uses any more: by our name, which groups, mounts and folders carry, and the id of the
 * sandbox in it. Processes are those in groups of sandboxes that do not run; a driver that has no groups counts them by its own means.
 */
export async function findLeaks({ running, cgroups, folder }: Place): Promise<Leaks> {
  const groups = new Set<string>()
  const pids = new Set<string>()
  for (const base of new Set(cgroups?.folders.values() ?? [])) {
    for (const name of await namesIn(base)) {
      if (!name.startsWith(`${ownerName}-`) || running.has(name.slice(ownerName.length + 1))) continue
      groups.add(name)
      for (const pid of (await textOf(join(base, name, 'cgroup.procs'))).split('\n').filter(Boolean)) pids.add(pid)
    }
  }
  const belongs = (text: string) => [...running].some(id => text.includes(id))
  const mounts = (await textOf('/proc/self/mountinfo')).split('\n').filter(line => line.includes(ownerName) && !belongs(line))
  const files = (await namesIn(folder)).filter(name => name.startsWith('sbx_') && !belongs(name))
  return { processes: pids.size, mounts: mounts.length, cgroups: groups.size, files: files.length }
}

const namesIn = (folder: string): Promise<string[]> => readdir(folder).catch(() => [])
const textOf = (file: string): Promise<string> => readFile(file, 'latin1').catch(() => '')
