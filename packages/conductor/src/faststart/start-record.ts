import { readFileSync } from 'node:fs'
import type { StartKind } from '@maestro/contract'

/** How a release starts and why it does so, as kept beside what was prepared. */
export interface StartRecord {
  kind: StartKind
  /** Fast ones that may be used, the best first. */
  kinds: Exclude<StartKind, 'plain'>[]
  /** Whether it may load its dependencies and then wait for its environment. */
  holds: boolean
  /** Variables of the environment that dependencies read while they load: those of the snapshot, and all of them. */
  reads: { snapshot: string[]; ahead: string[] }
  /** From spawn to the answer of initialize, the median of a few starts, ms. */
  measuredMs: Partial<Record<StartKind, number>>
  /** Kinds that are not used. */
  refused: { kind: StartKind; why: string }[]
  preparationMs: number
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}

/** The record of a prepared folder, or null where there is none that can be read. */
export function readStartRecord(file: string): StartRecord | null {
  try {
    const record = JSON.parse(readFileSync(file, 'utf8')) as StartRecord
    const isWhole = Array.isArray(record.kinds) && Array.isArray(record.reads.snapshot) && Array.isArray(record.reads.ahead)
    return isWhole ? record : null
  } catch {
    return null
  }
}
