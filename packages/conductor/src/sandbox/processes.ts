/** Looking at processes through /proc. Where there is none (macOS), the answers are empty and callers fall back on process groups. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** When the process was started, clock ticks since boot, or null where it is not running: with the pid it names a process for good. */
export function startTimeOf(pid: number): string | null {
  const fields = statOf(pid)
  // A zombie runs no more; it only waits for its parent to look.
  return fields && fields[0] !== 'Z' && fields[0] !== 'X' ? (fields[19] ?? null) : null
}

/** Fields of /proc/<pid>/stat from the third on (state). The second, the name, may hold anything, spaces and brackets included. */
function statOf(pid: number): string[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    return null
  }
}

/** Children of all its threads. */
export function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap(thread => childrenOfThread(pid, thread))
  } catch {
    return []
  }
}

function childrenOfThread(pid: number, thread: string): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${thread}/children`, 'latin1').split(' ').filter(Boolean).map(Number)
  } catch {
    return []
  }
}

/** Children, their children and so on; a child comes after its parent. */
export function descendantsOf(pid: number): number[] {
  const found = childrenOf(pid)
  for (const child of found) found.push(...childrenOf(child))
  return found
}

/** Every running process whose environment holds the text. Only processes of our own user can be read. */
export const processesWithEnvironment = (text: string): number[] => processesWith('environ', text)

/** Every running process whose command line holds the text. */
export const processesWithCommand = (text: string): number[] => processesWith('cmdline', text)

function processesWith(file: 'environ' | 'cmdline', text: string): number[] {
  let names: string[]
  try {
    names = readdirSync('/proc')
  } catch {
    return []
  }
  return names
    .filter(isNumber)
    .map(Number)
    .filter(pid => pid !== process.pid && holds(pid, file, text))
}

function holds(pid: number, file: string, text: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1').includes(text) && startTimeOf(pid) !== null
  } catch {
    return false
  }
}

/**
 * Memory of these processes, bytes: what is theirs alone, and their part of what they share (proportional set size). Null where none can
 * be read.
 */
export function memoryOf(pids: readonly number[]): number | null {
  let kib: number | null = null
  for (const pid of pids) {
    try {
      const [, pss] = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1')) ?? []
      if (pss) kib = (kib ?? 0) + Number(pss)
    } catch {
      // Gone meanwhile, or not ours to read.
    }
  }
  return kib === null ? null : kib * 1024
}

const isNumber = (name: string): boolean => /^\d+$/.test(name)

/** Sends a signal; false where there is nobody to take it. A negative pid means the process group. */
export function signalTo(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal)
    return true
  } catch {
    return false
  }
}

/** The pid namespace we count in: a pid of another one says nothing here. */
export function pidNamespace(): string {
  try {
    return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '0'
  } catch {
    return '0'
  }
}
