/**
 * Goal: what a client says on a pipe reaches a server on Streamable HTTP and comes back, byte for byte, whatever happens between them.
 * Method: a server of our own on loopback that answers as each test tells it, and a look at what the bridge asked and wrote.
 */
import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import test, { type TestContext } from 'node:test'
import { openBridge } from './bridge.ts'
import type { Credentials } from './credentials.ts'

interface Asked {
  method: string
  headers: IncomingMessage['headers']
  body: string
}

type Answer = (asked: Asked, response: ServerResponse) => void

async function setUp(t: TestContext, answer: Answer) {
  const asked: Asked[] = []
  const written: string[] = []
  const notes: string[] = []
  const waiting = new Set<() => void>()
  const changed = () => {
    for (const look of waiting) look()
  }
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const one = { method: request.method ?? '', headers: request.headers, body }
    asked.push(one)
    answer(one, response)
    changed()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp/x`
  let tokens = 0
  let held: string | null = null
  const credentials: Credentials = {
    current: async () => {
      held ??= `token-${++tokens}`
      return { url, token: held }
    },
    drop: () => {
      held = null
    },
  }
  const bridge = openBridge({
    credentials,
    write: async frame => {
      written.push(Buffer.from(frame).toString('utf8'))
      changed()
    },
    note: text => notes.push(text),
  })
  t.after(async () => {
    await bridge.abort()
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  })
  /** Settles once the condition holds; looks again whenever something was asked or written. */
  const until = (what: string, holds: () => boolean) =>
    new Promise<void>((resolve, reject) => {
      const deadline = setTimeout(() => {
        waiting.delete(look)
        reject(
          new Error(
            `not within 5 s: ${what}; asked ${JSON.stringify(asked.map(one => one.body || one.method))}, wrote ${JSON.stringify(written)}`,
          ),
        )
      }, 5_000)
      const look = () => {
        if (!holds()) return
        clearTimeout(deadline)
        waiting.delete(look)
        resolve()
      }
      waiting.add(look)
      look()
    })
  const say = (message: object | string) =>
    bridge.receive(Buffer.from(typeof message === 'string' ? message : JSON.stringify({ jsonrpc: '2.0', ...message })))
  return { asked, written, notes, bridge, say, until }
}

const initialize = {
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 't', version: '1' } },
}
const initialized = { method: 'notifications/initialized' }
const initializeResult = (id: unknown) =>
  `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{}}}`

const json = (response: ServerResponse, text: string, headers: Record<string, string> = {}) =>
  response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(text)

const stream = (response: ServerResponse) => response.writeHead(200, { 'content-type': 'text/event-stream' })

/** Opens session `ses-<n>`, takes notifications, has no stream of its own, and leaves requests to `more`. */
function usual(more: Answer): Answer {
  let sessions = 0
  return (asked, response) => {
    if (asked.method === 'GET' && asked.headers['last-event-id'] === undefined) return void response.writeHead(405).end()
    if (asked.method === 'DELETE') return void response.writeHead(200).end()
    const message = asked.body === '' ? {} : (JSON.parse(asked.body) as { id?: unknown; method?: string })
    if (message.method === 'initialize')
      return void json(response, initializeResult(message.id), { 'mcp-session-id': `ses-${++sessions}` })
    if (message.id === undefined && asked.method === 'POST') return void response.writeHead(202).end()
    more(asked, response)
  }
}

test('a session is opened, used and ended, with token, session and revision on every request', async t => {
  const { asked, written, bridge, say } = await setUp(
    t,
    usual((_, response) => json(response, '{"jsonrpc":"2.0","id":"a","result":{"x":1.0,"y":"ü"}}')),
  )
  await say(initialize)
  await say(initialized)
  await say('{"jsonrpc":"2.0","id":"a","method":"tools/list","params":{"big":12345678901234567890}}')
  await bridge.finish()
  assert.deepEqual(written, [initializeResult(1), '{"jsonrpc":"2.0","id":"a","result":{"x":1.0,"y":"ü"}}'], 'byte for byte')
  const call = asked.find(one => one.body.includes('tools/list'))
  assert.equal(
    call?.body,
    '{"jsonrpc":"2.0","id":"a","method":"tools/list","params":{"big":12345678901234567890}}',
    'byte for byte',
  )
  assert.equal(call?.headers['authorization'], 'Bearer token-1')
  assert.equal(call?.headers['mcp-session-id'], 'ses-1')
  assert.equal(call?.headers['mcp-protocol-version'], '2025-11-25')
  assert.equal(asked[0]?.headers['mcp-session-id'], undefined)
  assert.equal(asked.at(-1)?.method, 'DELETE')
  assert.equal(asked.at(-1)?.headers['mcp-session-id'], 'ses-1')
})

test('an answer over many lines becomes one', async t => {
  const { written, bridge, say } = await setUp(
    t,
    usual((_, response) => json(response, '{\n"jsonrpc":"2.0",\r\n"id":2,"result":{}\n}')),
  )
  await say({ id: 2, method: 'ping' })
  await bridge.finish()
  assert.equal(written.length, 1)
  assert.doesNotMatch(written[0] ?? '', /[\r\n]/)
  assert.deepEqual(JSON.parse(written[0] ?? ''), { jsonrpc: '2.0', id: 2, result: {} })
})

test('what a server tells before its answer comes through in order, and a question of it is answered', async t => {
  const { asked, written, bridge, say, until } = await setUp(
    t,
    usual((one, response) => {
      if (!one.body.includes('"method"')) return void response.writeHead(202).end()
      stream(response).write(': hello\n\ndata: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}\n\n')
      response.write('data: {"jsonrpc":"2.0","id":"q","method":"ping"}\n\n')
      response.end('data: {"jsonrpc":"2.0",\ndata: "id":2,"result":{}}\n\n')
    }),
  )
  await say({ id: 2, method: 'tools/call', params: { name: 'x' } })
  await until('three frames', () => written.length === 3)
  await say({ id: 'q', result: {} })
  await bridge.finish()
  assert.deepEqual(
    written.map(line => JSON.parse(line) as { method?: string; id?: unknown }).map(({ method, id }) => method ?? id),
    ['notifications/progress', 'ping', 2],
  )
  assert.ok(asked.some(one => one.body === '{"jsonrpc":"2.0","id":"q","result":{}}'))
})

test('a refused token is renewed once, and the request sent again', async t => {
  const { asked, written, bridge, say } = await setUp(
    t,
    usual((one, response) => {
      if (one.headers['authorization'] === 'Bearer token-1')
        return void response.writeHead(401).end('{"jsonrpc":"2.0","id":null,"error":{}}')
      json(response, '{"jsonrpc":"2.0","id":2,"result":{}}')
    }),
  )
  await say({ id: 2, method: 'ping' })
  await bridge.finish()
  assert.deepEqual(written, ['{"jsonrpc":"2.0","id":2,"result":{}}'])
  assert.deepEqual(
    asked.filter(one => one.body.includes('ping')).map(one => one.headers['authorization']),
    ['Bearer token-1', 'Bearer token-2'],
  )
})

test('a token that is refused again is told with the server’s own words, under the request’s id', async t => {
  const { written, bridge, say } = await setUp(
    t,
    usual((_, response) =>
      response
        .writeHead(401, { 'content-type': 'application/json' })
        .end('{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"no"}}'),
    ),
  )
  await say({ id: 2, method: 'ping' })
  await bridge.finish()
  assert.deepEqual(JSON.parse(written[0] ?? ''), { jsonrpc: '2.0', id: 2, error: { code: -32001, message: 'no' } })
})

test('a session that is gone is opened anew with the client’s own words, unseen by it', async t => {
  const { asked, written, notes, bridge, say } = await setUp(
    t,
    usual((one, response) => {
      if (one.headers['mcp-session-id'] === 'ses-1') return void response.writeHead(404).end()
      json(response, '{"jsonrpc":"2.0","id":2,"result":{}}')
    }),
  )
  await say(initialize)
  await say(initialized)
  await say({ id: 2, method: 'ping' })
  await bridge.finish()
  assert.deepEqual(written, [initializeResult(1), '{"jsonrpc":"2.0","id":2,"result":{}}'])
  const posts = asked
    .filter(one => one.method === 'POST')
    .map(one => [(JSON.parse(one.body) as { method: string }).method, one.headers['mcp-session-id']])
  assert.deepEqual(posts, [
    ['initialize', undefined],
    ['notifications/initialized', 'ses-1'],
    ['ping', 'ses-1'],
    ['initialize', undefined],
    ['notifications/initialized', 'ses-2'],
    ['ping', 'ses-2'],
  ])
  assert.match(notes.join(), /new one/)
  assert.equal(asked.at(-1)?.headers['mcp-session-id'], 'ses-2')
})

test('a stream that breaks off before the answer is taken up where it ended', async t => {
  const { asked, written, bridge, say } = await setUp(
    t,
    usual((one, response) => {
      if (one.method === 'GET') return void stream(response).end('id: 9\ndata: {"jsonrpc":"2.0","id":2,"result":{}}\n\n')
      stream(response).write('id: 7\nretry: 10\ndata: {"jsonrpc":"2.0","method":"notifications/message","params":{}}\n\n', () =>
        response.destroy(),
      )
    }),
  )
  await say(initialize)
  await say({ id: 2, method: 'tools/call', params: { name: 'x' } })
  await bridge.finish()
  assert.deepEqual(
    written.slice(1).map(line => (JSON.parse(line) as { id?: number }).id),
    [undefined, 2],
  )
  assert.equal(asked.find(one => one.method === 'GET')?.headers['last-event-id'], '7')
})

test('a stream that breaks off and cannot be taken up is an error to the client, never a silent second call', async t => {
  const { asked, written, bridge, say } = await setUp(
    t,
    usual((_, response) => stream(response).write(': nothing yet\n\n', () => response.destroy())),
  )
  await say({ id: 2, method: 'tools/call', params: { name: 'x' } })
  await bridge.finish()
  const { id, error } = JSON.parse(written[0] ?? '') as { id: number; error: { data: { code: string } } }
  assert.equal(id, 2)
  assert.equal(error.data.code, 'remote_unreachable')
  assert.equal(asked.filter(one => one.body.includes('tools/call')).length, 1)
})

test('the server’s own stream is read and taken up again when it ends', async t => {
  let opened = 0
  const { asked, written, say, until } = await setUp(t, (one, response) => {
    if (one.method !== 'GET') return usual(() => {})(one, response)
    opened++
    if (opened > 2) return void response.writeHead(405).end()
    stream(response).end(
      `id: s${opened}\nretry: 10\ndata: {"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"n":${opened}}}\n\n`,
    )
  })
  await say(initialize)
  await say(initialized)
  await until('both streams were read', () => written.length === 3 && opened === 3)
  assert.deepEqual(
    asked.filter(one => one.method === 'GET').map(one => one.headers['last-event-id']),
    [undefined, 's1', 's2'],
  )
})

test('a request of the stateless revision stands alone, with its method and name as headers', async t => {
  const { asked, bridge, say } = await setUp(
    t,
    usual((_, response) => json(response, '{"jsonrpc":"2.0","id":2,"result":{"resultType":"complete"}}')),
  )
  const _meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} }
  await say({ id: 2, method: 'tools/call', params: { name: 'größe', arguments: {}, _meta } })
  await bridge.finish()
  const [{ headers }] = asked as [Asked]
  assert.equal(headers['mcp-protocol-version'], '2026-07-28')
  assert.equal(headers['mcp-method'], 'tools/call')
  assert.equal(headers['mcp-name'], `=?base64?${Buffer.from('größe').toString('base64')}?=`)
  assert.equal(headers['mcp-session-id'], undefined)
  assert.ok(!asked.some(one => one.method === 'DELETE'), 'there is no session to end')
})

test('a stateless request is called off by closing its connection', { timeout: 10_000 }, async t => {
  const { promise: closed, resolve: close } = Promise.withResolvers<void>()
  const { asked, bridge, say, until } = await setUp(
    t,
    usual((_, response) => {
      stream(response).write(': working\n\n')
      response.once('close', close)
    }),
  )
  const _meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' }
  await say({ id: 'slow', method: 'tools/call', params: { name: 'x', _meta } })
  await until('the call arrived', () => asked.length === 1)
  await say({ method: 'notifications/cancelled', params: { requestId: 'slow', _meta } })
  await bridge.finish()
  assert.equal(asked.length, 1, 'the cancellation is not sent as a message')
  await closed
})

test('what is no JSON-RPC is answered here and sent nowhere', async t => {
  const { asked, written, say } = await setUp(
    t,
    usual(() => {}),
  )
  await say('nonsense')
  await say('{"jsonrpc":"2.0","id":5,"method":7}')
  const errors = written.map(line => JSON.parse(line) as { id: unknown; error: { code: number } })
  assert.deepEqual(
    errors.map(({ id, error }) => [id, error.code]),
    [
      [null, -32700],
      [5, -32600],
    ],
  )
  assert.equal(asked.length, 0)
})

test('an answer that is no message is an error with its status', async t => {
  const { written, bridge, say } = await setUp(
    t,
    usual((_, response) => response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad Gateway</h1>')),
  )
  await say({ id: 2, method: 'ping' })
  await bridge.finish()
  assert.match((JSON.parse(written[0] ?? '') as { error: { message: string } }).error.message, /HTTP 502/)
})

test('messages leave in the order they were said, also behind a request that is not yet answered', async t => {
  const order: string[] = []
  const { bridge, say, until } = await setUp(
    t,
    usual((one, response) => {
      order.push((JSON.parse(one.body) as { method: string }).method)
      const { id } = JSON.parse(one.body) as { id: number }
      stream(response).write(': open\n\n')
      if (order.length === 20) response.end(`data: {"jsonrpc":"2.0","id":${id},"result":{}}\n\n`)
    }),
  )
  for (let id = 1; id <= 20; id++) await say({ id, method: `m/${id}` })
  await until('all arrived', () => order.length === 20)
  assert.deepEqual(
    order,
    Array.from({ length: 20 }, (_, index) => `m/${index + 1}`),
  )
  await bridge.abort()
})
