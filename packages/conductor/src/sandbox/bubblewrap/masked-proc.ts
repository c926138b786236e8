import { lstatSync } from 'node:fs'

/**
 * What /proc tells of the machine, of what others do on it, or of the kernel's insides; container engines hide the first two lines from all
 * of theirs. Memory, load and processors are left: runtimes size themselves by them.
 */
const names = `acpi asound kcore keys latency_stats timer_list timer_stats sched_debug scsi
  bus fs irq sysrq-trigger
  key-users kallsyms kmsg kpagecgroup kpagecount kpageflags iomem ioports modules slabinfo vmallocinfo pagetypeinfo zoneinfo buddyinfo
  allocinfo cmdline bootconfig interrupts softirqs schedstat diskstats partitions locks mdstat pressure dynamic_debug`

const readableByAll = 0o004

/** Nothing, as a file and as a folder. */
export interface Emptiness {
  file: string
  folder: string
}

/**
 * Options of bubblewrap that put nothing over them, to be given after `--proc`. Each mount costs time at every start, so what this kernel
 * does not have is left out, and what only root may read as well, unless the server is root to the kernel.
 */
export function maskedProc(empty: Emptiness, isRoot: boolean): string[] {
  return names.split(/\s+/).flatMap(name => {
    const facts = lstatSync(`/proc/${name}`, { throwIfNoEntry: false })
    if (!facts || !(isRoot || facts.mode & readableByAll)) return []
    return ['--ro-bind', facts.isDirectory() ? empty.folder : empty.file, `/proc/${name}`]
  })
}
