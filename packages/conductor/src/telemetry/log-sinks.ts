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
    .map(([name, value]) => `${name}=${shown(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''))}`)
    .join(' ')
  return `${styleText('dim', time)} ${styleText(colour, event.padEnd(24))} ${rest}`
}

/**
 * Text from outside, such as a server's last words, made safe for a terminal: what would move the cursor, change colours or hide
 * itself is shown instead of done. Further lines are indented, so that none can be taken for an entry of its own.
 */
function shown(text: string): string {
  return text
    .replace(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, character => {
      return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
    })
    .replaceAll('\n', '\n    ')
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
