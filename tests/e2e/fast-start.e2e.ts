/**
 * Goal: real servers start from what was prepared, are the same servers, and no secret is in a sandbox that nobody leased.
 * Method: the four reference servers that need no network, through the whole product; one of them tells its environment, which is
 * looked for in every process of its waiting sandbox from outside.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import test, { after, before } from 'node:test'
import type { Deployment, DeployRequest } from '@maestro/contract'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { type RunningConductor, startConductor } from './support/conductor.ts'
import { eventually } from './support/eventually.ts'

const version = '2026.8.31'
const servers: (Omit<DeployRequest, 'source'> & { name: string; call: [string, Record<string, unknown>]; says: RegExp })[] = [
  { name: 'everything', call: ['get-sum', { a: 2, b: 40 }], says: /42/ },
  { name: 'filesystem', args: ['.'], call: ['list_allowed_directories', {}], says: /home\/sandbox/ },
  {
    name: 'memory',
    env: { MEMORY_FILE_PATH: { value: '/tmp/memory.jsonl' } },
    call: ['create_entities', { entities: [{ name: 'Ada', entityType: 'person', observations: ['wrote it'] }] }],
    says: /Ada/,
  },
  {
    name: 'sequential-thinking',
    call: ['sequentialthinking', { thought: 'one', thoughtNumber: 1, totalThoughts: 1, nextThoughtNeeded: false }],
    says: /thoughtNumber/,
  },
]

let conductor: RunningConductor
before(async () => {
  conductor = await startConductor()
})
after(() => conductor?.[Symbol.asyncDispose]())

const preparedStart = (name: string): Promise<Deployment> =>
  eventually(
    `${name} is prepared`,
    async () => {
      const deployment = await conductor.api('getDeployment', { params: { id: name } })
      return deployment.start?.state === 'ready' && deployment
    },
    180_000,
  )

const warm = (name: string) =>
  eventually(
    `${name} is warm`,
    async () =>
      (await conductor.api('getPool')).deployments.some(pool => pool.name === name && pool.warm > 0 && pool.starting === 0),
    60_000,
  )

/** Calls one tool in a session of its own. Returns what it said and the session. */
async function call(name: string, [tool, args]: [string, Record<string, unknown>]) {
  const { mcpUrl, token } = await conductor.mint(name)
  const transport = new StreamableHTTPClientTransport(new URL(mcpUrl), {
    requestInit: { headers: { authorization: `Bearer ${token}` } },
  })
  const client = new Client({ name: `fast-${name}`, version: '1' })
  await client.connect(transport)
  const said = JSON.stringify(await client.callTool({ name: tool, arguments: args }))
  await transport.terminateSession()
  await client.close()
  return { said, session: await conductor.closedSession((await conductor.sessionOf(`fast-${name}`)).id) }
}

for (const { name, call: asked, says, ...options } of servers) {
  test(`server-${name} starts from what was prepared and is the same server`, { timeout: 300_000 }, async t => {
    const deployed = await conductor.deploy(`@modelcontextprotocol/server-${name}@${version}`, { name, ...options })
    assert.equal(deployed.start?.kind, 'plain', 'it serves at once, plainly')
    const { start } = await preparedStart(name)
    t.diagnostic(`${name}: ${JSON.stringify(start)}`)
    assert.match(start?.kind ?? '', /^(one-file|snapshot)$/, JSON.stringify(start))
    await warm(name)
    const { said, session } = await call(name, asked)
    assert.match(said, says)
    assert.equal(session.warm, true)
    if (name !== 'memory' && name !== 'sequential-thinking') return
    const replay = await conductor.api('replaySession', { params: { id: session.id } })
    assert.equal(replay.identical, true, JSON.stringify(replay.differences, null, 2))
  })
}

test('a secret comes to a waiting sandbox when it is leased and not before', { timeout: 300_000 }, async () => {
  const value = `sk-${crypto.randomUUID()}`
  await conductor.api('putSecret', { params: { name: 'key' }, body: { value } })
  const name = 'told'
  await conductor.deploy(`@modelcontextprotocol/server-everything@${version}`, {
    name,
    env: { KEY: { secret: 'key' }, LEVEL: { value: 'level-of-told' } },
  })
  const look = async (kind: RegExp) => {
    await warm(name)
    const waiting = sandboxProcesses('LEVEL=level-of-told')
    assert.ok(waiting.length > 0, 'its sandboxes are found by what they may know')
    for (const { environ, command } of waiting) {
      assert.ok(!environ.includes(value), command)
      assert.match(command, kind)
    }
    const { said, session } = await call(name, ['get-env', {}])
    assert.ok(said.includes(value) && said.includes('level-of-told'))
    assert.equal(session.warm, true)
  }
  await look(/plain/)
  await preparedStart(name)
  await eventually('the sandboxes wait in the prepared way', () =>
    sandboxProcesses('LEVEL=level-of-told').every(({ command }) => /held/.test(command)),
  )
  await look(/held/)
})

/** Processes on the machine whose environment holds the text, with their command lines. */
function sandboxProcesses(text: string): { environ: string; command: string }[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(pid => {
      try {
        const [environ, command] = ['environ', 'cmdline'].map(file => readFileSync(`/proc/${pid}/${file}`, 'utf8'))
        return environ!.includes(text) && /node\0/.test(command!)
          ? [{ environ: environ!, command: command!.replaceAll('\0', ' ') }]
          : []
      } catch {
        return []
      }
    })
}
