import { readdirSync, readFileSync } from 'node:fs'

/** USER_HZ, which Linux fixes at 100 for what /proc shows. */
const ticksPerSecond = 100

interface Stat {
  parent: number
  ticks: number
  /** Of its children that have ended and were waited for, and of theirs. */
  endedTicks: number
}

/** CPU time a process has used since it started, user and system, microseconds; NaN where there is no such process. */
export function cpuMicrosOf(pid: number): number {
  const stat = statOf(pid)
  return stat ? (stat.ticks / ticksPerSecond) * 1e6 : Number.NaN
}

/** Resident memory of a process, proportional share of what it has in common with others, bytes; NaN where unknown. */
export function pssBytesOf(pid: number): number {
  try {
    const kib = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]
    return kib === undefined ? Number.NaN : Number(kib) * 1024
  } catch {
    return Number.NaN
  }
}

/** Ticks of the whole machine that were not idle, and all ticks. */
export function machineTicks(): { busy: number; all: number } {
  const fields = (readFileSync('/proc/stat', 'utf8').split('\n', 1)[0] ?? '').trim().split(/\s+/).slice(1, 9).map(Number)
  const all = fields.reduce((sum, value) => sum + value, 0)
  const idle = (fields[3] ?? 0) + (fields[4] ?? 0)
  return { busy: all - idle, all }
}

/**
 * Ticks of a process and all its descendants. Those that have ended count through their parent, which has waited for
 * them; so the sum never falls while the root lives.
 */
export function treeTicks(root: number): number {
  const stats = new Map<number, Stat>()
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    const stat = Number.isInteger(pid) ? statOf(pid) : null
    if (stat) stats.set(pid, stat)
  }
  let sum = 0
  for (const [pid, { ticks, endedTicks }] of stats) {
    let ancestor: number | undefined = pid
    while (ancestor !== undefined && ancestor !== root && ancestor > 1) ancestor = stats.get(ancestor)?.parent
    if (ancestor === root) sum += ticks + endedTicks
  }
  return sum
}

function statOf(pid: number): Stat | null {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return null
  }
  // The name in parentheses may hold spaces, so fields are counted from its end.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return {
    parent: Number(fields[1]),
    ticks: Number(fields[11]) + Number(fields[12]),
    endedTicks: Number(fields[13]) + Number(fields[14]),
  }
}
