import { recordingVersion } from '@maestro/contract'
import type { RawRecord } from './layout.ts'

/** Lifts the records of one version to those of the next. Payload bytes of frames are never changed: they are what was seen. */
type Step = (record: RawRecord) => RawRecord

/** `steps[0]` makes version 2 of version 1, and so on: one less than there are versions. */
const steps: readonly Step[] = []

/** Whether this reader knows the version, old ones included. */
export const isKnownVersion = (version: number): boolean => version >= 1 && version <= recordingVersion

/** One record of any version ever shipped, as a record of this version. */
export function upgrade(record: RawRecord, version: number): RawRecord {
  return steps.slice(version - 1).reduce((lifted, step) => step(lifted), record)
}
