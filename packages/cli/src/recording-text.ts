import type { FrameRecord, TapeRecord } from '@maestro/contract'
import { type Exchange, exchangesOf, type Recording } from '@maestro/logic'
import { bytes, duration } from './format.ts'
import type { Out } from './out.ts'
import { oneLine } from './visible.ts'

/** A recording for reading: what it is of, then a row per exchange with what happened because of it indented below. */
export function recordingText(recording: Recording, out: Pick<Out, 'style'>): string[] {
  const { header, end } = recording
  const frames = new Map(
    recording.records.filter((record): record is FrameRecord => record.kind === 'frame').map(frame => [frame.ordinal, frame]),
  )
  const lines = [
    `${out.style('bold', header.session)}  ${oneLine(header.deploymentName)}  ${oneLine(`${header.releaseName}@${header.releaseVersion}`)}`,
    `${header.era} era, ${header.driver}, opened ${new Date(header.openedAt).toISOString()}, ${end ? `ended: ${oneLine(end.reason)}` : 'no end on the tape: still open, or cut off'}`,
  ]
  if (recording.tornBytes > 0) lines.push(`The last ${bytes(recording.tornBytes)} were cut off.`)
  if (recording.damage)
    lines.push(`Damaged at byte ${recording.damage.offset} (${recording.damage.because}); what lies behind is not shown.`)
  lines.push('')
  const entries = [
    ...exchangesOf(recording).map(row => ({ atUs: row.startUs, lines: exchangeText(row, frames, out, 0) })),
    ...recording.records.flatMap(record => eventText(record, out)),
  ]
  entries.sort((a, b) => a.atUs - b.atUs)
  for (const entry of entries) lines.push(...entry.lines)
  return lines
}

function exchangeText(row: Exchange, frames: ReadonlyMap<number, FrameRecord>, out: Pick<Out, 'style'>, depth: number): string[] {
  const arrow = row.direction === 'inward' ? '→' : '←'
  const what = [row.method || row.kind, row.tool ?? ''].filter(part => part !== '').join(' ')
  const took = row.kind === 'request' && row.endUs !== null ? duration((row.endUs - row.startUs) / 1000) : ''
  const size = row.frames.reduce((sum, ordinal) => sum + (frames.get(ordinal)?.bytes.length ?? 0), 0)
  const isWrong = row.state === 'error' || row.state === 'tool_error'
  const state = row.kind === 'notification' ? '' : row.state
  const line = [
    at(row.startUs),
    `${'  '.repeat(depth)}${arrow} ${oneLine(what, 60)}`.padEnd(44),
    isWrong ? out.style('red', state.padEnd(10)) : state.padEnd(10),
    took.padStart(9),
    bytes(size).padStart(9),
    row.error ? oneLine(`${row.error.code ?? ''} ${row.error.message}`.trim(), 100) : '',
  ].join(' ')
  return [line.trimEnd(), ...row.children.flatMap(child => exchangeText(child, frames, out, depth + 1))]
}

function eventText(record: TapeRecord, out: Pick<Out, 'style'>): { atUs: number; lines: string[] }[] {
  if (record.kind !== 'event') return []
  const { name, ...facts } = record.event
  // They are shown by the rows they belong to.
  if (name === 'client.received' || name === 'policy.denied') return []
  const text = Object.entries(facts).map(([key, value]) => `${key}=${factText(value)}`)
  return [
    {
      atUs: record.monotonicUs,
      lines: [`${at(record.monotonicUs)} ${out.style('dim', `· ${name} ${oneLine(text.join(' '), 160)}`)}`],
    },
  ]
}

const factText = (value: unknown): string => {
  if (typeof value === 'number') return String(Math.round(value * 1000) / 1000)
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** Seconds since the tape was opened. */
const at = (us: number) => `${(us / 1_000_000).toFixed(3).padStart(9)} s`
