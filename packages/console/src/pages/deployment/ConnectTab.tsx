import type { Deployment } from '@maestro/contract'
import { useMutation, useQuery } from '@tanstack/react-query'
import { call } from '../../api/call.ts'
import { queries } from '../../api/queries.ts'
import { Copy } from '../../ui/Copy.tsx'
import { exact } from '../../ui/format.ts'
import { Problem } from '../../ui/Problem.tsx'
import { Snippets } from '../../ui/Snippets.tsx'

/** The URL, a token, and the configuration of usual clients, ready to paste. */
export function ConnectTab({ deployment }: { deployment: Deployment }) {
  const mint = useMutation({ mutationFn: () => call('mintToken', { body: { deployment: deployment.id } }) })
  const status = useQuery(queries.status())
  const token = mint.data?.token
  return (
    <div className="connect">
      <div className="field">
        <span className="label">MCP URL</span>
        <p>
          <code>{deployment.mcpUrl}</code> <Copy text={deployment.mcpUrl} label="MCP URL" />
        </p>
        <span className="hint">Streamable HTTP; any MCP client of any revision.</span>
      </div>
      <div className="field">
        <span className="label">Token</span>
        {mint.data && token ? (
          <>
            <p className="token">
              <code>{token}</code> <Copy text={token} label="token" />
            </p>
            <span className="hint">
              Works until {exact(mint.data.expiresAt)}, for every tool of {deployment.name}. It is not shown again after you
              leave.
            </span>
          </>
        ) : (
          <span className="hint">
            A capability token opens this deployment and nothing else, for 15 minutes.{' '}
            <code>maestro token {deployment.name}</code> makes one too.
          </span>
        )}
        {mint.error && <Problem error={mint.error} doing="mint a token" />}
        <p>
          <button type="button" className="button" disabled={mint.isPending} onClick={() => mint.mutate()}>
            {mint.isPending ? 'Minting…' : token ? 'Mint another token' : 'Mint a token'}
          </button>
        </p>
      </div>
      <div className="field">
        <Snippets
          label="Client configuration"
          snippets={snippets(deployment, token ?? '<token>', status.data?.dataFolder ?? '.maestro')}
        />
        {!token && <span className="hint">With a token minted, it stands in the snippets.</span>}
      </div>
    </div>
  )
}

function snippets({ name, mcpUrl }: Deployment, token: string, dataFolder: string) {
  const json = (value: unknown) => JSON.stringify(value, null, 2)
  const headers = { Authorization: `Bearer ${token}` }
  return [
    {
      name: 'Through the CLI',
      text: json({ mcpServers: { [name]: { command: 'maestro', args: ['connect', name, '--data', dataFolder] } } }),
      note: 'For clients that start servers themselves. Needs no token: the CLI mints and renews them. `maestro token` prints it with full paths.',
    },
    {
      name: 'mcp.json',
      text: json({ mcpServers: { [name]: { type: 'http', url: mcpUrl, headers } } }),
      note: 'For clients that speak Streamable HTTP, such as Claude Code and Cursor. The token lasts 15 minutes.',
    },
    {
      name: 'VS Code',
      text: json({ servers: { [name]: { type: 'http', url: mcpUrl, headers } } }),
      note: 'In .vscode/mcp.json.',
    },
    {
      name: 'TypeScript',
      text: `import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'

const client = new Client({ name: 'example', version: '1.0.0' })
await client.connect(new StreamableHTTPClientTransport(new URL('${mcpUrl}'), {
  requestInit: { headers: { Authorization: 'Bearer ${token}' } },
}))
console.log(await client.listTools())`,
    },
    {
      name: 'curl',
      text: `curl ${mcpUrl} \\
  -H 'Authorization: Bearer ${token}' \\
  -H 'Content-Type: application/json' \\
  -H 'Accept: application/json, text/event-stream' \\
  -d '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"curl","version":"1"}}}'`,
    },
  ]
}
