import { readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { findCgroups } from '../cgroup/cgroups.ts'

/** Folders and control groups of Conductors whose name holds the text. */
export function leftOf(text: string): string[] {
  const parents = [tmpdir(), ...new Set(findCgroups()?.folders.values() ?? [])]
  return parents.flatMap(parent =>
    readdirSync(parent)
      .filter(name => name.startsWith('maestro-') && name.includes(text))
      .map(name => `${parent}/${name}`),
  )
}
