import type { LogEntry } from '@maestro/contract'
import { openRoute } from './call.ts'
import { linesOf } from './linesOf.ts'

/** Log entries as they are written, until the signal. `limit` is how many of the past come first. Throws `ApiError`. */
export async function* followLogs(query: { session?: string; limit: number }, signal: AbortSignal): AsyncGenerator<LogEntry> {
  const { body } = await openRoute('getLogs', { query: { ...query, follow: true }, signal })
  if (!body) return
  for await (const line of linesOf(body)) {
    const entry = entryIn(line)
    if (entry) yield entry
  }
}

function entryIn(line: string): LogEntry | null {
  try {
    const entry: unknown = JSON.parse(line)
    return entry !== null && typeof entry === 'object' && 'at' in entry && 'event' in entry ? (entry as LogEntry) : null
  } catch {
    return null
  }
}
