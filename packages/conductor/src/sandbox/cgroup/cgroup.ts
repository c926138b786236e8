import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { signalTo } from '../processes.ts'
import type { SandboxLimits } from '../sandbox.ts'
import type { Controller } from './cgroups.ts'

/** Period over which the share of CPU is counted, µs; the kernel's own default. */
const cpuPeriodUs = 100_000

/** The control group of one sandbox: one folder with version 2, one per controller with version 1. */
export class Cgroup {
  readonly #version: 1 | 2
  readonly #folders: ReadonlyMap<Controller, string>

  constructor(version: 1 | 2, folders: ReadonlyMap<Controller, string>) {
    this.#version = version
    this.#folders = folders
  }

  /** Makes the group and sets its limits. Throws where the kernel refuses; nothing is left then. */
  make(limits: SandboxLimits): void {
    try {
      for (const folder of this.#distinct()) mkdirSync(folder)
      if (this.#version === 2) this.#limitUnified(limits)
      else this.#limitByController(limits)
    } catch (cause) {
      this.remove()
      throw cause
    }
  }

  /** A process enters by writing its pid into each of these. */
  get entrances(): string[] {
    return this.#distinct().map(folder => join(folder, 'cgroup.procs'))
  }

  pids(): number[] {
    const all = new Set<number>()
    for (const file of this.entrances) for (const pid of readLines(file)) all.add(Number(pid))
    return [...all]
  }

  /** Whether the kernel ended a process for memory, or refused a new one for their number. */
  limitReached(): boolean {
    const memory = this.#version === 2 ? 'memory.events' : 'memory.oom_control'
    return this.#counter('memory', memory, 'oom_kill') > 0 || this.#counter('pids', 'pids.events', 'max') > 0
  }

  kill(): void {
    if (this.#version === 2 && this.#write('memory', 'cgroup.kill', '1')) return
    for (const pid of this.pids()) signalTo(pid, 'SIGKILL')
    // With version 1 the signal waits in what is frozen.
    this.thaw()
  }

  /** Stops every process of the group where it stands; false where the kernel cannot. */
  freeze(): boolean {
    if (this.#version === 2) return this.#write('freezer', 'cgroup.freeze', '1')
    return this.#write('freezer', 'freezer.state', 'FROZEN')
  }

  thaw(): void {
    if (this.#version === 2) this.#write('freezer', 'cgroup.freeze', '0')
    else this.#write('freezer', 'freezer.state', 'THAWED')
  }

  /**
   * Whether others go first: it then has a tenth of the weight of whoever else wants the CPU, and gives it up sooner when they wake. Not
   * none (`cpu.idle`): where others use every core it would neither come up nor be able to die.
   */
  yieldCpu(yields: boolean): void {
    const share = yields ? 0.1 : 1
    if (this.#version === 2) this.#write('cpu', 'cpu.weight', 100 * share)
    else this.#write('cpu', 'cpu.shares', Math.round(1024 * share))
  }

  /** Memory the group is charged for, without files in cache that it does not use at present. Null where it is not counted. */
  memoryBytes(): number | null {
    const folder = this.#folders.get('memory')
    if (!folder) return null
    const [usage, inactive] =
      this.#version === 2 ? ['memory.current', 'inactive_file'] : ['memory.usage_in_bytes', 'total_inactive_file']
    const bytes = Number(readLines(join(folder, usage!))[0])
    return bytes > 0 ? Math.max(0, bytes - this.#counter('memory', 'memory.stat', inactive!)) : null
  }

  /** Removes the group; false while something of it still runs. */
  remove(): boolean {
    let removed = true
    for (const folder of this.#distinct()) {
      try {
        rmdirSync(folder)
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') removed = false
      }
    }
    return removed
  }

  #limitUnified(limits: SandboxLimits): void {
    this.#set('memory', 'memory.max', limits.memoryBytesMax)
    this.#write('memory', 'memory.swap.max', 0)
    // Half a server helps nobody: when one process must go for memory, all go.
    this.#write('memory', 'memory.oom.group', 1)
    this.#set('pids', 'pids.max', limits.pidsMax)
    this.#write('cpu', 'cpu.max', `${Math.round(limits.cpusMax * cpuPeriodUs)} ${cpuPeriodUs}`)
  }

  #limitByController(limits: SandboxLimits): void {
    if (this.#folders.has('memory')) {
      this.#set('memory', 'memory.limit_in_bytes', limits.memoryBytesMax)
      // Memory and swap together: no more than memory alone, so nothing is swapped. Absent where swap is not accounted.
      this.#write('memory', 'memory.memsw.limit_in_bytes', limits.memoryBytesMax)
    }
    if (this.#folders.has('pids')) this.#set('pids', 'pids.max', limits.pidsMax)
    this.#write('cpu', 'cpu.cfs_period_us', cpuPeriodUs)
    this.#write('cpu', 'cpu.cfs_quota_us', Math.round(limits.cpusMax * cpuPeriodUs))
  }

  #set(controller: Controller, file: string, value: string | number): void {
    const folder = this.#folders.get(controller)
    if (folder) writeFileSync(join(folder, file), String(value))
  }

  #write(controller: Controller, file: string, value: string | number): boolean {
    try {
      this.#set(controller, file, value)
      return this.#folders.has(controller)
    } catch {
      return false
    }
  }

  #counter(controller: Controller, file: string, name: string): number {
    const folder = this.#folders.get(controller)
    if (!folder) return 0
    for (const line of readLines(join(folder, file))) {
      const [key, value] = line.split(' ')
      if (key === name) return Number(value)
    }
    return 0
  }

  #distinct(): string[] {
    return [...new Set(this.#folders.values())]
  }
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'latin1').split('\n').filter(Boolean)
  } catch {
    return []
  }
}
