import { ChevronDown, ChevronUp } from 'lucide-react'
import { useKeys } from '../../keys.ts'
import type { Timeline } from '../../recording/timeline.ts'
import { count, plural } from '../../ui/format.ts'
import { SearchField } from '../../ui/SearchField.tsx'
import { useViewerSearch } from './viewerSearch.ts'

interface Props {
  timeline: Timeline
  selected: string | null
  found: readonly string[] | null
  shownCount: number
  stepMatch: (by: 1 | -1) => void
}

/** Search and filters over the timeline. */
export function TimelineTools({ timeline, selected, found, shownCount, stepMatch }: Props) {
  const [search, change] = useViewerSearch()
  useKeys('Timeline', [
    { keys: 'n', text: 'Next match', run: () => stepMatch(1) },
    { keys: 'N', text: 'Previous match', run: () => stepMatch(-1) },
    { keys: 'e', text: 'Only errors, or all', run: () => change({ only: search.only === 'errors' ? undefined : 'errors' }) },
  ])
  const errors = timeline.rows.filter(row => row.isError).length
  const at = found?.indexOf(selected ?? '') ?? -1
  const toggle = (only: 'errors' | 'slow') => change({ only: search.only === only ? undefined : only })
  return (
    <div className="toolbar timeline-tools">
      <SearchField
        label="Search in frames"
        value={search.find ?? ''}
        onChange={find => change({ find: find || undefined, ...(find ? {} : { matches: undefined }) })}
        onStep={stepMatch}
      />
      {found && (
        <>
          <span className="hint" role="status">
            {at >= 0 ? `${at + 1} of ${count(found.length)}` : plural(found.length, 'match', 'matches')}
          </span>
          <button
            type="button"
            className="icon-button"
            aria-label="Previous match"
            disabled={found.length === 0}
            onClick={() => stepMatch(-1)}
          >
            <ChevronUp size={15} aria-hidden />
          </button>
          <button
            type="button"
            className="icon-button"
            aria-label="Next match"
            disabled={found.length === 0}
            onClick={() => stepMatch(1)}
          >
            <ChevronDown size={15} aria-hidden />
          </button>
          <label className="check">
            <input
              type="checkbox"
              checked={search.matches === 'only'}
              onChange={event => change({ matches: event.target.checked ? 'only' : undefined })}
            />
            only matches
          </label>
        </>
      )}
      <fieldset className="segments">
        <legend className="only-heard">Show</legend>
        <button type="button" aria-pressed={!search.only} onClick={() => change({ only: undefined })}>
          All
        </button>
        <button type="button" aria-pressed={search.only === 'errors'} onClick={() => toggle('errors')}>
          Errors {errors > 0 && <span className="bad">{count(errors)}</span>}
        </button>
        <button
          type="button"
          aria-pressed={search.only === 'slow'}
          title="The tenth of the requests that took longest"
          onClick={() => toggle('slow')}
        >
          Slow
        </button>
      </fieldset>
      <select
        aria-label="Who spoke first"
        value={search.from ?? ''}
        onChange={event => change({ from: (event.target.value || undefined) as typeof search.from })}
      >
        <option value="">both sides</option>
        <option value="client">from client</option>
        <option value="server">from server</option>
      </select>
      <select
        aria-label="Method"
        className="method-select"
        value={search.method ?? ''}
        onChange={event => change({ method: event.target.value || undefined })}
      >
        <option value="">any method</option>
        {timeline.methods.map(([method, times]) => (
          <option key={method} value={method}>
            {method} ({times})
          </option>
        ))}
      </select>
      {shownCount < timeline.rows.length && (
        <span className="hint" role="status">
          {count(shownCount)} of {plural(timeline.rows.length, 'row')}
        </span>
      )}
    </div>
  )
}
