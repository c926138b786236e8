import { useNavigate, useSearch } from '@tanstack/react-router'
import { useCallback } from 'react'
import { natural, oneOf, searchOf, text } from '../../search.ts'

/** What the session viewer keeps in the URL; the same for a session and for a file. */
export const viewerSearch = searchOf({
  /** Selected row, by the id the timeline gives it. */
  at: text,
  tab: oneOf('input', 'output', 'frames', 'timing'),
  /** What the right panel shows instead of the selected row. */
  panel: oneOf('replay'),
  find: text,
  /** Hides what does not match. */
  matches: oneOf('only'),
  only: oneOf('errors', 'slow'),
  from: oneOf('client', 'server'),
  method: text,
  /** Zoom of the time axis, µs since the tape was opened. */
  zoomFrom: natural,
  zoomTo: natural,
})

export type ViewerSearch = ReturnType<typeof viewerSearch>

/** The viewer's state, which is the URL's, and how to change it. Moving about in a recording makes no history. */
export function useViewerSearch(): [ViewerSearch, (change: Partial<ViewerSearch>) => void] {
  const search = useSearch({ strict: false }) as ViewerSearch
  const navigate = useNavigate()
  const change = useCallback(
    (part: Partial<ViewerSearch>) =>
      void navigate({
        to: '.',
        search: (now: Record<string, unknown>) => ({ ...now, ...part }) as never,
        replace: true,
        resetScroll: false,
      }),
    [navigate],
  )
  return [search, change]
}
