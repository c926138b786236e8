import type { LogEntry } from '@maestro/contract'
import type { Log, LogSink } from './log.ts'

/** Field names whose values never reach a log line, whoever put them there. */
const secretField = /(^|_|-)(authorization|cookie|key|password|passwd|secret|token|credential)s?$/i

/** A log that redacts by field name and hands each entry to every sink. A sink that throws is left out of that entry only. */
export function createLog(now: () => number, sinks: readonly LogSink[], facts: Record<string, unknown> = {}): Log {
  const write = (level: LogEntry['level'], event: string, more: Record<string, unknown>) => {
    const entry: LogEntry = { at: now(), level, event, ...redact({ ...facts, ...more }) }
    for (const sink of sinks) {
      try {
        sink(entry)
      } catch {
        // A full disk or a closed pipe must not take down what is being logged about.
      }
    }
  }
  return {
    info: (event, more = {}) => write('info', event, more),
    warn: (event, more = {}) => write('warn', event, more),
    error: (event, error, more = {}) => write('error', event, { ...more, error: describe(error) }),
    with: more => createLog(now, sinks, { ...facts, ...more }),
  }
}

export function redact(facts: Record<string, unknown>): Record<string, unknown> {
  const safe: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(facts)) {
    if (secretField.test(name)) safe[name] = '[redacted]'
    else if (value !== null && typeof value === 'object' && !Array.isArray(value))
      safe[name] = redact(value as Record<string, unknown>)
    else safe[name] = value
  }
  return safe
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = 'code' in error && typeof error.code === 'string' ? `${error.code}: ` : ''
  // The stack is for our own mistakes; failures with a code say enough in their message.
  return code ? `${code}${error.message}` : (error.stack ?? error.message)
}
