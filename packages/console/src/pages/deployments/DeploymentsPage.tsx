import type { Deployment, PoolView } from '@maestro/contract'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { queries } from '../../api/queries.ts'
import { useKeys } from '../../keys.ts'
import { Ago } from '../../ui/Ago.tsx'
import { Empty } from '../../ui/Empty.tsx'
import { count, shortDigest } from '../../ui/format.ts'
import { Page } from '../../ui/Page.tsx'
import { Problem } from '../../ui/Problem.tsx'
import { SearchField } from '../../ui/SearchField.tsx'
import { useRowKeys } from '../../ui/useRowKeys.ts'
import { Waiting } from '../../ui/Waiting.tsx'
import { Sockets } from '../overview/Board.tsx'
import { sourceKinds } from './sourceText.ts'

const route = getRouteApi('/deployments')

const deployLink = (
  <Link to="/deployments/new" className="button primary">
    Deploy a server
  </Link>
)

/** Every deployment, with its place in the pool. */
export default function DeploymentsPage() {
  const { find } = route.useSearch()
  const navigate = useNavigate()
  const list = useQuery(queries.deployments())
  const pool = useQuery(queries.pool())
  const rows = useRowKeys('Deployments')
  useKeys('Deployments', [{ keys: 'c', text: 'Deploy a server', run: () => void navigate({ to: '/deployments/new' }) }])
  const all = list.data?.items ?? []
  const matching = all.filter(item => !find || `${item.name} ${item.release.name}`.toLowerCase().includes(find.toLowerCase()))
  return (
    <Page title="Deployments" actions={deployLink}>
      {list.error && <Problem error={list.error} doing="list the deployments" retry={() => void list.refetch()} />}
      {list.isPending && <Waiting what="Listing deployments" />}
      {list.data && all.length === 0 && (
        <Empty
          title="Nothing is deployed"
          body="A deployment is a release of an MCP server with its settings; it has one URL that any MCP client can use. Start with an npm package such as `@modelcontextprotocol/server-everything`."
          action={deployLink}
        />
      )}
      {all.length > 0 && (
        <>
          <div className="toolbar">
            <SearchField
              label="Search deployments"
              value={find ?? ''}
              onChange={text => void navigate({ to: '.', search: { find: text || undefined }, replace: true })}
            />
            <span className="hint" role="status">
              {matching.length} of {all.length}
            </span>
          </div>
          <div className="table-scroll" ref={rows}>
            <table aria-label="Deployments">
              <thead>
                <tr>
                  <th scope="col">Name</th>
                  <th scope="col" className="grow">
                    Release
                  </th>
                  <th scope="col">Source</th>
                  <th scope="col">Digest</th>
                  <th scope="col" className="number">
                    Tools
                  </th>
                  <th scope="col">Egress</th>
                  <th scope="col">Sandboxes</th>
                  <th scope="col" className="number">
                    Updated
                  </th>
                </tr>
              </thead>
              <tbody>
                {matching.map(item => (
                  <Row key={item.id} deployment={item} line={pool.data?.deployments.find(line => line.deployment === item.id)} />
                ))}
              </tbody>
            </table>
            {matching.length === 0 && <p className="absent">No deployment’s name or release contains “{find}”.</p>}
          </div>
        </>
      )}
    </Page>
  )
}

function Row({ deployment, line }: { deployment: Deployment; line: PoolView['deployments'][number] | undefined }) {
  const { release } = deployment
  return (
    <tr>
      <td>
        <Link to="/deployments/$id" params={{ id: deployment.name }} className="strong" data-row>
          {deployment.name}
        </Link>
      </td>
      <td className="grow">
        {release.name} <span className="hint">{release.version}</span>
      </td>
      <td>{sourceKinds[release.source.kind]}</td>
      <td>
        <code title={release.digest}>{shortDigest(release.digest)}</code>
      </td>
      <td className="number">{count(release.manifest.tools.length)}</td>
      <td>{deployment.egress.length ? `${deployment.egress.length} hosts` : <span className="none">none</span>}</td>
      <td>{line ? <Sockets line={line} /> : <span className="none">–</span>}</td>
      <td className="number">
        <Ago at={deployment.updatedAt} />
      </td>
    </tr>
  )
}
