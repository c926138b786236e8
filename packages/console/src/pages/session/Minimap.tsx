import { type KeyboardEvent, type PointerEvent, useMemo, useRef, useState } from 'react'
import { useKeys } from '../../keys.ts'
import type { Timeline } from '../../recording/timeline.ts'
import { duration } from '../../ui/format.ts'
import { useViewerSearch } from './viewerSearch.ts'

const slots = 240
const heightPx = 34
const stepShare = 0.02

interface Props {
  timeline: Timeline
  matches: ReadonlySet<string> | null
  zoom: readonly [number, number] | null
}

/** The whole session at a glance; drag over a part to zoom the time axis to it. */
export function Minimap({ timeline, matches, zoom }: Props) {
  const [, change] = useViewerSearch()
  const holder = useRef<HTMLDivElement>(null)
  const [drag, setDrag] = useState<readonly [number, number] | null>(null)
  const busy = useMemo(() => busySlots(timeline, matches), [timeline, matches])
  const { lengthUs } = timeline
  const [fromUs, toUs] = drag ?? zoom ?? [0, lengthUs]

  function set(from: number, to: number) {
    const start = Math.max(0, Math.round(Math.min(from, to)))
    const stop = Math.min(lengthUs, Math.round(Math.max(from, to)))
    const isAll = start === 0 && stop === lengthUs
    change({ zoomFrom: isAll ? undefined : start, zoomTo: isAll ? undefined : Math.max(start + 1, stop) })
  }
  const reset = () => change({ zoomFrom: undefined, zoomTo: undefined })
  function scale(factor: number) {
    const middle = (fromUs + toUs) / 2
    const half = ((toUs - fromUs) / 2) * factor
    set(middle - half, middle + half)
  }
  useKeys('Time axis', [
    { keys: '+', text: 'Zoom in', run: () => scale(0.5) },
    { keys: '-', text: 'Zoom out', run: () => scale(2) },
    { keys: '0', text: 'Show the whole session', run: reset },
  ])

  const at = (event: PointerEvent): number => {
    const box = holder.current!.getBoundingClientRect()
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * lengthUs
  }
  function onPointerUp(event: PointerEvent) {
    if (!drag) return
    event.currentTarget.releasePointerCapture(event.pointerId)
    // A click without a drag is no range.
    if (Math.abs(drag[1] - drag[0]) > lengthUs * 0.004) set(drag[0], drag[1])
    setDrag(null)
  }
  function moveEdge(event: KeyboardEvent, edge: 'from' | 'to') {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key]
    if (!by) return
    event.preventDefault()
    const step = by * lengthUs * stepShare
    if (edge === 'from') set(Math.min(fromUs + step, toUs - 1), toUs)
    else set(fromUs, Math.max(toUs + step, fromUs + 1))
  }
  const percent = (us: number) => `${(us / lengthUs) * 100}%`
  return (
    <div className="minimap-row">
      {/* biome-ignore lint/a11y/useSemanticElements: a fieldset cannot be drawn on */}
      <div
        className="minimap"
        role="group"
        aria-label={`Time axis, ${duration(lengthUs / 1000)} in all`}
        ref={holder}
        onPointerDown={event => {
          if ((event.target as HTMLElement).role === 'slider') return
          event.currentTarget.setPointerCapture(event.pointerId)
          setDrag([at(event), at(event)])
        }}
        onPointerMove={event => drag && setDrag([drag[0], at(event)])}
        onPointerUp={onPointerUp}
        onDoubleClick={reset}
      >
        <svg viewBox={`0 0 ${slots} ${heightPx}`} preserveAspectRatio="none" aria-hidden="true">
          {busy.map(({ slot, height, tone }) => (
            <rect key={slot} className={`minimap-${tone}`} x={slot} width={0.8} y={heightPx - height} height={height} />
          ))}
        </svg>
        <div className="minimap-veil" style={{ insetInlineStart: 0, inlineSize: percent(Math.min(fromUs, toUs)) }} />
        <div className="minimap-veil" style={{ insetInlineEnd: 0, inlineSize: percent(lengthUs - Math.max(fromUs, toUs)) }} />
        {(['from', 'to'] as const).map(edge => {
          const us = edge === 'from' ? Math.min(fromUs, toUs) : Math.max(fromUs, toUs)
          return (
            <div
              key={edge}
              role="slider"
              tabIndex={0}
              className="minimap-edge"
              aria-label={edge === 'from' ? 'Start of the time shown' : 'End of the time shown'}
              aria-valuemin={0}
              aria-valuemax={Math.round(lengthUs / 1000)}
              aria-valuenow={Math.round(us / 1000)}
              aria-valuetext={duration(us / 1000)}
              style={{ insetInlineStart: percent(us) }}
              onKeyDown={event => moveEdge(event, edge)}
            />
          )
        })}
      </div>
      <div className="axis" aria-hidden="true">
        <span>{duration(fromUs / 1000)}</span>
        {zoom ? (
          <button type="button" className="link-button" tabIndex={-1} onClick={reset}>
            whole session
          </button>
        ) : (
          <span>drag to zoom</span>
        )}
        <span>{duration(toUs / 1000)}</span>
      </div>
    </div>
  )
}

interface Slot {
  slot: number
  height: number
  tone: 'busy' | 'error' | 'match'
}

/** How much goes on in each slice of time; errors and matches show through. */
function busySlots({ rows, lengthUs }: Timeline, matches: ReadonlySet<string> | null): Slot[] {
  const load = new Float64Array(slots)
  const error = new Uint8Array(slots)
  const match = new Uint8Array(slots)
  for (const row of rows) {
    const first = Math.min(slots - 1, Math.floor((row.startUs / lengthUs) * slots))
    const last = Math.min(slots - 1, Math.floor(((row.endUs ?? lengthUs) / lengthUs) * slots))
    for (let slot = first; slot <= last; slot++) load[slot]! += row.depth === 0 ? 1 : 0.4
    if (row.isError) error[last] = 1
    if (matches?.has(row.id)) match[first] = 1
  }
  const most = Math.max(1, ...load)
  return Array.from(load, (value, slot): Slot => {
    const tone = match[slot] ? 'match' : error[slot] ? 'error' : 'busy'
    return { slot, height: value === 0 ? 0 : 4 + (Math.log1p(value) / Math.log1p(most)) * (heightPx - 8), tone }
  }).filter(slot => slot.height > 0)
}
