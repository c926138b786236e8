import { ConductorError, problemOf } from '@maestro/contract'
import { type Recording, readRecording } from '@maestro/logic'
import { ApiError } from '../api/call.ts'

/** Reads a recording's bytes. Throws `ApiError` with `recording_unreadable`, to be shown like any other problem. */
export function readTape(bytes: Uint8Array): Recording {
  try {
    return readRecording(bytes)
  } catch (cause) {
    throw cause instanceof ConductorError ? new ApiError(problemOf(cause, '')) : cause
  }
}
