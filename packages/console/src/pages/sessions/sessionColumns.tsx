import type { Session } from '@maestro/contract'
import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { Ago } from '../../ui/Ago.tsx'
import { count, duration, shortId } from '../../ui/format.ts'
import { Badge, State } from '../../ui/State.tsx'

export interface Column {
  head: string
  /** `number` aligns right; `grow` takes what room is left. */
  kind?: 'number' | 'grow'
  cell: (session: Session) => ReactNode
}

export const sessionColumns: readonly Column[] = [
  {
    head: 'Session',
    cell: session => (
      <Link to="/sessions/$id" params={{ id: session.id }} className="id" title={session.id}>
        {shortId(session.id)}
      </Link>
    ),
  },
  { head: 'State', cell: session => <SessionState session={session} /> },
  {
    head: 'Deployment',
    cell: session => (
      <Link to="/deployments/$id" params={{ id: session.deployment }}>
        {session.deploymentName}
      </Link>
    ),
  },
  {
    head: 'Client',
    kind: 'grow',
    cell: session => session.client ?? <span className="none">not said</span>,
  },
  { head: 'Subject', cell: session => session.subject },
  { head: 'Startup', kind: 'number', cell: session => <Startup session={session} /> },
  { head: 'Calls', kind: 'number', cell: session => count(session.calls) },
  {
    head: 'Errors',
    kind: 'number',
    cell: session => <span className={session.errors > 0 ? 'bad' : 'none'}>{count(session.errors)}</span>,
  },
  { head: 'Frames', kind: 'number', cell: session => count(session.frames) },
  { head: 'Opened', kind: 'number', cell: session => <Ago at={session.openedAt} /> },
  { head: 'Replay', cell: session => <ReplayBadge replay={session.replay} /> },
]

export function SessionState({ session }: { session: Session }) {
  if (session.state === 'opening') return <State tone="busy">Opening</State>
  if (session.state === 'ready') return <State tone="good">Open</State>
  if (session.state === 'hibernated') return <State tone="quiet">Hibernated</State>
  const ordinary = session.closeReason === null || ['client', 'idle', 'drain', 'operator'].includes(session.closeReason)
  return <State tone={ordinary ? 'quiet' : 'bad'}>{ordinary ? 'Closed' : (session.closeReason ?? '').replaceAll('_', ' ')}</State>
}

function Startup({ session }: { session: Session }) {
  if (session.startupMs === null) return <span className="none">–</span>
  return (
    <>
      {duration(session.startupMs)}{' '}
      <span className="start" title={session.warm ? 'Served by a warm sandbox' : 'A sandbox was started for it'}>
        {session.warm ? 'warm' : 'cold'}
      </span>
    </>
  )
}

export function ReplayBadge({ replay }: { replay: Session['replay'] }) {
  if (!replay) return <span className="none">–</span>
  return replay.identical ? (
    <Badge tone="good" title="The newest re-execution gave every frame again">
      identical
    </Badge>
  ) : (
    <Badge tone="warn" title="The newest re-execution differed">
      {(Math.floor(replay.fidelity * 1000) / 10).toFixed(1)} %
    </Badge>
  )
}
