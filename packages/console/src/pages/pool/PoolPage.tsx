import './pool.css'
import type { PoolView } from '@maestro/contract'
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { queries } from '../../api/queries.ts'
import { Elsewhere } from '../../shell/Elsewhere.tsx'
import { Empty } from '../../ui/Empty.tsx'
import { Fact, Facts } from '../../ui/Facts.tsx'
import { count, duration, percent } from '../../ui/format.ts'
import { Page } from '../../ui/Page.tsx'
import { Problem } from '../../ui/Problem.tsx'
import { Waiting } from '../../ui/Waiting.tsx'
import { Sockets } from '../overview/Board.tsx'

type Line = PoolView['deployments'][number]

/** Warm, starting and leased sandboxes, per deployment. */
export default function PoolPage() {
  const pool = useQuery(queries.pool())
  return (
    <Page title="Pool">
      {pool.error && <Problem error={pool.error} doing="read the pool" retry={() => void pool.refetch()} />}
      {pool.isPending && <Waiting what="Reading the pool" />}
      {pool.data && <Pool pool={pool.data} />}
    </Page>
  )
}

function Pool({ pool }: { pool: PoolView }) {
  return (
    <>
      <Facts row>
        <Fact name="Driver">{pool.driver}</Fact>
        <Fact name="Leased">{count(pool.leased)}</Fact>
        <Fact name="Warm">{count(pool.warm)}</Fact>
        <Fact name="Starting">{count(pool.starting)}</Fact>
        <Fact name="Draining">{count(pool.draining)}</Fact>
        <Fact name="At most">{count(pool.sandboxesMax)}</Fact>
        <Fact name="Served warm">{ratio(pool.hits, pool.misses)}</Fact>
        <Fact name="Orphans">
          <span className={pool.orphans > 0 ? 'bad' : undefined}>{count(pool.orphans)}</span>
        </Fact>
      </Facts>
      {pool.deployments.length === 0 ? (
        <Empty
          title="The pool is empty"
          body="It keeps sandboxes warm for each deployment, and nothing is deployed."
          action={
            <Link to="/deployments/new" className="button">
              Deploy a server
            </Link>
          }
        />
      ) : (
        <Lines lines={pool.deployments} />
      )}
      <Elsewhere cli="maestro pool" route="getPool" />
    </>
  )
}

function Lines({ lines }: { lines: Line[] }) {
  return (
    <div className="table-scroll">
      <table aria-label="Sandboxes per deployment">
        <thead>
          <tr>
            <th scope="col">Deployment</th>
            <th scope="col" className="grow">
              Sandboxes
            </th>
            <th scope="col" className="number">
              Leased
            </th>
            <th scope="col" className="number">
              Warm / target
            </th>
            <th scope="col" className="number">
              Starting
            </th>
            <th scope="col" className="number">
              Hits
            </th>
            <th scope="col" className="number">
              Misses
            </th>
            <th scope="col" className="number">
              Served warm
            </th>
            <th scope="col" className="number">
              Start p50
            </th>
            <th scope="col" className="number">
              Start p95
            </th>
          </tr>
        </thead>
        <tbody>
          {lines.map(line => (
            <Row key={line.deployment} line={line} />
          ))}
        </tbody>
      </table>
    </div>
  )
}

function Row({ line }: { line: Line }) {
  return (
    <>
      <tr className={line.lastError ? 'has-error' : undefined}>
        <td>
          <Link to="/deployments/$id" params={{ id: line.deployment }}>
            {line.name}
          </Link>
        </td>
        <td className="grow">
          <Sockets line={line} />
        </td>
        <td className="number">{count(line.leased)}</td>
        <td className="number">
          {line.warm} / {line.target}
        </td>
        <td className="number">{count(line.starting)}</td>
        <td className="number">{count(line.hits)}</td>
        <td className="number">{count(line.misses)}</td>
        <td className="number">{ratio(line.hits, line.misses)}</td>
        <td className="number">{line.startMsP50 === null ? '–' : duration(line.startMsP50)}</td>
        <td className="number">{line.startMsP95 === null ? '–' : duration(line.startMsP95)}</td>
      </tr>
      {line.lastError && (
        <tr className="pool-error">
          <td colSpan={10}>
            <span className="bad">Last start of {line.name} failed:</span> <code>{line.lastError}</code>
          </td>
        </tr>
      )}
    </>
  )
}

const ratio = (hits: number, misses: number): string => (hits + misses ? percent(hits / (hits + misses)) : '–')
