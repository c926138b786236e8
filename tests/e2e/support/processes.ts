import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

export interface ProcessFacts {
  pid: number
  parent: number
  state: string
  command: string
}

/** Every process of the machine, as /proc tells it; empty where there is no /proc. */
export function listProcesses(): ProcessFacts[] {
  return pids().flatMap(pid => {
    const stat = read(`/proc/${pid}/stat`)
    if (stat === null) return []
    // The name in parentheses may hold anything, so the fields are counted from its end.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const command = (read(`/proc/${pid}/cmdline`) ?? '').replaceAll('\0', ' ').trim()
    return [{ pid, parent: Number(fields[1]), state: fields[0] ?? '?', command }]
  })
}

/** The process and all it started, by parent. */
export function descendantsOf(pid: number): ProcessFacts[] {
  const all = listProcesses()
  const found = all.filter(process => process.pid === pid)
  for (const parent of found) found.push(...all.filter(process => process.parent === parent.pid))
  return found
}

export const isAlive = (pid: number): boolean => {
  const stat = read(`/proc/${pid}/stat`)
  return stat !== null && !/\) [ZX] /.test(stat)
}

/**
 * Living processes that belong to a folder, whoever started them: its path is in their command line, environment,
 * working folder or control group, or it is mounted in a mount namespace of their own (as a sandbox’s is).
 */
export function processesOf(folder: string): ProcessFacts[] {
  const ours = readLink('/proc/self/ns/mnt')
  return listProcesses().filter(({ pid, state, command }) => {
    if (pid === process.pid || state === 'Z' || state === 'X') return false
    if (command.includes(folder)) return true
    if (readLink(`/proc/${pid}/cwd`)?.startsWith(folder)) return true
    if ((read(`/proc/${pid}/environ`) ?? '').includes(folder)) return true
    if ((read(`/proc/${pid}/cgroup`) ?? '').includes(folder)) return true
    const theirs = readLink(`/proc/${pid}/ns/mnt`)
    return theirs !== null && theirs !== ours && (read(`/proc/${pid}/mountinfo`) ?? '').includes(folder)
  })
}

function pids(): number[] {
  try {
    return readdirSync('/proc')
      .filter(name => /^\d+$/.test(name))
      .map(Number)
  } catch {
    return []
  }
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

function readLink(path: string): string | null {
  try {
    return readlinkSync(path)
  } catch {
    return null
  }
}
