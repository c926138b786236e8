import type { LogEntry } from '@maestro/contract'
import { command } from '../command.ts'
import { lines } from '../lines.ts'
import type { Out } from '../out.ts'
import { parseCount } from '../parse-count.ts'
import { oneLine } from '../visible.ts'

export default command({
  name: 'logs',
  summary: 'Show the log, and follow it',
  flags: {
    follow: { summary: 'Go on as it happens, until Ctrl-C' },
    session: { summary: 'Only of this session', value: '<id>' },
    limit: { summary: 'How many of the newest; 200 unless said otherwise', value: '<count>' },
    json: { summary: 'Print one JSON object per line' },
  },
  examples: ['maestro logs', 'maestro logs --follow --session ses_…', 'maestro logs --json --limit 1000'],
  async run({ out, client, signal }, { flags }) {
    const query = {
      ...(flags.follow ? { follow: true } : {}),
      ...(flags.session === undefined ? {} : { session: flags.session }),
      ...(flags.limit === undefined ? {} : { limit: parseCount('--limit', flags.limit, 0, 10_000) }),
    }
    const body = await (await client()).stream('getLogs', { query }, signal)
    for await (const line of lines(body)) {
      const entry = JSON.parse(Buffer.from(line).toString('utf8')) as LogEntry
      if (flags.json) out.event(entry)
      else out.line(entryText(entry, out))
    }
  },
})

export function entryText({ at, level, event, ...facts }: LogEntry, out: Pick<Out, 'style'>): string {
  const colour = level === 'error' ? 'red' : level === 'warn' ? 'yellow' : 'cyan'
  const rest = Object.entries(facts).map(
    ([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  )
  return `${out.style('dim', new Date(at).toISOString().slice(11, 23))} ${out.style(colour, event.padEnd(24))} ${oneLine(rest.join(' '), 2000)}`
}
