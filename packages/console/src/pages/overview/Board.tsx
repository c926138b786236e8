import type { PoolView } from '@maestro/contract'
import { Link } from '@tanstack/react-router'
import { plural } from '../../ui/format.ts'
import { State } from '../../ui/State.tsx'

type Line = PoolView['deployments'][number]
type Socket = 'leased' | 'warm' | 'starting' | 'wanted'

const socketsMax = 32

/** The switchboard: a line per deployment, a socket per sandbox. */
export function Board({ pool }: { pool: PoolView }) {
  return (
    <div className="board">
      <ul className="board-lines">
        {pool.deployments.map(line => (
          <li key={line.deployment}>
            <Link to="/deployments/$id" params={{ id: line.deployment }}>
              {line.name}
            </Link>
            <Sockets line={line} />
            <span className="board-words">
              {inWords(line)}
              {line.lastError && <State tone="bad">last start failed</State>}
            </span>
          </li>
        ))}
      </ul>
      <SocketKey />
    </div>
  )
}

/** What the sockets mean. */
export function SocketKey() {
  return (
    <p className="board-key" aria-hidden="true">
      <i className="socket" data-is="leased" /> leased
      <i className="socket" data-is="warm" /> warm
      <i className="socket" data-is="starting" /> starting
      <i className="socket" data-is="wanted" /> wanted
    </p>
  )
}

/** One socket per sandbox, for the eye; the words beside it say the same. */
export function Sockets({ line }: { line: Line }) {
  const wanted = Math.max(0, line.target - line.warm - line.starting)
  const sockets: Socket[] = [
    ...Array<Socket>(line.leased).fill('leased'),
    ...Array<Socket>(line.warm).fill('warm'),
    ...Array<Socket>(line.starting).fill('starting'),
    ...Array<Socket>(wanted).fill('wanted'),
  ]
  return (
    <span className="sockets" aria-hidden="true">
      {sockets.slice(0, socketsMax).map((socket, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: sockets of a kind are alike
        <i key={`${socket} ${index}`} className="socket" data-is={socket} />
      ))}
      {sockets.length > socketsMax && <span>+{sockets.length - socketsMax}</span>}
    </span>
  )
}

function inWords({ leased, warm, starting, target }: Line): string {
  const parts = [`${leased} leased`, `${warm} of ${plural(target, 'sandbox', 'sandboxes')} warm`]
  if (starting > 0) parts.push(`${starting} starting`)
  return parts.join(' · ')
}
