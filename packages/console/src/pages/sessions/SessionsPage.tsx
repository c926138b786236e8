import './sessions.css'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { useVirtualizer } from '@tanstack/react-virtual'
import { FolderOpen } from 'lucide-react'
import { useEffect, useRef, useState } from 'react'
import { queries } from '../../api/queries.ts'
import { useKeys } from '../../keys.ts'
import { Elsewhere } from '../../shell/Elsewhere.tsx'
import { announce } from '../../ui/Announcer.tsx'
import { Empty } from '../../ui/Empty.tsx'
import { count, plural } from '../../ui/format.ts'
import { Page } from '../../ui/Page.tsx'
import { Problem } from '../../ui/Problem.tsx'
import { SearchField } from '../../ui/SearchField.tsx'
import { Waiting } from '../../ui/Waiting.tsx'
import { RecordingDrop, useRecordingFile } from '../session/RecordingDrop.tsx'
import { sessionColumns } from './sessionColumns.tsx'
import { useSessionList } from './useSessionList.ts'

const route = getRouteApi('/sessions')
const rowPx = 30

/** Every session, newest first, live without jumping. */
export default function SessionsPage() {
  const filter = route.useSearch()
  const navigate = useNavigate({ from: '/sessions' })
  const deployments = useQuery(queries.deployments())
  const { sessions, newCount, isNewCountFull, open, pages, showNew } = useSessionList(filter)
  const isFiltered = Boolean(filter.deployment || filter.state || filter.search)
  const change = (part: Partial<typeof filter>) => void navigate({ search: { ...filter, ...part }, replace: true })
  const { choose, take, error: fileError } = useRecordingFile()

  useEffect(() => {
    if (newCount > 0) announce(`${plural(newCount, 'new session')}. Press n to show them.`)
  }, [newCount])
  useKeys('Sessions', [{ keys: 'n', text: 'Show new sessions', run: showNew }])

  return (
    <Page
      title="Sessions"
      fill
      beside={<span className="hint">{count(open)} open</span>}
      actions={
        <button type="button" className="button" onClick={choose} title="Read in this browser; nothing is uploaded">
          <FolderOpen size={14} aria-hidden /> Open a recording…
        </button>
      }
    >
      <RecordingDrop take={take} />
      {fileError !== null && <Problem error={fileError} doing="open the recording" />}
      <div className="toolbar">
        <SearchField
          label="Search sessions"
          placeholder="Id, client, subject, deployment"
          value={filter.search ?? ''}
          onChange={search => change({ search: search || undefined })}
        />
        <label className="inline-label">
          <span>State</span>
          <select
            value={filter.state ?? ''}
            onChange={event => change({ state: (event.target.value || undefined) as typeof filter.state })}
          >
            <option value="">any</option>
            <option value="opening">opening</option>
            <option value="ready">open</option>
            <option value="hibernated">hibernated</option>
            <option value="closed">closed</option>
          </select>
        </label>
        <label className="inline-label">
          <span>Deployment</span>
          <select value={filter.deployment ?? ''} onChange={event => change({ deployment: event.target.value || undefined })}>
            <option value="">any</option>
            {filter.deployment && !deployments.data?.items.some(item => item.name === filter.deployment) && (
              <option value={filter.deployment}>{filter.deployment}</option>
            )}
            {deployments.data?.items.map(item => (
              <option key={item.id} value={item.name}>
                {item.name}
              </option>
            ))}
          </select>
        </label>
        {isFiltered && (
          <Link to="/sessions" className="button quiet">
            Clear filters
          </Link>
        )}
        <span className="push" />
        {newCount > 0 && (
          <button type="button" className="button primary" onClick={showNew}>
            Show {isNewCountFull ? `${newCount} or more new sessions` : plural(newCount, 'new session')}
          </button>
        )}
      </div>
      {pages.error && <Problem error={pages.error} doing="list the sessions" retry={() => void pages.refetch()} />}
      {pages.isPending && <Waiting what="Listing sessions" />}
      {!pages.isPending && sessions.length === 0 && !pages.error && <Nothing isFiltered={isFiltered} />}
      {sessions.length > 0 && <Table list={{ sessions, pages }} />}
    </Page>
  )
}

function Nothing({ isFiltered }: { isFiltered: boolean }) {
  return isFiltered ? (
    <Empty
      title="No session matches"
      body="Sessions are there, but none with this state, deployment and text."
      action={
        <Link to="/sessions" className="button">
          Clear filters
        </Link>
      }
    />
  ) : (
    <div className="stack">
      <Empty
        title="No sessions yet"
        body="A session appears here when a client connects to a deployment’s MCP URL. Drop a .mcrec file anywhere on this page to look at a recording."
        action={
          <Link to="/deployments" className="button">
            Choose a deployment to try
          </Link>
        }
      />
      <Elsewhere cli="maestro sessions" route="listSessions" />
    </div>
  )
}

function Table({ list: { sessions, pages } }: { list: Pick<ReturnType<typeof useSessionList>, 'sessions' | 'pages'> }) {
  const scroller = useRef<HTMLDivElement>(null)
  const [cursor, setCursor] = useState<number | null>(null)
  const rows = useVirtualizer({
    count: sessions.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowPx,
    overscan: 12,
  })
  const items = rows.getVirtualItems()
  const last = items.at(-1)?.index ?? 0
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = pages
  useEffect(() => {
    if (last >= sessions.length - 15 && hasNextPage && !isFetchingNextPage) void fetchNextPage()
  }, [last, sessions.length, hasNextPage, isFetchingNextPage, fetchNextPage])

  // The link takes the focus, so that enter, screen reader and mouse mean the same row.
  useEffect(() => {
    if (cursor === null) return
    rows.scrollToIndex(cursor)
    const frame = requestAnimationFrame(() =>
      scroller.current?.querySelector<HTMLElement>(`[data-index="${cursor}"] a`)?.focus({ preventScroll: true }),
    )
    return () => cancelAnimationFrame(frame)
  }, [cursor, rows])
  const step = (by: 1 | -1) => setCursor(at => (at === null ? 0 : Math.min(sessions.length - 1, Math.max(0, at + by))))
  useKeys('Sessions', [
    { keys: 'j', text: 'Next session', run: () => step(1) },
    { keys: 'k', text: 'Previous session', run: () => step(-1) },
  ])

  const above = items[0]?.start ?? 0
  const below = rows.getTotalSize() - (items.at(-1)?.end ?? 0)
  return (
    <div className="table-scroll fills" ref={scroller}>
      <table aria-label="Sessions, newest first" aria-rowcount={hasNextPage ? -1 : sessions.length + 1}>
        <thead>
          <tr aria-rowindex={1}>
            {sessionColumns.map(({ head, kind }) => (
              <th key={head} scope="col" className={kind}>
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {above > 0 && (
            // biome-ignore lint/a11y/noAriaHiddenOnFocusable: a table row takes no focus
            <tr aria-hidden="true" className="spacer">
              <td colSpan={sessionColumns.length} style={{ blockSize: above }} />
            </tr>
          )}
          {items.map(({ index }) => {
            const session = sessions[index]!
            return (
              <tr key={session.id} aria-rowindex={index + 2} data-index={index} onFocus={() => setCursor(index)}>
                {sessionColumns.map(({ head, kind, cell }) => (
                  <td key={head} className={kind}>
                    {cell(session)}
                  </td>
                ))}
              </tr>
            )
          })}
          {below > 0 && (
            // biome-ignore lint/a11y/noAriaHiddenOnFocusable: a table row takes no focus
            <tr aria-hidden="true" className="spacer">
              <td colSpan={sessionColumns.length} style={{ blockSize: below }} />
            </tr>
          )}
        </tbody>
      </table>
      {isFetchingNextPage && <Waiting what="Fetching older sessions" />}
    </div>
  )
}
