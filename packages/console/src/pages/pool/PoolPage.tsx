import './pool.css'
import type { PoolView } from '@maestro/contract'
import { explainTarget } from '@maestro/logic'
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { queries } from '../../api/queries.ts'
import { Elsewhere } from '../../shell/Elsewhere.tsx'
import { Empty } from '../../ui/Empty.tsx'
import { Fact, Facts } from '../../ui/Facts.tsx'
import { bytes, count, duration, percent, plural } from '../../ui/format.ts'
import { Gauge, Gauges, Meter } from '../../ui/Gauge.tsx'
import { NumberHeads } from '../../ui/NumberHeads.tsx'
import { Page } from '../../ui/Page.tsx'
import { Problem } from '../../ui/Problem.tsx'
import { State } from '../../ui/State.tsx'
import { Waiting } from '../../ui/Waiting.tsx'
import { SocketKey, Sockets } from '../overview/Board.tsx'
import { leftOver } from './leftOver.ts'

type Line = PoolView['deployments'][number]

/** Warm, starting and leased sandboxes, why there are so many, and what should be gone. */
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
      <Figures pool={pool} />
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
        <section aria-labelledby="lines">
          <h2 id="lines">Deployments</h2>
          <Lines lines={pool.deployments} />
          <SocketKey />
        </section>
      )}
      {pool.tenants.length > 0 && (
        <section aria-labelledby="tenants">
          <h2 id="tenants">Tenants</h2>
          <Tenants tenants={pool.tenants} pool={pool} />
        </section>
      )}
      <section aria-labelledby="left-over">
        <div className="pool-head">
          <h2 id="left-over">Left over</h2>
          <LeftOverState pool={pool} />
          <p className="pool-why">What Conductor made on this machine for sandboxes that are gone, found by looking.</p>
        </div>
        <LeftOver pool={pool} />
      </section>
      <Elsewhere cli="maestro pool" route="getPool" />
    </>
  )
}

function Figures({ pool }: { pool: PoolView }) {
  const used = pool.leased + pool.warm + pool.starting + pool.draining
  const leases = pool.hits + pool.misses
  return (
    <Gauges label="The pool now">
      <Gauge
        name="Leased"
        value={count(pool.leased)}
        note={
          <>
            {count(used)} of {count(pool.sandboxesMax)} places taken
            <Meter share={used / pool.sandboxesMax} />
          </>
        }
      />
      <Gauge name="Warm" value={count(pool.warm)} note={`${count(pool.frozen)} of them frozen`} />
      <Gauge name="Starting" value={count(pool.starting)} note={`${count(pool.draining)} draining`} />
      <Gauge name="Waiting" value={count(pool.waiting)} note="sessions without a place" />
      <Gauge
        name="Served warm"
        value={pool.hitRatio === null ? '–' : percent(pool.hitRatio)}
        note={pool.hitRatio === null ? 'no lease since start' : `${count(pool.hits)} of ${count(leases)} leases`}
      />
      <Gauge
        name="Memory"
        value={bytes(pool.memoryBytes)}
        note={
          <>
            of {bytes(pool.memoryBytesMax)}, {plural(pool.evictions, 'eviction')}
            <Meter share={pool.memoryBytes / pool.memoryBytesMax} />
          </>
        }
      />
    </Gauges>
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
            <NumberHeads
              titles={[
                'Leased',
                'Warm / target',
                'Frozen',
                'Memory each',
                'Served warm',
                'Hits',
                'Misses',
                'Start p50',
                'Start p95',
              ]}
            />
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
      <tr className="has-note">
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
        <td className="number">{count(line.frozen)}</td>
        <td className="number">{line.memoryBytes === null ? '–' : bytes(line.memoryBytes)}</td>
        <td className="number">{line.hitRatio === null ? '–' : percent(line.hitRatio)}</td>
        <td className="number">{count(line.hits)}</td>
        <td className="number">{count(line.misses)}</td>
        <td className="number">{line.startMsP50 === null ? '–' : duration(line.startMsP50)}</td>
        <td className="number">{line.startMsP95 === null ? '–' : duration(line.startMsP95)}</td>
      </tr>
      <tr className="pool-note">
        <td colSpan={11}>
          {line.lastError ? (
            <>
              <span className="bad">Last start of {line.name} failed:</span> <code>{line.lastError}</code>
            </>
          ) : (
            <span className="pool-why">{explainTarget(line)}</span>
          )}
        </td>
      </tr>
    </>
  )
}

function Tenants({ tenants, pool }: { tenants: PoolView['tenants']; pool: PoolView }) {
  return (
    <div className="table-scroll">
      <table aria-label="Sandboxes per tenant">
        <thead>
          <tr>
            <th scope="col">Tenant</th>
            <NumberHeads titles={['Leased / at most', 'Idle', 'Waiting', 'Memory', 'Share']} />
          </tr>
        </thead>
        <tbody>
          {tenants.map(tenant => (
            <tr key={tenant.tenant}>
              <td>
                <code>{tenant.tenant}</code>
              </td>
              <td className="number">
                {count(tenant.leased)} / {count(tenant.leasedMax)}
              </td>
              <td className="number">{count(tenant.idle)}</td>
              <td className="number">{count(tenant.waiting)}</td>
              <td className="number">{bytes(tenant.memoryBytes)}</td>
              <td className="number">{pool.memoryBytes === 0 ? '–' : percent(tenant.memoryBytes / pool.memoryBytes)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function LeftOverState({ pool }: { pool: PoolView }) {
  const left = leftOver(pool)
  if (left === null) return <State tone="quiet">{pool.driver} cannot look</State>
  return left === 0 ? <State tone="good">Nothing</State> : <State tone="bad">{plural(left, 'thing')}</State>
}

function LeftOver({ pool: { leaks, orphans } }: { pool: PoolView }) {
  const fact = (name: string, value: number) => (
    <Fact name={name}>
      <span className={value > 0 ? 'bad' : undefined}>{count(value)}</span>
    </Fact>
  )
  return (
    <Facts row>
      {leaks && (
        <>
          {fact('Processes', leaks.processes)}
          {fact('Mounts', leaks.mounts)}
          {fact('Control groups', leaks.cgroups)}
          {fact('Files', leaks.files)}
        </>
      )}
      {fact('Orphans since start', orphans)}
    </Facts>
  )
}
