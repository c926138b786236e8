import type { LogEntry } from '@maestro/contract'
import type { LogSink } from './log.ts'

export interface LogFeed {
  sink: LogSink
  /** The newest entries, oldest first. */
  recent(limit: number): LogEntry[]
  follow(listener: (entry: LogEntry) => void): () => void
}

/** Keeps the newest entries in memory for `maestro logs` and the console. */
export function createLogFeed(kept = 5_000): LogFeed {
  const entries: LogEntry[] = []
  const listeners = new Set<(entry: LogEntry) => void>()
  return {
    sink: entry => {
      entries.push(entry)
      if (entries.length > kept * 1.2) entries.splice(0, entries.length - kept)
      for (const listener of listeners) listener(entry)
    },
    recent: limit => (limit === 0 ? [] : entries.slice(-Math.min(limit, kept))),
    follow: listener => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
