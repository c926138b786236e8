import './overview.css'
import type { PoolView, Status } from '@maestro/contract'
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { queries } from '../../api/queries.ts'
import { Ago } from '../../ui/Ago.tsx'
import { Copy } from '../../ui/Copy.tsx'
import { Empty } from '../../ui/Empty.tsx'
import { Fact, Facts } from '../../ui/Facts.tsx'
import { bytes, count, percent } from '../../ui/format.ts'
import { Gauge, Gauges, Meter } from '../../ui/Gauge.tsx'
import { Page } from '../../ui/Page.tsx'
import { Problem } from '../../ui/Problem.tsx'
import { State } from '../../ui/State.tsx'
import { Waiting } from '../../ui/Waiting.tsx'
import { leftOver } from '../pool/leftOver.ts'
import { SessionTable } from '../sessions/SessionTable.tsx'
import { Board } from './Board.tsx'

const emptiness = {
  title: 'No sessions yet',
  body: 'A session appears here when a client connects to a deployment’s MCP URL, or when you try one of its tools.',
}

/** The status board: is it well, what is busy, what happened last. */
export function OverviewPage() {
  const status = useQuery(queries.status())
  const pool = useQuery(queries.pool())
  const recent = useQuery(queries.sessions({}, 12))
  const isDown = status.error !== null
  return (
    <Page
      title="Overview"
      beside={
        isDown ? (
          <State tone="bad">Not answering</State>
        ) : (
          status.data && <State tone={status.data.ready ? 'good' : 'busy'}>{status.data.ready ? 'Ready' : 'Starting'}</State>
        )
      }
      actions={
        <Link to="/deployments/new" className="button primary">
          Deploy a server
        </Link>
      }
    >
      {status.error && <Problem error={status.error} doing="read the status" retry={() => void status.refetch()} />}
      {pool.data && status.data && <Figures pool={pool.data} status={status.data} />}

      <div className="overview">
        <section aria-labelledby="board">
          <h2 id="board">Sandboxes</h2>
          {pool.error && <Problem error={pool.error} doing="read the pool" />}
          {pool.isPending && <Waiting what="Reading the pool" />}
          {pool.data &&
            (pool.data.deployments.length ? (
              <Board pool={pool.data} />
            ) : (
              <Empty
                title="Nothing is deployed"
                body="The pool keeps sandboxes warm for each deployment, and there is none. `maestro deploy <package>` does the same as the button."
                action={
                  <Link to="/deployments/new" className="button">
                    Deploy a server
                  </Link>
                }
              />
            ))}
        </section>
        <section aria-labelledby="machine">
          <h2 id="machine">This Conductor</h2>
          {status.data ? <Machine status={status.data} /> : status.isPending && <Waiting what="Reading the status" />}
        </section>
      </div>

      <section aria-labelledby="recent">
        <div className="section-head">
          <h2 id="recent">Recent sessions</h2>
          <Link to="/sessions">All sessions</Link>
        </div>
        {recent.error && <Problem error={recent.error} doing="list the sessions" />}
        {recent.isPending && <Waiting what="Listing sessions" />}
        {recent.data &&
          (recent.data.items.length ? (
            <SessionTable sessions={recent.data.items} label="Recent sessions" />
          ) : (
            <Empty
              {...emptiness}
              action={
                <Link to="/deployments" className="button">
                  Choose a deployment
                </Link>
              }
            />
          ))}
      </section>
    </Page>
  )
}

function Figures({ pool, status }: { pool: PoolView; status: Status }) {
  const leases = pool.hits + pool.misses
  const left = leftOver(pool)
  const used = pool.leased + pool.warm + pool.starting + pool.draining
  return (
    <Gauges>
      <Gauge name="Open sessions" value={count(status.sessionsOpen)} />
      <Gauge
        name="Leased"
        value={count(pool.leased)}
        note={
          <>
            {used} of {pool.sandboxesMax} sandboxes
            <Meter share={used / pool.sandboxesMax} />
          </>
        }
      />
      <Gauge name="Warm" value={count(pool.warm)} note={`${pool.starting} starting`} />
      <Gauge
        name="Served warm"
        value={leases ? percent(pool.hits / leases) : '–'}
        note={leases ? `${count(pool.hits)} of ${count(leases)} leases` : 'no lease since start'}
      />
      <Gauge
        name="Left over"
        value={left === null ? '–' : count(left)}
        tone={left ? 'bad' : undefined}
        note={left === null ? 'nobody can look here' : left > 0 ? 'of sandboxes that are gone' : 'every process accounted for'}
      />
      <Gauge name="Memory" value={bytes(status.rssBytes)} note="of Conductor itself" />
    </Gauges>
  )
}

function Machine({ status }: { status: Status }) {
  return (
    <Facts>
      <Fact name="Sandbox driver">{status.driver}</Fact>
      <Fact name="Database">{status.database}</Fact>
      <Fact name="Protocol">
        <ul className="revisions">
          {status.revisions.map(revision => (
            <li key={revision}>{revision}</li>
          ))}
        </ul>
      </Fact>
      <Fact name="API">
        <code>{status.apiUrl}</code> <Copy text={status.apiUrl} label="API URL" />
      </Fact>
      <Fact name="Data folder">
        <code>{status.dataFolder}</code>
      </Fact>
      <Fact name="Running">
        version {status.version}, process {status.pid}, started <Ago at={status.startedAt} />
      </Fact>
    </Facts>
  )
}
