/** Goal: the official clients work against the gateway as they are. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { Client as ModernClient, StreamableHTTPClientTransport as ModernTransport } from '@modelcontextprotocol/client'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { until } from '../session/fake-stages.ts'
import { serveFake } from './fake-http.ts'

test('the official v1 client opens a session, lists, calls with progress, is notified and ends it', async () => {
  await using http = await serveFake()
  const client = new Client({ name: 'v1', version: '1' })
  const transport = new StreamableHTTPClientTransport(new URL(http.url), {
    requestInit: { headers: { Authorization: 'Bearer all' } },
  })
  // The package's own types disagree under exactOptionalPropertyTypes.
  await client.connect(transport as never)
  assert.deepEqual(
    (await client.listTools()).tools.map(tool => tool.name),
    ['echo', 'slow', 'boom'],
  )
  const progress: number[] = []
  const result = await client.callTool({ name: 'echo', arguments: { text: 'hello' } }, undefined, {
    onprogress: event => progress.push(event.progress),
  })
  assert.deepEqual(result.content, [{ type: 'text', text: '{"text":"hello"}' }])
  assert.deepEqual(progress, [1])
  await assert.rejects(client.callTool({ name: 'nothing' }), /Method not found/)

  await transport.terminateSession()
  await client.close()
  await until(() => http.stages.released === 1, 'the lease is released')
  const row = [...http.stages.rows.values()][0]
  assert.equal(row?.closeReason, 'client')
  assert.equal(row?.client, 'v1 1')
  assert.equal(row?.protocolVersion, '2025-11-25')
  assert.deepEqual(http.stages.tapes[0]?.seals, ['client'])
})

for (const mode of ['legacy', { pin: '2026-07-28' }] as const) {
  const name = typeof mode === 'string' ? mode : mode.pin
  test(`the official v2 client lists and calls with progress, ${name}`, async () => {
    await using http = await serveFake()
    const client = new ModernClient({ name: 'v2', version: '2' }, { versionNegotiation: { mode } })
    const transport = new ModernTransport(new URL(http.url), { requestInit: { headers: { Authorization: 'Bearer scoped' } } })
    await client.connect(transport)
    const { tools } = await client.listTools()
    assert.deepEqual(
      tools.map(tool => tool.name),
      ['echo'],
      'a token scoped to tools shows no others',
    )
    const progress: number[] = []
    const result = await client.callTool(
      { name: 'echo', arguments: { text: 'hello' } },
      { onprogress: event => progress.push(event.progress) },
    )
    assert.deepEqual(result.content, [{ type: 'text', text: '{"text":"hello"}' }])
    assert.deepEqual(progress, [1])
    await assert.rejects(client.callTool({ name: 'boom' }), /does not include the tool "boom"/)
    await client.close()
    const row = [...http.stages.rows.values()][0]
    assert.equal(row?.era, mode === 'legacy' ? 'session' : 'stateless')
    assert.equal(row?.client, 'v2 2')
    assert.equal(http.stages.upstreams.length, 1, 'requests of one caller share a sandbox')
  })
}
