import './logs.css'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { useVirtualizer } from '@tanstack/react-virtual'
import { useEffect, useMemo, useRef, useState } from 'react'
import { useKeys } from '../../keys.ts'
import { Empty } from '../../ui/Empty.tsx'
import { clock, count, exact, plural } from '../../ui/format.ts'
import { Page } from '../../ui/Page.tsx'
import { Problem } from '../../ui/Problem.tsx'
import { SearchField } from '../../ui/SearchField.tsx'
import { State } from '../../ui/State.tsx'
import { Waiting } from '../../ui/Waiting.tsx'
import { type NumberedEntry, useLogTail } from './useLogTail.ts'

const route = getRouteApi('/logs')
const rowPx = 22
/** How near to the end counts as reading the end. */
const atEndPx = 40

/** What Conductor says of itself, as it says it. */
export default function LogsPage() {
  const search = route.useSearch()
  const navigate = useNavigate({ from: '/logs' })
  const [paused, setPaused] = useState(false)
  const { entries, held, state } = useLogTail(search.session, paused)
  const change = (part: Partial<typeof search>) => void navigate({ search: { ...search, ...part }, replace: true })
  useKeys('Logs', [{ keys: 'p', text: 'Pause or resume', run: () => setPaused(!paused) }])

  const shown = useMemo(() => {
    const text = search.find?.toLowerCase()
    return entries.filter(({ entry }) => {
      if (search.level === 'error' && entry.level !== 'error') return false
      if (search.level === 'warn' && entry.level === 'info') return false
      return !text || JSON.stringify(entry).toLowerCase().includes(text)
    })
  }, [entries, search.find, search.level])

  return (
    <Page
      title="Logs"
      fill
      beside={
        paused ? (
          <State tone="quiet">Paused{held > 0 && `, ${count(held)} waiting`}</State>
        ) : state.is === 'following' ? (
          <State tone="good">Following</State>
        ) : (
          <State tone="warn">{state.is === 'connecting' ? 'Connecting' : 'Away'}</State>
        )
      }
      actions={
        <button type="button" className="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>
          {paused ? 'Resume' : 'Pause'}
        </button>
      }
    >
      <div className="toolbar">
        <SearchField label="Search logs" value={search.find ?? ''} onChange={find => change({ find: find || undefined })} />
        <fieldset className="segments">
          <legend className="only-heard">Level</legend>
          {([undefined, 'warn', 'error'] as const).map(level => (
            <button key={level ?? 'all'} type="button" aria-pressed={search.level === level} onClick={() => change({ level })}>
              {level === undefined ? 'All' : level === 'warn' ? 'Warnings and errors' : 'Errors'}
            </button>
          ))}
        </fieldset>
        {search.session && (
          <Link to="/logs" search={{ ...search, session: undefined }} className="button quiet">
            Only session <code>{search.session.slice(-8)}</code> ×
          </Link>
        )}
        <span className="push" />
        <span className="hint">
          {shown.length === entries.length
            ? plural(shown.length, 'entry', 'entries')
            : `${count(shown.length)} of ${plural(entries.length, 'entry', 'entries')}`}
        </span>
      </div>
      {state.is === 'away' && <Problem error={state.error} doing="follow the log; trying again" />}
      {entries.length === 0 && state.is === 'connecting' && <Waiting what="Opening the log" />}
      {entries.length === 0 && state.is === 'following' && (
        <Empty
          title="Nothing was logged yet"
          body="Conductor logs deployments, leases, sessions and failures. `maestro logs --follow` shows the same."
        />
      )}
      {entries.length > 0 && shown.length === 0 && (
        <Empty
          title="No entry passes"
          body={`${plural(entries.length, 'entry is', 'entries are')} here, but none with this level and text.`}
        />
      )}
      {shown.length > 0 && <Entries entries={shown} isStill={paused} />}
    </Page>
  )
}

function Entries({ entries, isStill }: { entries: readonly NumberedEntry[]; isStill: boolean }) {
  const scroller = useRef<HTMLDivElement>(null)
  const follows = useRef(true)
  const list = useVirtualizer({
    count: entries.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowPx,
    getItemKey: index => entries[index]!.number,
    overscan: 20,
  })
  // The end stays in sight for as long as the reader stays there.
  const last = entries.at(-1)?.number
  useEffect(() => {
    if (last !== undefined && follows.current && !isStill) list.scrollToIndex(entries.length - 1, { align: 'end' })
  }, [last, entries.length, isStill, list])
  return (
    <div
      className="log fills"
      role="log"
      aria-label="Log entries"
      aria-live="off"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
      tabIndex={0}
      ref={scroller}
      onScroll={event => {
        const { scrollHeight, scrollTop, clientHeight } = event.currentTarget
        follows.current = scrollHeight - scrollTop - clientHeight < atEndPx
      }}
    >
      <div style={{ blockSize: list.getTotalSize(), position: 'relative' }}>
        {list.getVirtualItems().map(({ index, key, start }) => (
          <Line key={key} numbered={entries[index]!} top={start} />
        ))}
      </div>
    </div>
  )
}

function Line({ numbered: { entry }, top }: { numbered: NumberedEntry; top: number }) {
  const { at, level, event, ...facts } = entry as Record<string, unknown> & NumberedEntry['entry']
  const session = typeof facts['session'] === 'string' ? facts['session'] : null
  return (
    <div className="log-line" data-level={level} style={{ transform: `translateY(${top}px)` }}>
      <time dateTime={new Date(at).toISOString()} title={exact(at)}>
        {clock(at)}
      </time>
      <span className="log-level">{level}</span>
      <b>{event}</b>
      <span className="log-facts">
        {Object.entries(facts).map(([name, value]) => (
          <span key={name}>
            <i>{name}</i>=
            {name === 'session' && session ? (
              <Link to="/sessions/$id" params={{ id: session }}>
                {session}
              </Link>
            ) : (
              <span>{typeof value === 'string' ? value : JSON.stringify(value)}</span>
            )}
          </span>
        ))}
      </span>
    </div>
  )
}
