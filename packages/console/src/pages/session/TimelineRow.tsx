import { ArrowLeft, ArrowRight, Ban, ChevronDown, ChevronRight, Dot } from 'lucide-react'
import { saidIn } from '../../recording/frameText.ts'
import { lengthUs, type Row, type Timeline } from '../../recording/timeline.ts'
import { duration } from '../../ui/format.ts'
import { describe } from './describe.ts'

interface Props {
  domId: string
  row: Row
  timeline: Timeline
  range: readonly [number, number]
  top: number
  isSelected: boolean
  /** Null where nothing is searched. */
  match: boolean | null
  isFolded: boolean
  select: () => void
  toggle: () => void
}

/** When, who, what, how long, and the bar that says where the time went. */
export function TimelineRow({ domId, row, timeline, range, top, isSelected, match, isFolded, select, toggle }: Props) {
  const { name, detail, state } = describe(row, saidIn(row, timeline))
  const isEvent = row.what.kind !== 'exchange'
  const classes = ['row', isEvent && 'row-event', row.isError && 'row-error', match === false && 'row-dim', match && 'row-match']
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the tree holds the focus and handles the keys
    <div
      role="treeitem"
      id={domId}
      tabIndex={-1}
      className={classes.filter(Boolean).join(' ')}
      aria-level={row.depth + 1}
      aria-selected={isSelected}
      aria-expanded={row.children > 0 ? !isFolded : undefined}
      style={{ transform: `translateY(${top}px)` }}
      onClick={select}
    >
      <span className="row-time">{duration(row.startUs / 1000)}</span>
      <span className="row-name" style={{ paddingInlineStart: row.depth * 16 }}>
        <Glyph row={row} isFolded={isFolded} toggle={toggle} />
        <b>{name}</b>
        {detail && <span className="row-detail">{detail}</span>}
        {isFolded && <span className="row-detail">{row.children} nested</span>}
      </span>
      <span className={row.isError ? 'row-state bad' : 'row-state'}>{state}</span>
      <span className="row-length">
        {isEvent || row.endUs === row.startUs
          ? ''
          : row.endUs === null
            ? state === 'cancelled' || timeline.recording.complete
              ? 'no answer'
              : 'open'
            : duration(lengthUs(row) / 1000)}
      </span>
      <Bar row={row} timeline={timeline} range={range} />
    </div>
  )
}

function Glyph({ row, isFolded, toggle }: { row: Row; isFolded: boolean; toggle: () => void }) {
  if (row.children > 0) {
    const Icon = isFolded ? ChevronRight : ChevronDown
    return (
      // biome-ignore lint/a11y/useKeyWithClickEvents: left and right on the tree do the same
      // biome-ignore lint/a11y/noStaticElementInteractions: a button inside a tree item is not for assistive technology
      <span
        className="row-fold"
        onClick={event => {
          event.stopPropagation()
          toggle()
        }}
      >
        <Icon size={13} aria-hidden />
      </span>
    )
  }
  if (row.what.kind !== 'exchange') return <Dot size={13} aria-hidden />
  if (row.what.exchange.kind === 'denied') return <Ban size={12} aria-hidden />
  return row.from === 'client' ? (
    <ArrowRight size={12} aria-label="from client" />
  ) : (
    <ArrowLeft size={12} aria-label="from server" />
  )
}

function Bar({ row, timeline, range: [fromUs, toUs] }: { row: Row; timeline: Timeline; range: readonly [number, number] }) {
  const width = toUs - fromUs
  const place = (startUs: number, endUs: number) => {
    const start = Math.min(1, Math.max(0, (startUs - fromUs) / width))
    const stop = Math.min(1, Math.max(0, (endUs - fromUs) / width))
    return { insetInlineStart: `${start * 100}%`, inlineSize: `${(stop - start) * 100}%` }
  }
  const { what } = row
  if (what.kind !== 'exchange' || what.exchange.spans.length === 0) {
    const isInside = row.startUs >= fromUs && row.startUs <= toUs
    return (
      <span className="bar" aria-hidden="true">
        {isInside && <i className="bar-tick" style={{ insetInlineStart: place(row.startUs, row.startUs).insetInlineStart }} />}
      </span>
    )
  }
  const open = what.exchange.endUs === null
  return (
    <span className="bar" aria-hidden="true">
      {what.exchange.spans
        .filter(span => span.endUs >= fromUs && span.startUs <= toUs)
        .map(span => (
          <i key={`${span.kind} ${span.startUs}`} data-is={span.kind} style={place(span.startUs, span.endUs)} />
        ))}
      {open && <i data-is="open" style={place(timeline.lengthUs, timeline.lengthUs)} />}
    </span>
  )
}
