/**
 * Goal: real servers from npm deploy, run, are recorded and re-executed; what a replay finds is reported as measured.
 * Method: the four reference servers that need no network, because everybody knows how they behave, and one by another
 * author: @bytebase/dbhub, on the other generation of the official SDK (it speaks 2026-07-28 too), with a database
 * inside. Together they are stateless, stateful in memory, stateful on disk, and chatty. Each runs a script of the calls
 * its README leads with, once through the gateway and once more by replay.
 */
import assert from 'node:assert/strict'
import test, { after, before } from 'node:test'
import type { DeployRequest } from '@maestro/contract'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { z } from 'zod'
import { type RunningConductor, startConductor } from './support/conductor.ts'
import { eventually } from './support/eventually.ts'
import { maestro } from './support/maestro.ts'

interface Panelist extends Omit<DeployRequest, 'source'> {
  name: string
  source: string
  /** Calls: tool and arguments, or method and parameters where the name holds a slash. */
  script: [name: string, params: Record<string, unknown>][]
  /** Observed over many runs: the script's answers hold nothing of the clock, of dice or of the machine. */
  deterministic: boolean
}

const panel: Panelist[] = [
  {
    name: 'everything',
    source: '@modelcontextprotocol/server-everything@2026.8.31',
    script: [
      ['echo', { message: 'hello' }],
      ['get-sum', { a: 2, b: 40 }],
      ['get-structured-content', { location: 'Chicago' }],
      ['get-tiny-image', {}],
      ['prompts/list', {}],
      ['prompts/get', { name: 'simple-prompt' }],
      ['resources/list', {}],
      // Says when it was made, so a replay without a recorded clock differs here.
      ['resources/read', { uri: 'demo://resource/dynamic/text/1' }],
      ['trigger-long-running-operation', { duration: 0.2, steps: 2 }],
    ],
    deterministic: false,
  },
  {
    name: 'filesystem',
    source: '@modelcontextprotocol/server-filesystem@2026.8.31',
    args: ['.'],
    script: [
      ['list_allowed_directories', {}],
      ['create_directory', { path: 'notes' }],
      ['write_file', { path: 'notes/today.txt', content: 'one\ntwo\nthree\n' }],
      ['edit_file', { path: 'notes/today.txt', edits: [{ oldText: 'two', newText: 'zwei' }] }],
      ['read_text_file', { path: 'notes/today.txt' }],
      ['directory_tree', { path: 'notes' }],
      ['search_files', { path: '.', pattern: '**/*.txt' }],
      ['read_text_file', { path: 'notes/nowhere.txt' }],
      // Names the times of the file.
      ['get_file_info', { path: 'notes/today.txt' }],
    ],
    deterministic: false,
  },
  {
    name: 'memory',
    source: '@modelcontextprotocol/server-memory@2026.8.31',
    // Its default is a file beside its program, which no sandbox lets it write.
    env: { MEMORY_FILE_PATH: { value: '/tmp/memory.jsonl' } },
    script: [
      ['create_entities', { entities: [{ name: 'Ada', entityType: 'person', observations: ['wrote the first program'] }] }],
      ['create_entities', { entities: [{ name: 'Engine', entityType: 'machine', observations: [] }] }],
      ['create_relations', { relations: [{ from: 'Ada', to: 'Engine', relationType: 'programmed' }] }],
      ['add_observations', { observations: [{ entityName: 'Engine', contents: ['never built'] }] }],
      ['search_nodes', { query: 'program' }],
      ['read_graph', {}],
      ['delete_entities', { entityNames: ['Engine'] }],
      ['read_graph', {}],
    ],
    deterministic: true,
  },
  {
    name: 'sequential-thinking',
    source: '@modelcontextprotocol/server-sequential-thinking@2026.8.31',
    script: [1, 2, 3].map(thoughtNumber => [
      'sequentialthinking',
      { thought: `step ${thoughtNumber}`, thoughtNumber, totalThoughts: 3, nextThoughtNeeded: thoughtNumber < 3 },
    ]),
    deterministic: true,
  },
  {
    name: 'dbhub',
    source: '@bytebase/dbhub@1.4.0',
    args: ['--demo'],
    script: [
      ['search_objects', { object_type: 'table', pattern: '%' }],
      ['execute_sql', { sql: 'select count(*) as n from employee' }],
      ['execute_sql', { sql: 'select first_name, last_name from employee order by emp_no limit 3' }],
      ['execute_sql', { sql: 'select broken from nowhere' }],
    ],
    deterministic: true,
  },
]

let conductor: RunningConductor
before(async () => {
  conductor = await startConductor()
})
after(() => conductor?.[Symbol.asyncDispose]())

/** Runs the script in a session of its own and ends it. */
async function play({ name, script }: Panelist): Promise<void> {
  const { mcpUrl, token } = await conductor.mint(name)
  const headers = { authorization: `Bearer ${token}` }
  const transport = new StreamableHTTPClientTransport(new URL(mcpUrl), { requestInit: { headers } })
  const client = new Client({ name: `panel-${name}`, version: '1' })
  await client.connect(transport)
  const { tools } = await client.listTools()
  assert.ok(tools.length > 0)
  for (const [step, params] of script) {
    const [method, body] = step.includes('/') ? [step, params] : ['tools/call', { name: step, arguments: params }]
    await client.request({ method, params: body }, z.looseObject({}))
  }
  await transport.terminateSession()
  await client.close()
}

for (const panelist of panel) {
  const { name, source, script, deterministic, ...options } = panelist
  test(`${source} deploys, runs, is recorded and replayed`, { timeout: 300_000 }, async t => {
    const deployment = await conductor.deploy(source, { name, ...options })
    assert.ok(deployment.release.manifest.tools.length > 0)
    const again = await conductor.api('deploy', { body: { source, name, ...options } })
    assert.equal(again.installed, false, 'the same version again does no work')

    await play(panelist)
    const session = await conductor.closedSession((await conductor.sessionOf(`panel-${name}`)).id)
    const calls = script.filter(([step]) => !step.includes('/')).length
    assert.equal(session.calls, calls)
    assert.ok(session.frames >= 2 * (script.length + 2), `only ${session.frames} frames`)
    const recording = (await conductor.api('getRecording', { params: { id: session.id } })) as Buffer
    assert.ok(recording.length > 0)

    // Servers print times to the second: a replay within the same one would look better than it is.
    await eventually('the clock shows another second', () => Date.now() > (session.closedAt ?? 0) + 1000)
    const replay = await conductor.api('replaySession', { params: { id: session.id } })
    assert.equal(replay.state, 'done', JSON.stringify(replay.error))
    const { matched, total, fidelity } = replay.frames
    assert.ok(total >= script.length + 2, `only ${total} frames compared`)
    assert.ok(matched > 0 && matched <= total)
    assert.equal(replay.identical, replay.firstDivergence === null)
    t.diagnostic(
      `fidelity ${name}: ${matched}/${total} = ${fidelity}, identical ${replay.identical}` +
        (replay.firstDivergence ? `, first divergence ${replay.firstDivergence.key} ${replay.firstDivergence.pointer}` : ''),
    )
    if (deterministic) assert.equal(replay.identical, true, JSON.stringify(replay.differences, null, 2))

    const { code, stdout } = await maestro(conductor.data, ['replay', session.id, '--json'])
    const printed = JSON.parse(stdout)
    assert.deepEqual(Object.keys(printed.frames).sort(), ['fidelity', 'matched', 'total'])
    assert.equal(typeof printed.identical, 'boolean')
    assert.ok('firstDivergence' in printed)
    assert.equal(code, printed.identical ? 0 : 3)
  })
}
