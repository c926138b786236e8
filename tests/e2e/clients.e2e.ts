/**
 * Goal: clients nobody changed for us work through the gateway, each in its own era and transport.
 * Method: drive the official clients (SDK v1, SDK v2, Inspector) and the stdio bridge as their users do, against our
 * conformance fixture in a sandbox, and check what the server and the client each saw.
 */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import test, { after, before } from 'node:test'
import { serverFolders } from '@maestro/testkit'
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { z } from 'zod'
import { maestroBin, type RunningConductor, startConductor } from './support/conductor.ts'
import { exercise } from './support/exercise.ts'
import { run } from './support/run.ts'

let conductor: RunningConductor
before(async () => {
  conductor = await startConductor()
  await conductor.deploy(serverFolders.conformance, { name: 'fixture' })
})
after(() => conductor?.[Symbol.asyncDispose]())

const bearer = (token: string) => ({ requestInit: { headers: { authorization: `Bearer ${token}` } } })

async function overHttp(deployment: string): Promise<StreamableHTTPClientTransport> {
  const { mcpUrl, token } = await conductor.mint(deployment)
  return new StreamableHTTPClientTransport(new URL(mcpUrl), bearer(token))
}

async function openV2(deployment: string, mode: 'legacy' | 'auto' | { pin: string }): Promise<ClientV2> {
  const { mcpUrl, token } = await conductor.mint(deployment)
  const client = new ClientV2({ name: 'sdk-v2', version: '2' }, { versionNegotiation: { mode } })
  await client.connect(new HttpV2(new URL(mcpUrl), bearer(token)))
  return client
}

test('the SDK v1 client does over HTTP all that a session can: calls, progress, logs, cancellation, questions, subscriptions', async () => {
  await exercise(await overHttp('fixture'), 'sdk-v1-http')
  const session = await conductor.sessionOf('sdk-v1-http')
  assert.equal(session.era, 'session')
  assert.equal(session.protocolVersion, '2025-11-25')
})

test('a stdio-only client does the same through `maestro connect`', async () => {
  const args = [maestroBin, 'connect', 'fixture', '--data', conductor.data]
  await exercise(new StdioClientTransport({ command: process.execPath, args, stderr: 'inherit' }), 'sdk-v1-stdio')
})

test('the SDK v2 client works in the session era', async () => {
  const client = await openV2('fixture', 'legacy')
  try {
    assert.equal(client.getNegotiatedProtocolVersion(), '2025-11-25')
    const { tools } = await client.listTools()
    assert.ok(tools.some(({ name }) => name === 'test_simple_text'))
    const result = await client.callTool({ name: 'test_simple_text' })
    assert.deepEqual(result.content, [{ type: 'text', text: 'This is a simple text response for testing.' }])
  } finally {
    await client.close()
  }
})

test('the SDK v2 client pinned to 2026-07-28 discovers, lists, calls, reads, and is told of an unknown method', async () => {
  const client = await openV2('fixture', { pin: '2026-07-28' })
  try {
    assert.equal(client.getNegotiatedProtocolVersion(), '2026-07-28')
    const { tools } = await client.listTools()
    assert.ok(tools.some(({ name }) => name === 'test_simple_text'))
    const result = await client.callTool({ name: 'test_simple_text' })
    assert.deepEqual(result.content, [{ type: 'text', text: 'This is a simple text response for testing.' }])
    const steps: number[] = []
    await client.callTool({ name: 'test_tool_with_progress' }, { onprogress: ({ progress }) => void steps.push(progress) })
    assert.deepEqual(steps.slice(0, 2), [0, 50])
    const failed = await client.callTool({ name: 'test_error_handling' })
    assert.equal(failed.isError, true)
    const { contents } = await client.readResource({ uri: 'test://static-text' })
    assert.match(JSON.stringify(contents), /static text resource/)
    const prompt = await client.getPrompt({ name: 'test_simple_prompt' })
    assert.equal(prompt.messages.length, 1)
    await assert.rejects(client.request({ method: 'x-zoo/unheard-of', params: {} }, z.looseObject({})))
  } finally {
    await client.close()
  }
})

test('the SDK v2 client finds out by itself which era to speak', async () => {
  const client = await openV2('fixture', 'auto')
  try {
    const result = await client.callTool({ name: 'test_simple_text' })
    assert.match(JSON.stringify(result.content), /simple text response/)
  } finally {
    await client.close()
  }
})

test('the Inspector’s command line lists and calls', async () => {
  const home = dirname(createRequire(import.meta.url).resolve('@modelcontextprotocol/inspector/package.json'))
  const { mcpUrl, token } = await conductor.mint('fixture')
  const inspect = (...args: string[]) =>
    run(process.execPath, [
      join(home, 'clients/launcher/build/index.js'),
      '--cli',
      mcpUrl,
      '--transport',
      'http',
      '--header',
      `Authorization: Bearer ${token}`,
      ...args,
    ])
  const listed = await inspect('--method', 'tools/list')
  assert.equal(listed.code, 0, listed.stderr)
  assert.match(listed.stdout, /"name": "test_simple_text"/)
  const called = await inspect('--method', 'tools/call', '--tool-name', 'test_simple_text')
  assert.equal(called.code, 0, called.stderr)
  assert.match(called.stdout, /This is a simple text response for testing\./)
})

test('pages, unknown methods and unknown questions pass through untouched', async () => {
  await conductor.deploy(serverFolders.zoo, { name: 'paged', args: ['paged'] })
  const paged = new Client({ name: 'sdk-v1-paged', version: '1' })
  await paged.connect(await overHttp('paged'))
  try {
    const names: string[] = []
    let cursor: string | undefined
    do {
      const page = await paged.listTools(cursor === undefined ? {} : { cursor })
      assert.ok(page.tools.length <= 10, 'the gateway keeps the server’s pages')
      names.push(...page.tools.map(tool => tool.name))
      cursor = page.nextCursor
    } while (cursor !== undefined)
    assert.equal(names.length, 25)
    const answer = await paged.request({ method: 'x-zoo/unheard-of', params: { deep: [{ x: '\u2029' }] } }, z.looseObject({}))
    assert.deepEqual(answer, { heard: { deep: [{ x: '\u2029' }] }, extra: { kept: [1, 2.5, null, '\u2028'] } })
    await assert.rejects(paged.request({ method: 'x-zoo/nobody-knows', params: {} }, z.looseObject({})), { code: -32601 })
  } finally {
    await paged.close()
  }

  await conductor.deploy(serverFolders.zoo, { name: 'asking', args: ['asking'] })
  const asked = new Client({ name: 'sdk-v1-asked', version: '1' })
  asked.fallbackRequestHandler = async ({ method, params }) => ({ method, params })
  await asked.connect(await overHttp('asking'))
  try {
    const result = await asked.callTool({ name: 'unheard' })
    assert.match(JSON.stringify(result.content), /x-zoo\/unheard-of.*thing/)
  } finally {
    await asked.close()
  }
})

test('two clients of one deployment share nothing: each has a sandbox of its own', async () => {
  await conductor.deploy(serverFolders.zoo, { name: 'counter', args: ['counter'] })
  const open = async (name: string) => {
    const client = new Client({ name, version: '1' })
    await client.connect(await overHttp('counter'))
    return client
  }
  const [one, two] = await Promise.all([open('sdk-v1-one'), open('sdk-v1-two')])
  try {
    const text = async (client: Client, name: string, args: Record<string, unknown>) => {
      const result = await client.callTool({ name, arguments: args })
      return (result.content as { text: string }[])[0]?.text
    }
    assert.equal(await text(one, 'add', { by: 5 }), '5')
    assert.equal(await text(two, 'add', { by: 1 }), '1')
    assert.equal(await text(one, 'append', { text: 'a' }), 'a')
    assert.equal(await text(two, 'append', { text: 'b' }), 'b')
    assert.equal(await text(one, 'append', { text: 'c' }), 'ac')
  } finally {
    await Promise.all([one.close(), two.close()])
  }
})
