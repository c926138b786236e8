import type { Session } from '@maestro/contract'
import type { Recording } from '@maestro/logic'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { Download, RotateCcw } from 'lucide-react'
import { useEffect, useMemo } from 'react'
import { useActions } from '../../actions.ts'
import { ApiError, call, pathOf } from '../../api/call.ts'
import { queries } from '../../api/queries.ts'
import { useKeys } from '../../keys.ts'
import { readTape } from '../../recording/readTape.ts'
import { Ago } from '../../ui/Ago.tsx'
import { announce } from '../../ui/Announcer.tsx'
import { Copy } from '../../ui/Copy.tsx'
import { Empty } from '../../ui/Empty.tsx'
import { Fact, Facts } from '../../ui/Facts.tsx'
import { count, duration, shortDigest, shortId } from '../../ui/format.ts'
import { Page } from '../../ui/Page.tsx'
import { Problem } from '../../ui/Problem.tsx'
import { useConfirm } from '../../ui/useConfirm.tsx'
import { Waiting } from '../../ui/Waiting.tsx'
import { ReplayBadge, SessionState } from '../sessions/sessionColumns.tsx'
import { ReplayPanel, replayRefusal } from './ReplayPanel.tsx'
import { SessionFacts } from './SessionFacts.tsx'
import { Viewer } from './Viewer.tsx'
import { ViewerFailed } from './ViewerFailed.tsx'
import { useViewerSearch } from './viewerSearch.ts'

const route = getRouteApi('/sessions/$id')
const above = <Link to="/sessions">Sessions</Link>

/** One session: its recording as far as it is written, and what can be done with it. */
export default function SessionPage() {
  const { id } = route.useParams()
  const session = useQuery(queries.session(id))
  if (session.data) return <Loaded session={session.data} />
  const isMissing = session.error instanceof ApiError && session.error.problem.code === 'session_not_found'
  return (
    <Page title={shortId(id)} above={above}>
      {session.isPending && <Waiting what="Reading the session" />}
      {isMissing && (
        <Empty
          title="There is no such session"
          body={`No session has the id \`${id}\`. It may belong to another Conductor; a recording file opens here too.`}
          action={
            <Link to="/sessions" className="button">
              All sessions
            </Link>
          }
        />
      )}
      {session.error && !isMissing && (
        <Problem error={session.error} doing="read the session" retry={() => void session.refetch()} />
      )}
    </Page>
  )
}

type Read = { recording: Recording; size: number } | { error: unknown }

function Loaded({ session }: { session: Session }) {
  const client = useQueryClient()
  const [search, change] = useViewerSearch()
  const [ask, question] = useConfirm()
  const tape = useQuery(queries.recording(session.id, session.state))
  const read = useMemo((): Read | null => {
    try {
      return tape.data ? { recording: readTape(tape.data), size: tape.data.length } : null
    } catch (error) {
      return { error }
    }
  }, [tape.data])
  const isOpen = session.state !== 'closed'
  // The row may say closed a moment before the tape is sealed. Asked once more; a tape that was cut off stays so.
  const isUnsealed = !isOpen && read !== null && 'recording' in read && read.recording.end === null
  const { refetch } = tape
  useEffect(() => {
    if (!isUnsealed) return
    const timer = setTimeout(() => void refetch(), 1_000)
    return () => clearTimeout(timer)
  }, [isUnsealed, refetch])
  const refusal = replayRefusal(session)
  const recordingPath = pathOf('getRecording', { params: { id: session.id } })

  const toReplay = () => change({ panel: search.panel === 'replay' ? undefined : 'replay' })
  const askToClose = () =>
    ask({
      title: 'Close session',
      sentence: `Close ${session.id} of ${session.client ?? session.subject} on ${session.deploymentName}? Calls that are open end with an error, and the client has to connect again. The recording stays.`,
      verb: 'Close session',
      act: async () => {
        client.setQueryData(queries.session(session.id).queryKey, await call('closeSession', { params: { id: session.id } }))
        void client.invalidateQueries({ queryKey: ['recording', session.id] })
        announce('Session closed')
      },
    })
  useKeys('Session', [{ keys: 'r', text: 'Replay panel', run: toReplay }])
  useActions(
    useMemo(
      () => [
        { text: 'Copy session id', kind: 'Action', run: () => void navigator.clipboard.writeText(session.id) },
        { text: 'Download recording', kind: 'Action', run: () => location.assign(recordingPath) },
      ],
      [session.id, recordingPath],
    ),
  )
  return (
    <Page
      fill
      title={`${session.deploymentName} ${shortId(session.id)}`}
      above={above}
      beside={
        <>
          <Copy text={session.id} label="session id" />
          <SessionState session={session} />
          {session.replay && <ReplayBadge replay={session.replay} />}
        </>
      }
      actions={
        <>
          <a className="button quiet" href={recordingPath} download={`${session.id}.mcrec`}>
            <Download size={14} aria-hidden /> Recording
          </a>
          {isOpen && (
            <button type="button" className="button danger" onClick={askToClose}>
              Close session
            </button>
          )}
          <button
            type="button"
            className="button"
            aria-pressed={search.panel === 'replay'}
            title={refusal ?? undefined}
            onClick={toReplay}
          >
            <RotateCcw size={14} aria-hidden /> Replay
          </button>
        </>
      }
    >
      {question}
      <Facts row>
        <Fact name="Release">
          <Digest tape={read} fallback={session.release} />
        </Fact>
        <Fact name="Driver">{session.driver}</Fact>
        <Fact name="Startup">
          {session.startupMs === null ? '–' : duration(session.startupMs)}{' '}
          <span className="start">{session.warm ? 'warm' : 'cold'}</span>
        </Fact>
        <Fact name="Client">{session.client ?? <span className="none">not said</span>}</Fact>
        <Fact name="Errors">
          <span className={session.errors ? 'bad' : undefined}>{count(session.errors)}</span>
        </Fact>
        <Fact name="Opened">
          <Ago at={session.openedAt} />
        </Fact>
        {session.closedAt != null && (
          <Fact name="End">
            {(session.closeReason ?? 'unknown').replaceAll('_', ' ')} after {duration(session.closedAt - session.openedAt)}
          </Fact>
        )}
      </Facts>
      {tape.isPending && <Waiting what="Reading the recording" />}
      {tape.error && <Problem error={tape.error} doing="fetch the recording" retry={() => void tape.refetch()} />}
      {read && 'error' in read && <Problem error={read.error} doing="read the recording" retry={() => void tape.refetch()} />}
      {read && 'recording' in read && (
        <ViewerFailed>
          <Viewer
            recording={read.recording}
            isLive={isOpen}
            aside={
              search.panel === 'replay' ? (
                <ReplayPanel session={session} />
              ) : (
                <SessionFacts recording={read.recording} size={read.size} session={session} />
              )
            }
          />
        </ViewerFailed>
      )}
    </Page>
  )
}

function Digest({ tape, fallback }: { tape: Read | null; fallback: string }) {
  if (!tape || 'error' in tape) return <code>{fallback}</code>
  const { header } = tape.recording
  return (
    <>
      {header.releaseName} {header.releaseVersion} <code title={header.digest}>{shortDigest(header.digest)}</code>
    </>
  )
}
