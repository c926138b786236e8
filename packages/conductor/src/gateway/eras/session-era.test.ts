/**
 * Goal: in a session each message of the server goes on exactly one stream, the right one, and none is lost to a client
 * that comes back for it.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import { fakeCapability, fakeStages, until } from '../../session/fake-stages.ts'
import { allEvents, eventsOf, initialize, initializeMessage, nextMessage, post, rpcHeaders, serveFake } from '../fake-http.ts'

const call = (id: number | string, name: string, meta?: object) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: { x: 1 }, ...(meta ? { _meta: meta } : {}) },
})
const listen = (url: string, session: Record<string, string>, lastEventId?: string) =>
  globalThis.fetch(url, {
    headers: { ...session, Accept: 'text/event-stream', ...(lastEventId ? { 'Last-Event-ID': lastEventId } : {}) },
  })

test('initialize is forwarded as it is, and the version is the server’s', async () => {
  await using http = await serveFake()
  const response = await post(http.url, initializeMessage('1999-01-01', 'init'))
  assert.equal(response.headers.get('content-type'), 'application/json')
  assert.match(response.headers.get('mcp-session-id') ?? '', /^ses_[0-9a-z]{20}\.[0-9a-f]{32}$/)
  const { id, result } = (await response.json()) as { id: string; result: { protocolVersion: string; serverInfo: object } }
  assert.equal(id, 'init')
  assert.equal(result.protocolVersion, '2025-11-25')
  assert.deepEqual(result.serverInfo, { name: 'fake', version: '1', vendorField: true })
  assert.equal(http.stages.upstreams[0]?.sent[0], JSON.stringify(initializeMessage('1999-01-01', 'init')))
})

test('a quick answer is JSON, byte for byte the server’s', async () => {
  await using http = await serveFake()
  const session = await initialize(http.url)
  const text = '{"jsonrpc":"2.0","id":7,"result":{"n":12345678901234567890,"n":1,"s":"\\ud800"}}'
  const answer = post(http.url, call(7, 'slow'), session)
  await until(() => http.stages.upstreams[0]?.received.length === 2, 'the call arrives')
  http.stages.upstreams[0]?.say(text)
  const response = await answer
  assert.equal(response.headers.get('content-type'), 'application/json')
  assert.equal(await response.text(), text)
  assert.equal(http.stages.tapes[0]?.frames.at(-1)?.text, text)
})

test('progress makes the answer a stream, primed for 2025-11-25 and not before', async () => {
  for (const [version, primed] of [
    ['2025-11-25', true],
    ['2025-06-18', false],
  ] as const) {
    await using http = await serveFake()
    const session = await initialize(http.url, 'all', version)
    const response = await post(http.url, call(1, 'echo', { progressToken: 'p' }), session)
    assert.equal(response.headers.get('content-type'), 'text/event-stream')
    const events = await allEvents(response)
    assert.equal(events[0]?.data === '', primed)
    const messages = events.filter(event => event.data !== '').map(event => JSON.parse(event.data))
    assert.deepEqual(
      messages.map(message => message.method ?? message.id),
      ['notifications/progress', 1],
    )
    for (const event of events) assert.match(event.id ?? '', /^[0-9a-z]+-[0-9]+$/)
  }
})

test('a silent request becomes a stream by itself', async () => {
  await using http = await serveFake()
  const session = await initialize(http.url)
  const response = await post(http.url, call(1, 'slow'), session)
  assert.equal(response.headers.get('content-type'), 'text/event-stream')
  http.stages.upstreams[0]?.say({ id: 1, result: { late: true } })
  const events = await allEvents(response)
  assert.deepEqual(JSON.parse(events.at(-1)?.data ?? '{}').result, { late: true })
})

test('messages of two requests never mix, whatever ids and tokens look like', async () => {
  await using http = await serveFake()
  const session = await initialize(http.url)
  const [number, text] = await Promise.all([
    post(http.url, call(1, 'echo', { progressToken: 1 }), session),
    post(http.url, call('1', 'echo', { progressToken: '1' }), session),
  ])
  for (const [response, id] of [
    [number, 1],
    [text, '1'],
  ] as const) {
    const messages = (await allEvents(response)).filter(event => event.data !== '').map(event => JSON.parse(event.data))
    assert.equal(messages[0].params.progressToken, id)
    assert.equal(messages[1].id, id)
    assert.equal(messages.length, 2)
  }
})

test('a request of the server goes on the open call’s stream, and its answer reaches the server untouched', async () => {
  await using http = await serveFake()
  const session = await initialize(http.url)
  const pending = post(http.url, call(1, 'slow'), session)
  await until(() => http.stages.upstreams[0]?.received.length === 2, 'the call arrives')
  const upstream = http.stages.upstreams[0]
  upstream?.say({ id: 'ask-1', method: 'elicitation/create', params: { message: 'Sure?' } })
  const events = eventsOf(await pending)
  assert.equal((await nextMessage(events)).message['id'], 'ask-1')
  const answer = '{"jsonrpc":"2.0","id":"ask-1","result":{"action":"accept"}}'
  assert.equal((await post(http.url, answer, session)).status, 202)
  assert.equal(upstream?.sent.at(-1), answer)
  assert.equal((await post(http.url, answer, session)).status, 202)
  assert.equal(upstream?.sent.filter(text => text === answer).length, 1, 'a second answer goes nowhere')
  upstream?.say({ id: 1, result: {} })
  assert.equal((await nextMessage(events)).message['id'], 1)
})

test('what belongs to no request waits for the GET stream and goes there', async () => {
  await using http = await serveFake()
  const session = await initialize(http.url)
  const upstream = http.stages.upstreams[0]
  upstream?.say({ method: 'notifications/tools/list_changed' })
  const response = await listen(http.url, session)
  const events = eventsOf(response)
  assert.equal((await nextMessage(events)).message['method'], 'notifications/tools/list_changed')
  const pending = post(http.url, call(1, 'slow'), session)
  await until(() => upstream?.received.length === 2, 'the call arrives')
  upstream?.say({ method: 'notifications/resources/updated', params: { uri: 'a:b' } })
  assert.equal((await nextMessage(events)).message['method'], 'notifications/resources/updated', 'also while a call is open')
  upstream?.say({ method: 'notifications/message', params: { level: 'info', data: 'x' } })
  const own = eventsOf(await pending)
  assert.equal((await nextMessage(own)).message['method'], 'notifications/message')
  await events.return(undefined)
  await own.return(undefined)
})

test('a broken stream is resumed after the last event, and only that stream', async () => {
  await using http = await serveFake()
  const session = await initialize(http.url)
  const upstream = http.stages.upstreams[0]
  const abort = new AbortController()
  const broken = await globalThis.fetch(http.url, {
    method: 'POST',
    headers: session,
    body: JSON.stringify(call(1, 'slow', { progressToken: 5 })),
    signal: abort.signal,
  })
  const events = eventsOf(broken)
  upstream?.say({ method: 'notifications/progress', params: { progressToken: 5, progress: 1 } })
  const first = await nextMessage(events)
  abort.abort()
  await until(() => {
    upstream?.say({ method: 'notifications/progress', params: { progressToken: 5, progress: 2 } })
    return (http.stages.tapes[0]?.frames.length ?? 0) > 5
  }, 'more was said meanwhile')
  upstream?.say({ id: 1, result: { done: true } })
  const resumed = await allEvents(await listen(http.url, session, first.id as string))
  const messages = resumed.map(event => JSON.parse(event.data))
  assert.ok(messages.length >= 2)
  assert.deepEqual(messages.at(-1).result, { done: true })
  for (const message of messages.slice(0, -1)) assert.equal(message.params.progress, 2)
  assert.equal(
    upstream?.received.some(message => message.method === 'notifications/cancelled'),
    false,
    'to go away is not to cancel',
  )
  assert.equal((await listen(http.url, session, 'zz-9')).status, 400)
})

test('a stream can be resumed while its request is still open', async () => {
  await using http = await serveFake()
  const session = await initialize(http.url)
  const abort = new AbortController()
  const body = JSON.stringify(call(1, 'slow'))
  const broken = await globalThis.fetch(http.url, { method: 'POST', headers: session, body, signal: abort.signal })
  const { value } = await eventsOf(broken).next()
  abort.abort()
  const resumed = eventsOf(await listen(http.url, session, (value as { id: string }).id))
  http.stages.upstreams[0]?.say({ id: 1, result: { found: true } })
  assert.deepEqual((await nextMessage(resumed)).message['result'], { found: true })
})

test('a cancelled request ends without an answer and frees its id', async () => {
  await using http = await serveFake()
  const session = await initialize(http.url)
  const pending = post(http.url, call(1, 'slow'), session)
  await until(() => http.stages.upstreams[0]?.received.length === 2, 'the call arrives')
  const cancel = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } }
  assert.equal((await post(http.url, cancel, session)).status, 202)
  const events = await allEvents(await pending)
  assert.deepEqual(
    events.filter(event => event.data !== ''),
    [],
  )
  http.stages.upstreams[0]?.say({ id: 1, result: { late: true } })
  const again = await post(http.url, call(1, 'echo'), session)
  assert.match(await again.text(), /"content"/)
})

test('an id in flight cannot be used a second time, and the first keeps its answer', async () => {
  await using http = await serveFake()
  const session = await initialize(http.url)
  const first = post(http.url, call(1, 'slow'), session)
  await until(() => http.stages.upstreams[0]?.received.length === 2, 'the call arrives')
  const second = await post(http.url, call(1, 'echo'), session)
  assert.equal(second.status, 400)
  assert.equal(((await second.json()) as { error: { code: number } }).error.code, -32600)
  http.stages.upstreams[0]?.say({ id: 1, result: { mine: true } })
  assert.match(await (await first).text(), /"mine":true/)
})

test('a denied call is answered in its place, noted on the tape and never sent', async () => {
  await using http = await serveFake()
  const session = await initialize(http.url, 'scoped')
  const denied = await post(http.url, call(1, 'boom'), session)
  assert.equal(denied.status, 200)
  const { error } = (await denied.json()) as { error: { code: number; data: { code: string } } }
  assert.equal(error.data.code, 'capability_insufficient')
  assert.equal(http.stages.upstreams[0]?.received.length, 1)
  assert.deepEqual(http.stages.tapes[0]?.events.at(-1), {
    name: 'policy.denied',
    code: 'capability_insufficient',
    method: 'tools/call',
    tool: 'boom',
  })
})

test('a scoped token sees its tools and the rest of the answer untouched; the tape has what the server sent', async () => {
  await using http = await serveFake()
  const list = { jsonrpc: '2.0', id: 1, method: 'tools/list' }
  const text = async (token: string) => (await post(http.url, list, await initialize(http.url, token))).text()
  const whole = await text('all')
  const scoped = await text('scoped')
  assert.equal(JSON.parse(whole).result.tools.length, 3)
  assert.equal(
    scoped,
    whole.replace(/\{"name":"echo".*?\}\},.*\]/, match => `${match.slice(0, match.indexOf('},{') + 1)}]`),
  )
  assert.deepEqual(
    JSON.parse(scoped).result.tools.map((tool: { name: string }) => tool.name),
    ['echo'],
  )
  assert.equal(http.stages.tapes[1]?.frames.at(-1)?.text, whole)
})

test('a caller has so many sessions at a time and no more, and others still get theirs', async () => {
  const stages = fakeStages()
  stages.config.sessionsPerCallerMax = 2
  await using http = await serveFake(stages)
  const first = await initialize(http.url)
  await initialize(http.url)
  const third = await post(http.url, initializeMessage())
  assert.equal(third.status, 429)
  assert.equal(((await third.json()) as { error: { data: { code: string } } }).error.data.code, 'session_overloaded')
  await initialize(http.url, 'other')
  await globalThis.fetch(http.url, { method: 'DELETE', headers: first })
  await until(() => [...stages.rows.values()].some(row => row.state === 'closed'), 'the first has ended')
  await initialize(http.url)
})

test('a session is closed to a token of its holder for other tools, and open to one renewed', async () => {
  await using http = await serveFake()
  const renewed = fakeCapability({ tools: new Set(['echo']) })
  http.stages.policy.verify = async token =>
    token === 'renewed' ? renewed : token === 'scoped' ? { ...renewed } : fakeCapability()
  const wide = await initialize(http.url, 'all')
  await (await post(http.url, call(1, 'echo'), wide)).text()
  const as = (token: string, session: Record<string, string>) => ({ ...session, Authorization: `Bearer ${token}` })
  const resume = { headers: { ...as('scoped', wide), 'Last-Event-ID': '1-0' } }
  assert.equal((await globalThis.fetch(http.url, resume)).status, 404)
  assert.equal((await post(http.url, call(2, 'echo'), as('scoped', wide))).status, 404)
  const narrow = await initialize(http.url, 'scoped')
  assert.equal((await post(http.url, call(3, 'echo'), as('all', narrow))).status, 404)
  assert.equal((await post(http.url, call(4, 'echo'), as('renewed', narrow))).status, 200)
})

test('batches are split and their answers joined in 2025-03-26, and refused later', async () => {
  await using http = await serveFake()
  const old = await initialize(http.url, 'all', '2025-03-26')
  const batch = [
    call(1, 'echo'),
    { jsonrpc: '2.0', method: 'notifications/x' },
    call('b', 'boom'),
    { id: 3 },
    call(4, 'echo', { progressToken: 1 }),
  ]
  const stream = await allEvents(await post(http.url, batch, old))
  assert.deepEqual(
    stream.map(event => JSON.parse(event.data).id ?? null),
    [3, 1, 'b', null, 4],
    'with progress: a stream',
  )
  const joined = (await (await post(http.url, batch.slice(0, 4), old)).json()) as { id: unknown }[]
  assert.deepEqual(
    joined.map(message => message.id),
    [3, 1, 'b'],
  )
  assert.equal((await post(http.url, [{ jsonrpc: '2.0', method: 'notifications/x' }], old)).status, 202)
  const now = await initialize(http.url)
  assert.equal((await post(http.url, batch, now)).status, 400)
})

test('DELETE ends the session: 404 after, lease released, tape sealed once', async () => {
  await using http = await serveFake()
  const session = await initialize(http.url)
  const standing = await listen(http.url, session)
  assert.equal((await globalThis.fetch(http.url, { method: 'DELETE', headers: session })).status, 200)
  assert.equal((await post(http.url, call(1, 'echo'), session)).status, 404)
  assert.deepEqual(await allEvents(standing).then(events => events.filter(event => event.data !== '')), [])
  await until(() => http.stages.tapes[0]?.seals.length === 1, 'the tape is sealed')
  assert.equal(http.stages.released, 1)
})

test('a client that is gone before initialize is answered leaves no session', async () => {
  await using http = await serveFake(fakeStages(() => {}))
  const abort = new AbortController()
  const lost = globalThis.fetch(http.url, {
    method: 'POST',
    headers: rpcHeaders(),
    body: JSON.stringify(initializeMessage()),
    signal: abort.signal,
  })
  await until(() => http.stages.upstreams[0]?.received.length === 1, 'initialize arrives')
  abort.abort()
  await assert.rejects(lost)
  await until(() => http.stages.released === 1, 'the lease is released')
})

test('a server that refuses to initialize is heard, and its session ends', async () => {
  await using http = await serveFake(
    fakeStages(({ id }, upstream) => upstream.say({ id: id as number, error: { code: -32602, message: 'no' } })),
  )
  const response = await post(http.url, initializeMessage())
  assert.match(await response.text(), /"code":-32602/)
  await until(() => http.stages.tapes[0]?.seals[0] === 'server_refused', 'the session ends')
})

test('no session is opened where none can be leased: 503 with a pause, and the id of the request', async () => {
  const stages = fakeStages()
  const { ConductorError } = await import('@maestro/contract')
  stages.pool.lease = async () => {
    throw new ConductorError('pool_exhausted', 'All sandboxes are leased.', { retry_after_ms: 2500 })
  }
  await using http = await serveFake(stages)
  const response = await post(http.url, initializeMessage('2025-11-25', 'first'))
  assert.equal(response.status, 503)
  assert.equal(response.headers.get('retry-after'), '3')
  assert.equal(((await response.json()) as { id: string }).id, 'first')
})

test('a client that does not read holds the server back, and is not given memory without end', async () => {
  const stages = fakeStages()
  await using http = await serveFake(stages)
  const session = await initialize(http.url)
  const response = await listen(http.url, session)
  const upstream = stages.upstreams[0]
  const big = { method: 'notifications/resources/updated', params: { uri: 'x'.repeat(200_000) } }
  for (let index = 0; index < 200 && upstream?.isPaused === false; index++) {
    upstream.say(big)
    await new Promise(setImmediate)
  }
  assert.equal(upstream?.isPaused, true)
  const reader = response.body?.getReader()
  const drained = until(() => upstream?.isPaused === false, 'the server goes on')
  for (let isDone = false; !isDone; ) {
    await reader?.read()
    isDone = await Promise.race([drained.then(() => true), new Promise<boolean>(resolve => setImmediate(() => resolve(false)))])
  }
  await reader?.cancel()
})

test('after its server died a session answers what was open, then 404, so that the client starts anew', async () => {
  await using http = await serveFake()
  const session = await initialize(http.url)
  const open = post(http.url, call(1, 'slow'), session)
  await until(() => http.stages.upstreams[0]?.received.length === 2, 'the call arrives')
  http.stages.upstreams[0]?.exit({ code: 9, stderrTail: 'oops' })
  assert.match(await (await open).text(), /sandbox_crashed.*oops|oops.*sandbox_crashed/)
  assert.equal((await post(http.url, call(2, 'echo'), session)).status, 404)
  assert.equal(http.gateway.openSessions().length, 0)
})

test('sessions do not feel each other’s failures', async () => {
  await using http = await serveFake()
  const [one, two] = [await initialize(http.url), await initialize(http.url)]
  http.stages.upstreams[0]?.exit({ code: 1 })
  http.stages.upstreams[1]?.say('garbage')
  assert.equal((await post(http.url, call(1, 'echo'), two)).status, 200)
  assert.equal((await post(http.url, call(1, 'echo'), one)).status, 404)
})

test('a GET stream that comes back gets what it missed and what was said while nobody listened', async () => {
  await using http = await serveFake()
  const session = await initialize(http.url)
  const upstream = http.stages.upstreams[0]
  const changed = (uri: string) => upstream?.say({ method: 'notifications/resources/updated', params: { uri } })
  const abort = new AbortController()
  const headers = { ...session, Accept: 'text/event-stream' }
  const broken = eventsOf(await globalThis.fetch(http.url, { headers, signal: abort.signal }))
  changed('one')
  const first = await nextMessage(broken)
  changed('two')
  await nextMessage(broken)
  abort.abort()
  await assert.rejects(broken.next())
  await post(http.url, call(1, 'echo'), session).then(response => response.text())
  changed('three')
  const resumed = eventsOf(await listen(http.url, session, first.id as string))
  const uris = [await nextMessage(resumed), await nextMessage(resumed)].map(
    ({ message }) => (message['params'] as { uri: string }).uri,
  )
  assert.deepEqual(uris, ['two', 'three'])
  await resumed.return(undefined)
})
