import { useVirtualizer } from '@tanstack/react-virtual'
import { type KeyboardEvent, useEffect, useId, useRef } from 'react'
import { useKeys } from '../../keys.ts'
import type { Timeline as Model, Row } from '../../recording/timeline.ts'
import { Empty } from '../../ui/Empty.tsx'
import { TimelineRow } from './TimelineRow.tsx'

interface Props {
  timeline: Model
  rows: readonly Row[]
  matches: ReadonlySet<string> | null
  zoom: readonly [number, number] | null
  folded: ReadonlySet<string>
  fold: (id: string, shut: boolean) => void
  selected: string | null
  select: (id: string) => void
  clear: () => void
}

const rowPx = 28

/** A tree with one stop for the tab key; arrows or j and k move, left and right fold. */
export function Timeline({ timeline, rows, matches, zoom, folded, fold, selected, select, clear }: Props) {
  const scroller = useRef<HTMLDivElement>(null)
  const treeId = useId()
  const list = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowPx,
    overscan: 16,
  })
  const at = rows.findIndex(row => row.id === selected)
  useEffect(() => {
    if (at >= 0) list.scrollToIndex(at, { align: 'auto' })
  }, [at, list])

  function move(to: number) {
    const row = rows[Math.min(rows.length - 1, Math.max(0, to))]
    if (row) select(row.id)
  }
  useKeys('Timeline', [
    { keys: 'j', text: 'Next row', run: () => move(at + 1) },
    { keys: 'k', text: 'Previous row', run: () => move(at < 0 ? 0 : at - 1) },
    { keys: 'Escape', text: 'Back to the session', run: clear },
  ])
  function onKeyDown(event: KeyboardEvent) {
    const page = Math.max(1, Math.floor((scroller.current?.clientHeight ?? rowPx) / rowPx) - 1)
    const to = {
      ArrowDown: at + 1,
      ArrowUp: at < 0 ? 0 : at - 1,
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: rows.length - 1,
    }[event.key]
    const row = rows[at]
    if (to !== undefined) {
      event.preventDefault()
      move(to)
    } else if (row && event.key === 'ArrowRight' && row.children > 0) {
      event.preventDefault()
      fold(row.id, false)
    } else if (row && event.key === 'ArrowLeft') {
      event.preventDefault()
      if (row.children > 0 && !folded.has(row.id)) fold(row.id, true)
      else if (row.parent) select(row.parent.id)
    }
  }
  if (rows.length === 0) {
    return timeline.rows.length === 0 ? (
      <Empty title="Nothing on the tape yet" body="Frames and events appear here as the session goes on." />
    ) : (
      <Empty
        title="No row passes"
        body="The recording has rows, but none within these filters and this time. Press `0` to show the whole session."
      />
    )
  }
  const range = zoom ?? ([0, timeline.lengthUs] as const)
  return (
    <div className="timeline" ref={scroller}>
      <div
        role="tree"
        aria-label="Timeline"
        tabIndex={0}
        aria-activedescendant={at >= 0 ? `${treeId}-${rows[at]!.id}` : undefined}
        onKeyDown={onKeyDown}
        style={{ blockSize: list.getTotalSize(), position: 'relative' }}
      >
        {list.getVirtualItems().map(({ index, start }) => {
          const row = rows[index]!
          return (
            <TimelineRow
              key={row.id}
              domId={`${treeId}-${row.id}`}
              row={row}
              timeline={timeline}
              range={range}
              top={start}
              isSelected={row.id === selected}
              match={matches ? matches.has(row.id) : null}
              isFolded={folded.has(row.id)}
              select={() => select(row.id)}
              toggle={() => fold(row.id, !folded.has(row.id))}
            />
          )
        })}
      </div>
    </div>
  )
}
