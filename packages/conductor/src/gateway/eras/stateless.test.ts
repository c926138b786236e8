/** Goal: a request of 2026-07-28 is served by a server that knows only sessions, and by a modern one, with nothing mixed up. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { fakeCapability, fakeRunnable, fakeStages, until } from '../../session/fake-stages.ts'
import { allEvents, eventsOf, nextMessage, post, rpcHeaders, serveFake } from '../fake-http.ts'

const version = '2026-07-28'

function message(id: number | string, method: string, params: Record<string, unknown> = {}, meta: Record<string, unknown> = {}) {
  const envelope = {
    'io.modelcontextprotocol/protocolVersion': version,
    'io.modelcontextprotocol/clientCapabilities': {},
    'io.modelcontextprotocol/clientInfo': { name: 'modern', version: '3' },
  }
  return { jsonrpc: '2.0', id, method, params: { ...params, _meta: { ...envelope, ...meta } } }
}

function headersFor(method: string, name?: string, token = 'all'): Record<string, string> {
  return rpcHeaders(token, { 'MCP-Protocol-Version': version, 'Mcp-Method': method, ...(name ? { 'Mcp-Name': name } : {}) })
}

const call = (url: string, id: number | string, name: string, meta: Record<string, unknown> = {}, token = 'all') =>
  post(url, message(id, 'tools/call', { name, arguments: { x: 1 } }, meta), headersFor('tools/call', name, token))

interface Answer {
  id: unknown
  result: Record<string, unknown>
  error: { code: number; data?: Record<string, unknown> }
}
const answerOf = async (response: Response) => (await response.json()) as Answer

test('server/discover is answered from the release, without a sandbox', async () => {
  await using http = await serveFake()
  const response = await post(http.url, message('d', 'server/discover'), headersFor('server/discover'))
  const { id, result } = await answerOf(response)
  assert.equal(id, 'd')
  assert.deepEqual(result['supportedVersions'], [version])
  assert.deepEqual(result['capabilities'], { tools: {}, logging: {} })
  assert.equal(result['instructions'], 'Be kind.')
  assert.equal(result['resultType'], 'complete')
  assert.equal(http.stages.upstreams.length, 0)
})

test('a call gets what the revision adds, and the server nothing it would not know', async () => {
  await using http = await serveFake()
  const { id, result } = await answerOf(await call(http.url, 'x', 'echo', { traceparent: '00-t', vendor: 1 }))
  assert.equal(id, 'x')
  assert.equal(result['resultType'], 'complete')
  assert.deepEqual(result['_meta'], { 'io.modelcontextprotocol/serverInfo': { name: 'fake', version: '1' } })
  const sent = http.stages.upstreams[0]?.received ?? []
  assert.deepEqual(
    sent.map(message => message.method),
    ['initialize', 'notifications/initialized', 'tools/call'],
  )
  assert.deepEqual(sent[0]?.params?.['clientInfo'], { name: 'modern', version: '3' })
  assert.deepEqual(sent[2]?.params?.['_meta'], { traceparent: '00-t', vendor: 1 })
  const list = await answerOf(await post(http.url, message(2, 'tools/list'), headersFor('tools/list')))
  assert.equal(list.result['ttlMs'], 0)
  assert.equal(list.result['cacheScope'], 'private')
  assert.equal(http.stages.upstreams.length, 1, 'the caller’s second request shares the session')
  const row = [...http.stages.rows.values()][0]
  assert.equal(row?.era, 'stateless')
  assert.equal(row?.protocolVersion, version)
})

test('two requests at once with the same id and token get their own answers', async () => {
  await using http = await serveFake()
  const responses = await Promise.all([
    call(http.url, 1, 'echo', { progressToken: 't' }),
    call(http.url, 1, 'echo', { progressToken: 't' }),
  ])
  for (const response of responses) {
    const messages = (await allEvents(response)).map(event => JSON.parse(event.data))
    assert.deepEqual(
      messages.map(message => message.id ?? message.params.progressToken),
      ['t', 1],
    )
  }
  assert.equal(http.stages.upstreams.length, 1)
})

test('callers, and different capabilities of one caller, never share a session', async () => {
  await using http = await serveFake()
  await (await call(http.url, 1, 'echo')).text()
  await (await call(http.url, 1, 'echo', {}, 'other')).text()
  assert.equal(http.stages.upstreams.length, 2)
  const capabilities = { 'io.modelcontextprotocol/clientCapabilities': { experimental: { a: {} }, elicitation: {} } }
  await (await call(http.url, 1, 'echo', capabilities)).text()
  assert.equal(http.stages.upstreams.length, 3)
  assert.deepEqual(http.stages.upstreams[2]?.received[0]?.params?.['capabilities'], { experimental: { a: {} } })
})

test('the tools a token names are those it sees and may call', async () => {
  await using http = await serveFake()
  const list = await answerOf(await post(http.url, message(1, 'tools/list'), headersFor('tools/list', undefined, 'scoped')))
  assert.deepEqual(
    (list.result['tools'] as { name: string }[]).map(tool => tool.name),
    ['echo'],
  )
  const denied = await answerOf(await call(http.url, 2, 'boom', {}, 'scoped'))
  assert.equal(denied.error.data?.['code'], 'capability_insufficient')
})

test('headers that say something else than the body are refused, as is an incomplete envelope', async () => {
  await using http = await serveFake()
  const good = headersFor('tools/call', 'echo')
  const body = message(1, 'tools/call', { name: 'echo' })
  const meta = body.params._meta as Record<string, unknown>
  const without = (key: string) => ({
    ...body,
    params: { ...body.params, _meta: Object.fromEntries(Object.entries(meta).filter(([name]) => name !== key)) },
  })
  const cases: [status: number, code: number, headers: Record<string, string>, body: unknown][] = [
    [400, -32020, { ...good, 'Mcp-Method': 'tools/list' }, body],
    [400, -32020, { ...good, 'Mcp-Name': 'other' }, body],
    [400, -32020, { ...good, 'MCP-Protocol-Version': '2025-11-25' }, body],
    [400, -32020, rpcHeaders(), body],
    [400, -32602, good, without('io.modelcontextprotocol/protocolVersion')],
    [400, -32602, good, without('io.modelcontextprotocol/clientCapabilities')],
    [
      400,
      -32022,
      { ...good, 'MCP-Protocol-Version': '2099-01-01' },
      message(1, 'tools/call', { name: 'echo' }, { 'io.modelcontextprotocol/protocolVersion': '2099-01-01' }),
    ],
    [404, -32601, headersFor('ping'), message(1, 'ping')],
    [404, -32601, headersFor('initialize'), message(1, 'initialize')],
    [404, -32601, headersFor('nothing/known'), message(1, 'nothing/known')],
  ]
  for (const [status, code, headers, sent] of cases) {
    const response = await post(http.url, sent, headers)
    const answer = await answerOf(response)
    assert.equal(answer.error.code, code)
    assert.equal(response.status, status)
    assert.equal(answer.id, 1)
  }
  assert.equal((await post(http.url, body, { ...good, 'Mcp-Name': '=?base64?ZWNobw==?=' })).status, 200)
})

test('mirrored arguments must say what the body says', async () => {
  const runnable = fakeRunnable()
  runnable.release.manifest.tools = [
    { name: 'echo', inputSchema: { type: 'object', properties: { region: { type: 'string', 'x-mcp-header': 'Region' } } } },
  ]
  await using http = await serveFake(fakeStages(undefined, [runnable]))
  const body = message(1, 'tools/call', { name: 'echo', arguments: { region: 'eu' } })
  const status = async (more: Record<string, string>) =>
    (await post(http.url, body, { ...headersFor('tools/call', 'echo'), ...more })).status
  assert.equal(await status({ 'Mcp-Param-Region': 'eu' }), 200)
  assert.equal(await status({ 'Mcp-Param-Region': 'us' }), 400)
  assert.equal(await status({}), 400)
})

test('closing the response cancels the call at the server', async () => {
  await using http = await serveFake()
  const abort = new AbortController()
  const lost = globalThis.fetch(http.url, {
    method: 'POST',
    headers: headersFor('tools/call', 'slow'),
    body: JSON.stringify(message('mine', 'tools/call', { name: 'slow' })),
    signal: abort.signal,
  })
  await until(() => http.stages.upstreams[0]?.received.at(-1)?.method === 'tools/call', 'the call arrives')
  const id = http.stages.upstreams[0]?.received.at(-1)?.id
  abort.abort()
  await assert.rejects(lost)
  await until(() => http.stages.upstreams[0]?.received.at(-1)?.method === 'notifications/cancelled', 'it is cancelled')
  assert.equal(http.stages.upstreams[0]?.received.at(-1)?.params?.['requestId'], id)
})

test('log messages come only where they were asked for, from the level asked for', async () => {
  await using http = await serveFake()
  const logged = call(http.url, 1, 'slow', { 'io.modelcontextprotocol/logLevel': 'warning' })
  await until(() => http.stages.upstreams[0]?.received.at(-1)?.method === 'tools/call', 'the call arrives')
  const upstream = http.stages.upstreams[0]
  const id = upstream?.received.at(-1)?.id as number
  upstream?.say({ method: 'notifications/message', params: { level: 'info', data: 'no' } })
  upstream?.say({ method: 'notifications/message', params: { level: 'error', data: 'yes' } })
  const events = eventsOf(await logged)
  assert.equal(((await nextMessage(events)).message['params'] as { data: string }).data, 'yes')
  upstream?.say({ id, result: {} })
  assert.equal((await nextMessage(events)).message['id'], 1)
})

test('a server that asks in the middle of a stateless request is told that it cannot', async () => {
  await using http = await serveFake()
  const pending = call(http.url, 1, 'slow')
  await until(() => http.stages.upstreams[0]?.received.at(-1)?.method === 'tools/call', 'the call arrives')
  const upstream = http.stages.upstreams[0]
  const id = upstream?.received.at(-1)?.id as number
  upstream?.say({ id: 'q', method: 'roots/list' })
  assert.equal(upstream?.received.at(-1)?.error?.code, -32601)
  upstream?.say({ id, error: { code: -32002, message: 'not found' } })
  assert.equal((await answerOf(await pending)).error.code, -32602, 'the old code for a missing resource is the new one')
})

test('after the server died the next request gets a new one', async () => {
  await using http = await serveFake()
  await (await call(http.url, 1, 'echo')).text()
  http.stages.upstreams[0]?.exit({ code: 1 })
  const { result } = await answerOf(await call(http.url, 2, 'echo'))
  assert.ok(result)
  assert.equal(http.stages.upstreams.length, 2)
})

test('a server that cannot be initialized fails the requests that wait, each under its id', async () => {
  await using http = await serveFake(
    fakeStages(({ id }, upstream) => id !== undefined && upstream.say({ id, error: { code: 1, message: 'no' } })),
  )
  const responses = await Promise.all([call(http.url, 'a', 'echo'), call(http.url, 'b', 'echo')])
  for (const [index, response] of responses.entries()) {
    const { id, error } = await answerOf(response)
    assert.equal(id, ['a', 'b'][index])
    assert.equal(error.data?.['code'], 'server_refused')
  }
  await until(() => http.stages.released === http.stages.upstreams.length, 'nothing is left')
})

test('a modern server is spoken to in its own revision, with ids of ours', async () => {
  const runnable = fakeRunnable()
  runnable.release.manifest.protocolVersion = version
  const text = '{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","requestState":"s","n":1.00}}'
  await using http = await serveFake(fakeStages((_, upstream) => upstream.say(text), [runnable]))
  const response = await call(http.url, 'mine', 'echo')
  assert.equal(await response.text(), text.replace('"id":1', '"id":"mine"'))
  const [sent] = http.stages.upstreams[0]?.received ?? []
  assert.equal(sent?.method, 'tools/call')
  assert.equal(
    (sent?.params?.['_meta'] as Record<string, unknown> | undefined)?.['io.modelcontextprotocol/protocolVersion'],
    version,
  )
})

test('a capability that is narrower on the next request narrows that request', async () => {
  await using http = await serveFake()
  await (await call(http.url, 1, 'boom')).text()
  http.stages.capabilities['all'] = fakeCapability({ tools: new Set(['echo']) })
  assert.equal((await answerOf(await call(http.url, 2, 'boom'))).error.data?.['code'], 'capability_insufficient')
  assert.equal(http.stages.upstreams.length, 1)
})

test('values that cannot become text are answered, before the session is ready as after', async () => {
  const runnable = fakeRunnable()
  runnable.release.manifest.tools = [
    { name: 'echo', inputSchema: { type: 'object', properties: { region: { type: 'string', 'x-mcp-header': 'Region' } } } },
  ]
  await using http = await serveFake(fakeStages(undefined, [runnable]))
  // An own `toString` that is no function makes String() throw; thrown after a promise, that would end the process.
  const textless = { toString: 1, valueOf: 1 }
  const meta = { 'io.modelcontextprotocol/logLevel': textless }
  for (let round = 0; round < 2; round++) {
    const list = await post(http.url, message(1, 'tools/list', {}, meta), headersFor('tools/list'))
    assert.ok(Array.isArray((await answerOf(list)).result['tools']))
    const body = message(2, 'tools/call', { name: 'echo', arguments: { region: textless } })
    const called = await post(http.url, body, { ...headersFor('tools/call', 'echo'), 'Mcp-Param-Region': 'eu' })
    assert.equal(called.status, 400)
    assert.equal((await answerOf(called)).error.code, -32020)
  }
})
