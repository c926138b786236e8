/**
 * Goal: at the HTTP edge every request gets the status it deserves, and none harms another.
 * Method: real HTTP on a port of its own, raw sockets for what fetch cannot send; random and damaged bodies.
 * Replay a failure with SEED=<seed>.
 */
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { connect } from 'node:net'
import test from 'node:test'
import fc from 'fast-check'
import { until } from '../session/fake-stages.ts'
import { initialize, initializeMessage, post, rpcHeaders, serveFake } from './fake-http.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
const ping = { jsonrpc: '2.0', id: 1, method: 'ping' }

/** Sends with any headers, which fetch would not. */
function send(
  port: number,
  options: { path?: string; method?: string; headers: Record<string, string>; body?: string | Uint8Array },
) {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; headers: Record<string, unknown>; body: string }>()
  const sent = request({
    port,
    host: '127.0.0.1',
    path: options.path ?? '/mcp/fake',
    method: options.method ?? 'POST',
    headers: options.headers,
  })
  sent.on('response', response => {
    let body = ''
    // A stream stays open; that it was opened is all that is asked here.
    if (response.headers['content-type'] === 'text/event-stream') {
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body })
      response.destroy()
    }
    response.on('data', chunk => {
      body += chunk
    })
    response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }))
  })
  sent.on('error', reject)
  sent.end(options.body)
  return promise
}

/** Writes raw bytes and gives what came back once the server ends the connection or `enough` says so. */
async function raw(port: number, bytes: string | Uint8Array, enough: (text: string) => boolean): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  socket.on('data', chunk => {
    text += chunk
  })
  socket.on('error', () => {})
  socket.write(bytes)
  await until(() => enough(text) || socket.closed, 'the server answers')
  socket.destroy()
  return text
}

test('a request by a foreign host name or from a foreign page is refused before its token is looked at', async () => {
  await using http = await serveFake()
  const status = async (headers: Record<string, string>) =>
    (await send(http.port, { headers: { ...rpcHeaders(), ...headers }, body: '{}' })).status
  for (const Host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', 'localhost:80:80']) {
    assert.equal(await status({ Host }), 403, Host)
  }
  for (const Origin of [
    'https://evil.example',
    'null',
    'http://localhost.evil.example',
    'file://',
    'https://app.example.evil.example',
  ]) {
    assert.equal(await status({ Origin }), 403, Origin)
  }
  for (const Host of ['localhost', 'localhost:1234', '127.0.0.1', '[::1]:9', 'conductor.example', 'CONDUCTOR.example:443']) {
    assert.notEqual(await status({ Host }), 403, Host)
  }
  for (const Origin of ['http://localhost:5173', 'https://app.example', 'http://127.0.0.1:1', 'http://[::1]:1']) {
    assert.notEqual(await status({ Origin }), 403, Origin)
  }
})

test('a page of an allowed origin may preflight and read the session id', async () => {
  await using http = await serveFake()
  const preflight = await send(http.port, { method: 'OPTIONS', headers: { Origin: 'https://app.example' } })
  assert.equal(preflight.status, 204)
  assert.equal(preflight.headers['access-control-allow-origin'], 'https://app.example')
  const opened = await post(http.url, initializeMessage(), rpcHeaders('all', { Origin: 'https://app.example' }))
  assert.match(opened.headers.get('access-control-expose-headers') ?? '', /Mcp-Session-Id/)
  await opened.text()
})

test('each wrong request gets its status, a JSON-RPC error and a request id', async () => {
  await using http = await serveFake()
  const session = await initialize(http.url)
  const without = (name: string) => Object.fromEntries(Object.entries(session).filter(([key]) => key !== name))
  const cases: [expected: number, code: string, headers: Record<string, string>, body: string, path?: string, method?: string][] =
    [
      [401, 'capability_missing', without('Authorization'), JSON.stringify(ping)],
      [401, 'capability_missing', { ...session, Authorization: 'Basic YTpi' }, JSON.stringify(ping)],
      [401, 'capability_invalid', { ...session, Authorization: 'Bearer wrong' }, JSON.stringify(ping)],
      [403, 'capability_insufficient', { ...session, Authorization: 'Bearer foreign' }, JSON.stringify(ping)],
      [404, 'deployment_not_found', session, JSON.stringify(ping), '/mcp/nothing'],
      [404, 'deployment_not_found', session, JSON.stringify(ping), '/mcp/fake/../fake'],
      [405, 'method_not_allowed', session, '', '/mcp/fake', 'PUT'],
      [415, 'content_type_unsupported', { ...session, 'Content-Type': 'text/plain' }, JSON.stringify(ping)],
      [406, 'accept_unsupported', { ...session, Accept: 'application/json' }, JSON.stringify(ping)],
      [413, 'frame_too_large', session, ' '.repeat(300 * 1024)],
      [400, 'frame_malformed', session, '{'],
      [400, 'frame_invalid', session, '{}'],
      [400, 'frame_invalid', session, '[]'],
      [400, 'frame_invalid', session, JSON.stringify([ping])],
      [400, 'protocol_version_unsupported', { ...session, 'MCP-Protocol-Version': '2020-01-01' }, JSON.stringify(ping)],
      [400, 'session_required', without('Mcp-Session-Id'), JSON.stringify(ping)],
      [404, 'session_not_found', { ...session, 'Mcp-Session-Id': 'nonsense' }, JSON.stringify(ping)],
      [
        404,
        'session_not_found',
        { ...session, 'Mcp-Session-Id': `${session['Mcp-Session-Id']?.slice(0, -1)}x` },
        JSON.stringify(ping),
      ],
      [404, 'session_not_found', { ...session, Authorization: 'Bearer other' }, JSON.stringify(ping)],
      [400, 'session_required', without('Mcp-Session-Id'), '', '/mcp/fake', 'GET'],
      [405, 'method_not_allowed', { ...session, 'MCP-Protocol-Version': '2026-07-28' }, '', '/mcp/fake', 'GET'],
      [405, 'method_not_allowed', { ...session, 'MCP-Protocol-Version': '2026-07-28' }, '', '/mcp/fake', 'DELETE'],
    ]
  for (const [expected, code, headers, body, path, method] of cases) {
    const answer = await send(http.port, { headers, body, ...(path ? { path } : {}), ...(method ? { method } : {}) })
    assert.equal(answer.status, expected, `${code}: ${answer.body}`)
    const { error } = JSON.parse(answer.body) as { error: { data: { code: string; request_id: string } } }
    assert.equal(error.data.code, code)
    assert.match(error.data.request_id, /^req_[0-9a-z]{20}$/)
    if (expected === 401) assert.match(String(answer.headers['www-authenticate']), /^Bearer/)
  }
  assert.equal((await post(http.url, ping, session)).status, 200, 'none of it harmed the session')
})

test('a token is checked on every request: one that stopped working stops its session’s requests', async () => {
  await using http = await serveFake()
  const session = await initialize(http.url)
  delete http.stages.capabilities['all']
  assert.equal((await post(http.url, ping, session)).status, 401)
})

test('a body announced as too large is refused before it comes', async () => {
  await using http = await serveFake()
  const head = `POST /mcp/fake HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer all\r\nContent-Type: application/json\r\nAccept: */*\r\nContent-Length: 999999999\r\n\r\n`
  const answer = await raw(http.port, head, text => text.includes('\r\n\r\n'))
  assert.match(answer, /^HTTP\/1.1 413 /)
})

test('a client that is still sending what is too large reads why it was refused', async () => {
  await using http = await serveFake()
  const headers = { Authorization: 'Bearer all', 'Content-Type': 'application/json', Accept: '*/*' }
  // Large enough that the system cannot take it all before the answer is there.
  const body = ' '.repeat(16 * 1024 * 1024)
  for (let round = 0; round < 5; round++) assert.equal((await fetch(http.url, { method: 'POST', headers, body })).status, 413)
})

test('a chunked body is cut off where it becomes too large', async () => {
  await using http = await serveFake()
  const chunk = `${(64 * 1024).toString(16)}\r\n${' '.repeat(64 * 1024)}\r\n`
  const head = `POST /mcp/fake HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer all\r\nContent-Type: application/json\r\nAccept: */*\r\nTransfer-Encoding: chunked\r\n\r\n`
  assert.match(await raw(http.port, head + chunk.repeat(6), text => text.includes('\r\n\r\n')), /^HTTP\/1.1 413 /)
})

test('pipelined requests are answered in their order', async () => {
  await using http = await serveFake()
  const session = await initialize(http.url)
  const one = (id: number) => {
    const body = JSON.stringify({ jsonrpc: '2.0', id, method: 'ping' })
    const headers = Object.entries({ Host: 'localhost', ...session, 'Content-Length': String(body.length) })
    return `POST /mcp/fake HTTP/1.1\r\n${headers.map(([name, value]) => `${name}: ${value}`).join('\r\n')}\r\n\r\n${body}`
  }
  const answer = await raw(http.port, [1, 2, 3, 4, 5].map(one).join(''), text => text.includes('"id":5'))
  assert.deepEqual(
    Array.from(answer.matchAll(/"id":([0-9])/g), match => match[1]),
    ['1', '2', '3', '4', '5'],
  )
})

test('a client that vanishes in the middle of its body leaves nothing behind', async () => {
  await using http = await serveFake()
  const session = await initialize(http.url)
  for (let index = 0; index < 20; index++) {
    const socket = connect(http.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(
      `POST /mcp/fake HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer all\r\nContent-Type: application/json\r\nAccept: */*\r\nContent-Length: 500\r\n\r\n{"jsonrpc"`,
    )
    socket.on('connect', () => setImmediate(() => socket.destroy()))
  }
  assert.equal((await post(http.url, ping, session)).status, 200)
})

test('no bytes in the place of a body, a header or a request harm a session', async () => {
  await using http = await serveFake()
  const session = await initialize(http.url)
  const whole = JSON.stringify({ jsonrpc: '2.0', id: 5, method: 'tools/call', params: { name: 'echo', arguments: { a: ['é'] } } })
  const damaged = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 }).map(hits => {
    const bytes = Buffer.from(whole)
    for (const [at, byte] of hits) bytes[at] = byte
    return bytes
  })
  const visible = fc.string({ unit: fc.constantFrom(...'abc123-.=?/,; "'), maxLength: 40 }).map(text => text.trim())
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(damaged, fc.uint8Array({ maxLength: 300 })),
      fc.dictionary(
        fc.constantFrom('Accept', 'Mcp-Session-Id', 'MCP-Protocol-Version', 'Mcp-Method', 'Last-Event-ID', 'Origin'),
        visible,
        { maxKeys: 2 },
      ),
      fc.constantFrom('POST', 'POST', 'GET', 'DELETE'),
      async (body, headers, method) => {
        const response = await send(http.port, {
          method,
          headers: { ...session, ...headers, ...(method === 'DELETE' ? { 'Mcp-Session-Id': 'x' } : {}) },
          ...(method === 'POST' ? { body } : {}),
        }).catch(() => null)
        assert.ok(response === null || response.status < 500, `${response?.status} SEED=${seed}`)
      },
    ),
    { seed, numRuns: 200, interruptAfterTimeLimit: 8_000, timeout: 2_000 },
  )
  assert.equal((await post(http.url, ping, session)).status, 200)
})

test('draining gives open calls their time, ends sessions and takes nothing new', async () => {
  await using http = await serveFake()
  const session = await initialize(http.url)
  const slow = post(http.url, { jsonrpc: '2.0', id: 9, method: 'tools/call', params: { name: 'slow' } }, session)
  await until(() => http.gateway.openSessions()[0]?.openRequests === 1, 'the call is open')
  const drained = http.gateway.drain()
  assert.equal((await post(http.url, initializeMessage())).status, 503)
  http.stages.upstreams[0]?.say({ id: 9, result: { content: [] } })
  assert.deepEqual(((await (await slow).json()) as { result: unknown }).result, { content: [] })
  await drained
  assert.equal(http.stages.released, 1)
  assert.deepEqual(http.stages.tapes[0]?.seals, ['drain'])
})
