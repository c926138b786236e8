import { readFileSync } from 'node:fs'
import { insideUid } from './inside.ts'

/** Far above what people, packages and container engines hand out. */
const first = 1_300_000_000
const count = 1_000_000

/**
 * Hands out the uid that a sandbox of a root Conductor has outside of its namespace: one of its own where the machine's range allows,
 * so that two sandboxes have nothing in common even where a mount would let them meet. Null where we are root of a small range without
 * even nobody.
 */
export function makeUidSource(uidMap: string = readUidMap()): (() => number) | null {
  const ranges = uidMap
    .split('\n')
    .map(line => line.trim().split(/\s+/).map(Number))
    .filter(fields => fields.length === 3)
  const holds = (uid: number) => ranges.some(([start, , length]) => uid >= start! && uid < start! + length!)
  if (holds(first) && holds(first + count - 1)) {
    let next = process.pid % count
    return () => first + (next++ % count)
  }
  return holds(insideUid) ? () => insideUid : null
}

function readUidMap(): string {
  try {
    return readFileSync('/proc/self/uid_map', 'latin1')
  } catch {
    return ''
  }
}
