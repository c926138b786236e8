/** Tells a process from a later one that got the same pid. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/**
 * A word that names this process and no other one of this machine: pid, moment of its start, boot.
 * Null where no such process lives (a zombie does not).
 */
export function processIdentity(pid: number): string | null {
  const stat = readText(`/proc/${pid}/stat`)
  if (stat !== null) {
    // The second field is the program's name in parentheses and may hold anything, so count from its end (proc_pid_stat(5)).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [state, startTicks] = [fields[0], fields[19]]
    if (state === 'Z' || state === 'X' || !startTicks) return null
    return `${pid}.${startTicks}.${bootId()}`
  }
  if (readText('/proc/self/stat') !== null) return null
  const started = spawnSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8', env: { LC_ALL: 'C' } })
  const moment = started.status === 0 ? started.stdout.replaceAll(/[^0-9A-Za-z]/g, '') : ''
  return moment ? `${pid}.${moment}.boot` : null
}

/** Program and arguments of a live process, or null. */
export function commandOf(pid: number): string[] | null {
  const line = readText(`/proc/${pid}/cmdline`)
  if (line !== null) return line === '' ? null : line.split('\0')
  if (readText('/proc/self/stat') !== null) return null
  const listed = spawnSync('ps', ['-ww', '-o', 'command=', '-p', String(pid)], { encoding: 'utf8' })
  return listed.status === 0 && listed.stdout.trim() ? listed.stdout.trim().split(' ') : null
}

function bootId(): string {
  return (readText('/proc/sys/kernel/random/boot_id') ?? 'boot').trim()
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}
