import type { EndRecord, EventRecord, FrameRecord } from '@maestro/contract'
import { type Exchange, exchangesOf, type Recording } from '@maestro/logic'

/** One line of the timeline. */
export interface Row {
  /** The same at every reading, so that a link finds it again. */
  id: string
  what: { kind: 'exchange'; exchange: Exchange } | { kind: 'event'; record: EventRecord } | { kind: 'end'; record: EndRecord }
  /** 0 for a row of its own, more for what happened because of another. */
  depth: number
  parent: Row | null
  children: number
  startUs: number
  /** Null while open; equal to the start for what has no length. */
  endUs: number | null
  isError: boolean
  from: 'client' | 'server' | 'conductor'
  /** For the filter: JSON-RPC method, or name of the event. */
  method: string
}

export interface Timeline {
  recording: Recording
  rows: readonly Row[]
  frames: ReadonlyMap<number, FrameRecord>
  /** Up to the last record, µs. */
  lengthUs: number
  /** The tenth of the answered requests that took longest take at least this, µs. */
  slowUs: number
  /** How many rows each method has, most first. */
  methods: readonly (readonly [method: string, count: number])[]
}

/** Lines up exchanges and events of a tape by the order in which they began. */
export function timelineOf(recording: Recording): Timeline {
  const tops: { ordinal: number; rows: Row[] }[] = exchangesOf(recording).map(exchange => ({
    ordinal: ordinalOf(exchange),
    rows: rowsOf(exchange, null),
  }))
  const frames = new Map<number, FrameRecord>()
  for (const record of recording.records) {
    if (record.kind === 'frame') frames.set(record.ordinal, record)
    else if (record.kind === 'end') tops.push({ ordinal: record.ordinal, rows: [eventRow(record)] })
    // Receipt is a span of the exchange and a denial an exchange by itself.
    else if (record.event.name !== 'client.received' && record.event.name !== 'policy.denied')
      tops.push({ ordinal: record.ordinal, rows: [eventRow(record)] })
  }
  tops.sort((a, b) => a.ordinal - b.ordinal)
  const rows = tops.flatMap(top => top.rows)

  const methods = new Map<string, number>()
  for (const row of rows) methods.set(row.method, (methods.get(row.method) ?? 0) + 1)
  const lengths = rows
    .filter(isAnswered)
    .map(lengthUs)
    .toSorted((a, b) => a - b)
  return {
    recording,
    rows,
    frames,
    lengthUs: Math.max(1, recording.records.at(-1)?.monotonicUs ?? 1),
    slowUs: lengths[Math.floor(lengths.length * 0.9)] ?? Number.POSITIVE_INFINITY,
    methods: [...methods].toSorted((a, b) => b[1] - a[1]),
  }
}

const ordinalOf = (exchange: Exchange): number => Number.parseInt(exchange.id.slice(1), 10)

const isAnswered = (row: Row): boolean =>
  row.what.kind === 'exchange' && row.what.exchange.kind === 'request' && row.endUs !== null

/** The row of this id; for a frame that began no row (an answer), the row it belongs to. */
export function findRow({ rows }: Timeline, id: string): Row | null {
  const ordinal = /^f\d+$/.test(id) ? Number(id.slice(1)) : -1
  return (
    rows.find(row => row.id === id) ??
    rows.find(row => row.what.kind === 'exchange' && row.what.exchange.frames.includes(ordinal)) ??
    null
  )
}

export const lengthUs = (row: Row): number => (row.endUs ?? row.startUs) - row.startUs

function rowsOf(exchange: Exchange, parent: Row | null): Row[] {
  const row: Row = {
    id: exchange.id,
    what: { kind: 'exchange', exchange },
    depth: parent ? parent.depth + 1 : 0,
    parent,
    children: exchange.children.length,
    startUs: exchange.startUs,
    endUs: exchange.endUs,
    isError: exchange.state === 'error' || exchange.state === 'tool_error',
    from: exchange.direction === 'inward' ? 'client' : 'server',
    method: exchange.method || (exchange.kind === 'garbled' ? 'not JSON-RPC' : 'unasked response'),
  }
  return [row, ...exchange.children.flatMap(child => rowsOf(child, row))]
}

function eventRow(record: EventRecord | EndRecord): Row {
  const event = record.kind === 'event' ? record.event : null
  return {
    id: `e${record.ordinal}`,
    what: record.kind === 'event' ? { kind: 'event', record } : { kind: 'end', record },
    depth: 0,
    parent: null,
    children: 0,
    startUs: record.monotonicUs,
    endUs: record.monotonicUs,
    isError: event?.name === 'server.garbled' || (event?.name === 'server.exited' && event.reason !== 'closed'),
    from: event?.name.startsWith('server.') ? 'server' : 'conductor',
    method: event?.name ?? 'end',
  }
}

export interface Filter {
  only: 'errors' | 'slow' | undefined
  from: 'client' | 'server' | undefined
  method: string | undefined
  zoom: readonly [fromUs: number, toUs: number] | null
  /** Rows whose children are hidden. */
  folded: ReadonlySet<string>
  /** Where only what matches the search is shown. */
  matches: ReadonlySet<string> | null
}

/** The rows that pass, with those above them so that a nested one keeps its place. */
export function visibleRows(timeline: Timeline, filter: Filter): Row[] {
  const passing = new Set<Row>()
  for (const row of timeline.rows) {
    if (!passes(row, timeline, filter)) continue
    for (let at: Row | null = row; at; at = at.parent) passing.add(at)
  }
  return timeline.rows.filter(row => passing.has(row) && !isFolded(row, filter.folded))
}

function passes(row: Row, timeline: Timeline, { only, from, method, zoom, matches }: Filter): boolean {
  if (only === 'errors' && !row.isError) return false
  if (only === 'slow' && !(isAnswered(row) && lengthUs(row) >= timeline.slowUs)) return false
  if (from && row.from !== from) return false
  if (method && row.method !== method) return false
  if (zoom && (row.startUs > zoom[1] || (row.endUs ?? timeline.lengthUs) < zoom[0])) return false
  return !matches || matches.has(row.id)
}

function isFolded(row: Row, folded: ReadonlySet<string>): boolean {
  for (let at = row.parent; at; at = at.parent) if (folded.has(at.id)) return true
  return false
}
