import { createWriteStream, mkdirSync, renameSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { styleText } from 'node:util'
import type { LogEntry } from '@maestro/contract'
import type { LogSink } from './log.ts'

/** JSON lines, or aligned text for a person at a terminal, on standard error. */
export function terminalSink(format: 'auto' | 'json' | 'text' | 'off', stream: NodeJS.WriteStream = process.stderr): LogSink {
  if (format === 'off') return () => {}
  const asText = format === 'text' || (format === 'auto' && stream.isTTY)
  return entry => stream.write(`${asText ? textOf(entry) : JSON.stringify(entry)}\n`)
}

export function textOf({ at, level, event, ...facts }: LogEntry): string {
  const colour = level === 'error' ? 'red' : level === 'warn' ? 'yellow' : 'cyan'
  // biome-ignore lint/style/noRestrictedGlobals: formats an instant that was read through World.
  const time = new Date(at).toISOString().slice(11, 23)
  const rest = Object.entries(facts)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ')
  return `${styleText('dim', time)} ${styleText(colour, event.padEnd(24))} ${rest}`
}

const fileBytesMax = 32 * 1024 * 1024

/** Appends to a file; at 32 MiB the file moves aside once, so that a log cannot fill the disk. */
export function fileSink(path: string): LogSink & { close(): Promise<void> } {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  let stream = open(path)
  let bytes = sizeOf(path)
  const sink = (entry: LogEntry) => {
    const line = `${JSON.stringify(entry)}\n`
    bytes += Buffer.byteLength(line)
    stream.write(line)
    if (bytes > fileBytesMax) {
      stream.end()
      renameSync(path, `${path}.1`)
      stream = open(path)
      bytes = 0
    }
  }
  return Object.assign(sink, { close: () => new Promise<void>(resolve => stream.end(() => resolve())) })
}

function open(path: string) {
  const stream = createWriteStream(path, { flags: 'a', mode: 0o600 })
  stream.on('error', () => {
    // The terminal still shows what the disk refused.
  })
  return stream
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size
  } catch {
    return 0
  }
}
