/**
 * Control groups, version 1 and 2: found at start, used where we may write. Sources: the kernel's `admin-guide/cgroup-v1` and
 * `admin-guide/cgroup-v2`.
 */
import { accessSync, constants, existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isLeftover, ownerName } from '../owner.ts'
import { signalTo } from '../processes.ts'
import type { SandboxLimits } from '../sandbox.ts'
import { Cgroup } from './cgroup.ts'

/** The controllers limits need. The freezer stops and resumes a waiting sandbox where version 1 keeps it apart. */
export const controllers = ['memory', 'pids', 'cpu', 'freezer'] as const
export type Controller = (typeof controllers)[number]

/** Where each controller lets us make groups. With version 2 it is the same folder for all. */
export interface CgroupBase {
  version: 1 | 2
  folders: ReadonlyMap<Controller, string>
}

/** The files findings are made from; tests bring their own. */
export interface CgroupFacts {
  /** /proc/self/mounts */
  mounts: string
  /** /proc/self/cgroup */
  self: string
}

export function readCgroupFacts(): CgroupFacts {
  try {
    return { mounts: readFileSync('/proc/self/mounts', 'utf8'), self: readFileSync('/proc/self/cgroup', 'utf8') }
  } catch {
    return { mounts: '', self: '' }
  }
}

/** Finds where groups can be made, or null. Version 2 is taken where it holds the memory controller, else version 1. */
export function findCgroups(facts: CgroupFacts = readCgroupFacts()): CgroupBase | null {
  const unified = findUnified(facts)
  if (unified) return unified
  const folders = new Map<Controller, string>()
  for (const [mount, options] of mountsOf(facts, 'cgroup')) {
    for (const controller of controllers) {
      if (!options.includes(controller) || folders.has(controller)) continue
      const own = ownPath(facts, controller)
      // In a cgroup namespace of its own, or bind-mounted from outside, the path may not exist below the mount: its root is ours then.
      const folder = existsSync(join(mount, own)) ? join(mount, own) : mount
      if (isWritable(folder)) folders.set(controller, folder)
    }
  }
  return folders.has('memory') || folders.has('pids') ? { version: 1, folders } : null
}

function findUnified(facts: CgroupFacts): CgroupBase | null {
  for (const [mount] of mountsOf(facts, 'cgroup2')) {
    const own = join(mount, ownPath(facts, ''))
    for (const folder of new Set([own, mount])) {
      if (isWritable(folder) && enablesLimits(folder)) {
        return { version: 2, folders: new Map(controllers.map(controller => [controller, folder])) }
      }
    }
  }
  return null
}

/** Whether groups made in the folder have memory and pids limits; turns them on where that is ours to do. */
function enablesLimits(folder: string): boolean {
  const has = (file: string) => {
    const words = readWords(join(folder, file))
    return words.includes('memory') && words.includes('pids')
  }
  if (has('cgroup.subtree_control')) return true
  if (!has('cgroup.controllers')) return false
  const wanted = readWords(join(folder, 'cgroup.controllers')).filter(word => ['memory', 'pids', 'cpu'].includes(word))
  const turnOn = () => {
    try {
      writeFileSync(join(folder, 'cgroup.subtree_control'), wanted.map(word => `+${word}`).join(' '))
      return true
    } catch {
      return false
    }
  }
  if (turnOn()) return true
  // A group that hands out controllers may hold no process itself: we step down into one of our own, where we are alone in it.
  const pids = readWords(join(folder, 'cgroup.procs'))
  if (pids.some(pid => Number(pid) !== process.pid)) return false
  try {
    mkdirSync(join(folder, 'maestro-conductor'), { recursive: true })
    writeFileSync(join(folder, 'maestro-conductor', 'cgroup.procs'), String(process.pid))
    return turnOn()
  } catch {
    return false
  }
}

/** Makes a group with these limits. Throws where the kernel refuses. */
export function makeCgroup(base: CgroupBase, name: string, limits: SandboxLimits): Cgroup {
  const folders = new Map<Controller, string>()
  for (const [controller, folder] of base.folders) folders.set(controller, join(folder, `${ownerName}-${name}`))
  const group = new Cgroup(base.version, folders)
  group.make(limits)
  return group
}

/** How often, and how many times, a group of a dead Conductor is tried again whose processes are still dying. */
const triedEveryMs = 100
const triesMax = 100

/** Ends what runs in the groups of dead Conductors and removes them, at once or as soon as they are empty. Returns their paths. */
export function cleanCgroups(base: CgroupBase, after: (ms: number, callback: () => void) => void): string[] {
  const removed: string[] = []
  for (const folder of new Set(base.folders.values())) {
    for (const name of readdirSync(folder).filter(isLeftover)) {
      const path = join(folder, name)
      endGroup(path, triesMax, after)
      removed.push(path)
    }
  }
  return removed
}

function endGroup(path: string, triesLeft: number, after: (ms: number, callback: () => void) => void): void {
  for (const pid of readWords(join(path, 'cgroup.procs'))) signalTo(Number(pid), 'SIGKILL')
  thaw(path)
  try {
    rmdirSync(path)
  } catch (cause) {
    const isGone = (cause as NodeJS.ErrnoException).code === 'ENOENT'
    if (!isGone && triesLeft > 0) after(triedEveryMs, () => endGroup(path, triesLeft - 1, after))
  }
}

/** With version 1, what is frozen does not die of a signal. */
function thaw(path: string): void {
  try {
    // Never made where it is missing: only a group of the freezer has it.
    writeFileSync(join(path, 'freezer.state'), 'THAWED', { flag: 'r+' })
  } catch {
    // No group of the freezer, or gone.
  }
}

/** Mounts of a type: folder and options. */
function mountsOf(facts: CgroupFacts, type: string): [folder: string, options: string[]][] {
  return facts.mounts
    .split('\n')
    .map(line => line.split(' '))
    .filter(fields => fields[2] === type)
    .map(fields => [fields[1] ?? '', (fields[3] ?? '').split(',')])
}

/** Our own group in the hierarchy of a controller; `` names version 2. */
function ownPath(facts: CgroupFacts, controller: string): string {
  for (const line of facts.self.split('\n')) {
    const [, names, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    if (names !== undefined && path !== undefined && names.split(',').includes(controller)) return path
  }
  return '/'
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK)
    return true
  } catch {
    return false
  }
}

function readWords(file: string): string[] {
  try {
    return readFileSync(file, 'latin1').split(/\s+/).filter(Boolean)
  } catch {
    return []
  }
}
