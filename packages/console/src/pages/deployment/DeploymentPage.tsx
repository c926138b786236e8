import './deployment.css'
import { Tabs } from '@base-ui/react/tabs'
import type { Deployment } from '@maestro/contract'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { useMemo } from 'react'
import { useActions } from '../../actions.ts'
import { ApiError, call } from '../../api/call.ts'
import { queries } from '../../api/queries.ts'
import { Elsewhere } from '../../shell/Elsewhere.tsx'
import { announce } from '../../ui/Announcer.tsx'
import { Copy } from '../../ui/Copy.tsx'
import { Empty } from '../../ui/Empty.tsx'
import { Fact, Facts } from '../../ui/Facts.tsx'
import { shortDigest } from '../../ui/format.ts'
import { Page } from '../../ui/Page.tsx'
import { Problem } from '../../ui/Problem.tsx'
import { quoted } from '../../ui/quoted.ts'
import { useConfirm } from '../../ui/useConfirm.tsx'
import { Waiting } from '../../ui/Waiting.tsx'
import { sourceText } from '../deployments/sourceText.ts'
import { Sockets } from '../overview/Board.tsx'
import { SessionTable } from '../sessions/SessionTable.tsx'
import { ConnectTab } from './ConnectTab.tsx'
import { SettingsTab } from './SettingsTab.tsx'
import { startText } from './startText.ts'
import { ToolsTab } from './ToolsTab.tsx'

const route = getRouteApi('/deployments/$id')
const above = <Link to="/deployments">Deployments</Link>

/** One deployment: its tools, how to connect, who did, what it runs. */
export default function DeploymentPage() {
  const { id } = route.useParams()
  const query = useQuery(queries.deployment(id))
  if (query.data) return <Loaded deployment={query.data} />
  const isMissing = query.error instanceof ApiError && query.error.problem.code === 'deployment_not_found'
  return (
    <Page title={id} above={above}>
      {query.isPending && <Waiting what="Reading the deployment" />}
      {isMissing && (
        <Empty
          title="There is no such deployment"
          body={`Nothing is deployed as \`${id}\`. It may have been removed; its sessions and their recordings stay.`}
          action={
            <Link to="/deployments" className="button">
              All deployments
            </Link>
          }
        />
      )}
      {query.error && !isMissing && (
        <Problem error={query.error} doing="read the deployment" retry={() => void query.refetch()} />
      )}
    </Page>
  )
}

function Loaded({ deployment }: { deployment: Deployment }) {
  const client = useQueryClient()
  const search = route.useSearch()
  const navigate = useNavigate()
  const pool = useQuery(queries.pool())
  const [ask, question] = useConfirm()
  const line = pool.data?.deployments.find(item => item.deployment === deployment.id)
  const { release } = deployment

  const askToRemove = () =>
    ask({
      title: 'Remove deployment',
      sentence: `Remove ${deployment.name}? Its open sessions are closed and its URL stops working at once. Recordings of its sessions stay.`,
      verb: `Remove ${deployment.name}`,
      act: async () => {
        await call('removeDeployment', { params: { id: deployment.id } })
        client.removeQueries({ queryKey: ['deployments', deployment.name] })
        void client.invalidateQueries({ queryKey: ['deployments'] })
        announce(`${deployment.name} removed`)
        await navigate({ to: '/deployments' })
      },
    })
  useActions(
    useMemo(
      () => [
        {
          text: `Copy MCP URL of ${deployment.name}`,
          kind: 'Action',
          run: () => void navigator.clipboard.writeText(deployment.mcpUrl),
        },
      ],
      [deployment.name, deployment.mcpUrl],
    ),
  )
  return (
    <Page
      title={deployment.name}
      above={above}
      beside={line && <Sockets line={line} />}
      actions={
        <>
          <Link to="/deployments/new" search={{ source: sourceText(release.source) }} className="button">
            Deploy another like it
          </Link>
          <button type="button" className="button danger" onClick={askToRemove}>
            Remove
          </button>
        </>
      }
    >
      {question}
      <Facts row>
        <Fact name="Release">
          {release.name} {release.version}
        </Fact>
        <Fact name="Digest">
          <code title={release.digest}>{shortDigest(release.digest)}</code>
        </Fact>
        <Fact name="MCP URL">
          <code>{deployment.mcpUrl}</code> <Copy text={deployment.mcpUrl} label="MCP URL" />
        </Fact>
        <Fact name="Pool">
          {line ? `${line.leased} leased, ${line.warm} of ${line.target} warm` : <span className="none">not in the pool</span>}
        </Fact>
        {deployment.start && <Fact name="Start">{startText(deployment.start)}</Fact>}
      </Facts>
      {line?.lastError && (
        <p className="last-error">
          <span className="bad">Its last sandbox did not start:</span> <code>{line.lastError}</code>
        </p>
      )}
      <Tabs.Root
        value={search.tab ?? 'tools'}
        onValueChange={tab =>
          void navigate({ to: '.', search: { ...search, tab: tab as never }, replace: true, resetScroll: false })
        }
      >
        <Tabs.List className="tabs" aria-label="Parts of the deployment">
          <Tabs.Tab value="tools" className="tab">
            Tools ({release.manifest.tools.length})
          </Tabs.Tab>
          <Tabs.Tab value="connect" className="tab">
            Connect
          </Tabs.Tab>
          <Tabs.Tab value="sessions" className="tab">
            Sessions
          </Tabs.Tab>
          <Tabs.Tab value="settings" className="tab">
            Settings
          </Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="tools" className="tab-panel">
          <ToolsTab deployment={deployment} />
        </Tabs.Panel>
        <Tabs.Panel value="connect" className="tab-panel">
          <ConnectTab deployment={deployment} />
        </Tabs.Panel>
        <Tabs.Panel value="sessions" className="tab-panel">
          <SessionsTab deployment={deployment} />
        </Tabs.Panel>
        <Tabs.Panel value="settings" className="tab-panel">
          <SettingsTab deployment={deployment} />
        </Tabs.Panel>
      </Tabs.Root>
      <Elsewhere
        cli={cliOf(deployment)}
        note="The same request again changes nothing."
        route="getDeployment"
        ask={{ params: { id: deployment.name } }}
      />
    </Page>
  )
}

function SessionsTab({ deployment }: { deployment: Deployment }) {
  const list = useQuery(queries.sessions({ deployment: deployment.name }, 25))
  if (list.error) return <Problem error={list.error} doing="list its sessions" retry={() => void list.refetch()} />
  if (!list.data) return <Waiting what="Listing its sessions" />
  if (list.data.items.length === 0) {
    return (
      <Empty
        title="No sessions yet"
        body="Nobody has connected to this deployment. Try one of its tools, or connect a client."
        action={
          <Link to="/deployments/$id" params={{ id: deployment.name }} search={{ tab: 'connect' }} className="button">
            How to connect
          </Link>
        }
      />
    )
  }
  return (
    <>
      <SessionTable sessions={list.data.items} label={`Sessions of ${deployment.name}`} without={['Deployment']} />
      <p>
        <Link to="/sessions" search={{ deployment: deployment.name }}>
          All sessions of {deployment.name}
        </Link>
      </p>
    </>
  )
}

/** The command that deploys it again; values of variables are not known here. */
const cliOf = ({ name, release, env, egress, egressRecord, args }: Deployment): string =>
  [
    `maestro deploy ${quoted(sourceText(release.source))} --name ${name}`,
    ...Object.entries(env).map(([key, value]) => `--env ${key}=${'secret' in value ? `secret:${value.secret}` : '…'}`),
    ...(egress.length ? [`--egress ${quoted(egress.join(','))}`] : []),
    ...(egressRecord ? ['--record-egress'] : []),
    ...(args.length ? ['--', ...args.map(quoted)] : []),
  ].join(' ')
