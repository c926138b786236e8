import type { LogEntry } from '@maestro/contract'

/** Event name and facts: `log.info('lease.granted', { lease, ms })`. */
export interface Log {
  info(event: string, facts?: Record<string, unknown>): void
  warn(event: string, facts?: Record<string, unknown>): void
  error(event: string, error: unknown, facts?: Record<string, unknown>): void
  with(facts: Record<string, unknown>): Log
}

/** Where entries go: terminal, file, followers. */
export type LogSink = (entry: LogEntry) => void
