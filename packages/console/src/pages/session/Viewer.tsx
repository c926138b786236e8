import './viewer.css'
import type { Recording } from '@maestro/logic'
import { type ReactNode, useDeferredValue, useMemo, useState } from 'react'
import { findRows } from '../../recording/frameText.ts'
import { findRow, timelineOf, visibleRows } from '../../recording/timeline.ts'
import { bytes, plural } from '../../ui/format.ts'
import { Split } from '../../ui/Split.tsx'
import { Details } from './Details.tsx'
import { Legend } from './Legend.tsx'
import { Minimap } from './Minimap.tsx'
import { Timeline } from './Timeline.tsx'
import { TimelineTools } from './TimelineTools.tsx'
import { useViewerSearch } from './viewerSearch.ts'

interface Props {
  recording: Recording
  /** Whether more may come. */
  isLive: boolean
  /** Right panel where no row is selected. */
  aside: ReactNode
}

/** A recording on two panels: what happened when on the left, the selected thing on the right. */
export function Viewer({ recording, isLive, aside }: Props) {
  const [search, change] = useViewerSearch()
  const [folded, setFolded] = useState<ReadonlySet<string>>(new Set())
  const timeline = useMemo(() => timelineOf(recording), [recording])
  const text = useDeferredValue(search.find)
  const found = useMemo(() => (text ? findRows(timeline, text) : null), [timeline, text])
  const matches = useMemo(() => found && new Set(found), [found])
  const { only, from, method, zoomFrom, zoomTo } = search
  const zoom = useMemo(
    () =>
      zoomFrom !== undefined && zoomTo !== undefined && zoomFrom < zoomTo
        ? ([zoomFrom, Math.min(zoomTo, timeline.lengthUs)] as const)
        : null,
    [zoomFrom, zoomTo, timeline.lengthUs],
  )
  const rows = useMemo(
    () => visibleRows(timeline, { only, from, method, zoom, folded, matches: search.matches === 'only' ? matches : null }),
    [timeline, only, from, method, zoom, folded, search.matches, matches],
  )
  const selected = useMemo(() => (search.at ? findRow(timeline, search.at) : null), [timeline, search.at])

  function stepMatch(by: 1 | -1) {
    const shown = rows.filter(row => matches?.has(row.id)).map(row => row.id)
    if (shown.length === 0) return
    const at = shown.indexOf(selected?.id ?? '')
    // From an unselected row on, the first or last match; past the end, around.
    const next = at < 0 ? (by > 0 ? 0 : shown.length - 1) : (at + by + shown.length) % shown.length
    change({ at: shown[next], panel: undefined })
  }
  function fold(id: string, shut: boolean) {
    const next = new Set(folded)
    if (shut) next.add(id)
    else next.delete(id)
    setFolded(next)
  }
  const { damage, tornBytes, complete } = recording
  return (
    <Split
      name="viewer"
      start={
        <div className="timeline-panel">
          <TimelineTools
            timeline={timeline}
            selected={selected?.id ?? null}
            found={found}
            shownCount={rows.length}
            stepMatch={stepMatch}
          />
          <Minimap timeline={timeline} matches={matches} zoom={zoom} />
          {damage && (
            <p className="tape-note bad" role="alert">
              The recording is damaged {bytes(damage.offset)} in ({damage.because}); the {bytes(damage.bytes)} behind that are not
              shown.
            </p>
          )}
          {!damage && !complete && !isLive && (
            <p className="tape-note warn">
              The recording was cut off and has no end
              {tornBytes > 0 && `; ${plural(tornBytes, 'byte')} of an unfinished record are not shown`}.
            </p>
          )}
          <Timeline
            timeline={timeline}
            rows={rows}
            matches={matches}
            zoom={zoom}
            folded={folded}
            fold={fold}
            selected={selected?.id ?? null}
            select={id => change({ at: id, panel: undefined })}
            clear={() => change({ at: undefined, panel: undefined })}
          />
          <Legend />
        </div>
      }
      end={
        selected && !search.panel ? (
          <Details key={selected.id} row={selected} timeline={timeline} />
        ) : (
          <div className="aside">{aside}</div>
        )
      }
    />
  )
}
