/** What a Conductor makes on the machine carries its name, so that the next one can tell what a dead one left. */
import { lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pidNamespace, signalTo, startTimeOf } from './processes.ts'

/** `maestro-<pid namespace>-<pid>-<start time>`: unique on this machine until it is booted again. */
export const ownerName = `maestro-${pidNamespace()}-${process.pid}-${startTimeOf(process.pid) ?? 0}`

/** Whether the thing was made by a Conductor that does not run any more. False for everything that is not ours to judge. */
export function isLeftover(name: string): boolean {
  const match = /^maestro-(\d+)-(\d+)-(\d+)(-|$)/.exec(name)
  if (!match || match[1] !== pidNamespace()) return false
  const pid = Number(match[2])
  const startTime = startTimeOf(pid)
  if (startTime !== null) return startTime !== match[3]
  // Without /proc the start time is 0 and only life itself can be asked for.
  return match[3] !== '0' || !signalTo(pid, 0 as unknown as NodeJS.Signals)
}

/** A private folder of this process for sockets, filters and working folders. */
export function makeRunFolder(parent = tmpdir()): string {
  return mkdtempSync(join(parent, `${ownerName}-`))
}

/** Removes the run folders that dead Conductors of our user left. Returns their paths. */
export function cleanRunFolders(parent = tmpdir()): string[] {
  const removed: string[] = []
  for (const name of readdirSync(parent)) {
    const path = join(parent, name)
    // Anybody may make a name like ours in a shared temporary folder; a folder of our own nobody else can have tampered with.
    if (!isLeftover(name) || !isOwnFolder(path)) continue
    rmSync(path, { recursive: true, force: true })
    removed.push(path)
  }
  return removed
}

function isOwnFolder(path: string): boolean {
  try {
    const facts = lstatSync(path)
    return facts.isDirectory() && facts.uid === process.getuid?.()
  } catch {
    return false
  }
}
