/**
 * Goal: a remote server behind the port is what it is when asked directly, and its failures are those of one request.
 * Method: our own gateway as the remote server, then servers that misbehave.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import test from 'node:test'
import { type FakeUpstream, fakeRunnable, fakeStages, quietLog, until } from '../session/fake-stages.ts'
import type { Runnable, Upstream } from '../session/stages.ts'
import { realWorld } from '../world.ts'
import { serveFake } from './fake-http.ts'
import { startRemote } from './remote-upstream.ts'

const world = realWorld(quietLog)
const remote = (url: string): Runnable => ({
  ...fakeRunnable({ runs: { kind: 'remote', url } }),
  limits: { ...fakeRunnable().limits, lineBytesMax: 100_000 },
})

interface Remote extends AsyncDisposable {
  upstream: Upstream
  heard: Record<string, unknown>[]
  tell(message: object): void
}

async function open(url: string): Promise<Remote> {
  const upstream = await startRemote(remote(url), world)
  const heard: Record<string, unknown>[] = []
  upstream.onFrame(bytes => heard.push(JSON.parse(Buffer.from(bytes).toString())))
  return {
    upstream,
    heard,
    tell: message => upstream.send(Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...message }))),
    [Symbol.asyncDispose]: () => upstream.close(),
  }
}

async function serve(listener: RequestListener): Promise<{ url: string } & AsyncDisposable> {
  const server = createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
    },
  }
}

const initializing = { id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {} } }

test('a session with a remote server: initialize, calls, progress, questions, messages, end', async () => {
  const stages = fakeStages()
  stages.policy.verify = async () => stages.capabilities['all'] as never
  await using http = await serveFake(stages)
  // The gateway wants a token; this stands for one in front of it.
  await using front = await serve((request, response) => {
    request.headers.authorization = 'Bearer all'
    request.url = '/mcp/fake'
    http.gateway.handle(request, response)
  })
  const { upstream, heard, tell } = await open(front.url)
  tell(initializing)
  await until(() => heard.length === 1, 'initialize is answered')
  tell({ method: 'notifications/initialized' })
  tell({ id: 1, method: 'tools/call', params: { name: 'echo', arguments: {}, _meta: { progressToken: 9 } } })
  await until(() => heard.length === 3, 'the call is answered')
  assert.deepEqual(
    heard.map(message => message['method'] ?? message['id']),
    [0, 'notifications/progress', 1],
  )
  const server = stages.upstreams[0] as FakeUpstream
  assert.deepEqual(
    server.received.map(message => message.method),
    ['initialize', 'notifications/initialized', 'tools/call'],
    'nothing overtakes the note that initialization is over',
  )
  server.say({ method: 'notifications/tools/list_changed' })
  server.say({ id: 'q', method: 'roots/list' })
  await until(() => heard.length === 5, 'the server is heard outside a request')
  tell({ id: 'q', result: { roots: [] } })
  await until(() => server.received.at(-1)?.id === 'q', 'the answer arrives')
  await upstream.close()
  assert.equal((await upstream.exited).reason, 'closed')
  await until(() => stages.released === 1, 'DELETE ended the remote session')
})

test('failures are answers to the request concerned', async () => {
  await using server = await serve((request, response) => {
    let body = ''
    request.on('data', chunk => {
      body += chunk
    })
    request.on('end', () => {
      const { id } = JSON.parse(body || '{}') as { id?: number }
      if (id === 1) response.writeHead(500).end('<html>')
      else if (id === 2)
        response
          .writeHead(400, { 'Content-Type': 'application/json' })
          .end('{"jsonrpc":"2.0","id":2,"error":{"code":-5,"message":"own"}}')
      else if (id === 3) request.socket.destroy()
      else if (id === 4) response.writeHead(200, { 'Content-Type': 'text/event-stream' }).end(': nothing\n\n')
      else if (id === 5) response.writeHead(302, { Location: 'http://169.254.169.254/' }).end()
      else if (id === 6) response.writeHead(200, { 'Content-Type': 'application/json' }).end(`"${'x'.repeat(200_000)}"`)
      else if (id === 7)
        response.writeHead(200, { 'Content-Type': 'application/json' }).end('{\r\n "jsonrpc": "2.0",\n "id": 7, "result": {}\n}')
      else response.writeHead(405).end()
    })
  })
  await using opened = await open(server.url)
  const { heard, tell } = opened
  for (let id = 1; id <= 7; id++) tell({ id, method: 'x' })
  await until(() => heard.length === 7, 'each is answered')
  const byId = new Map(
    heard.map(message => [message['id'], message as { error?: { code: number; data?: { code: string } }; result?: object }]),
  )
  for (const id of [1, 3, 4, 5, 6]) assert.equal(byId.get(id)?.error?.data?.code, 'remote_unreachable', String(id))
  assert.equal(byId.get(2)?.error?.code, -5, 'the server’s own error passes')
  assert.deepEqual(byId.get(7)?.result, {})
})

test('a server that ended the session is an exit', async () => {
  await using server = await serve((request, response) => {
    if (request.headers['mcp-session-id']) response.writeHead(404).end()
    else
      response
        .writeHead(200, { 'Content-Type': 'application/json', 'Mcp-Session-Id': 's' })
        .end('{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25"}}')
  })
  await using opened = await open(server.url)
  opened.tell(initializing)
  await until(() => opened.heard.length === 1, 'initialize is answered')
  opened.tell({ id: 1, method: 'x' })
  assert.equal((await opened.upstream.exited).reason, 'sandbox_crashed')
})

test('a stream that broke off is taken up after its last event', async () => {
  const asked: (string | undefined)[] = []
  await using server = await serve((request, response) => {
    if (request.method === 'GET') asked.push(String(request.headers['last-event-id']))
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    if (request.method === 'POST') response.end('retry: 1\nid: a-1\ndata: {"jsonrpc":"2.0","method":"n"}\n\n')
    else response.end('id: a-2\ndata: {"jsonrpc":"2.0",\ndata: "id":1,"result":{}}\n\n')
  })
  await using opened = await open(server.url)
  opened.tell({ id: 1, method: 'x' })
  await until(() => opened.heard.length === 2, 'the answer comes on the second stream')
  assert.deepEqual(asked, ['a-1'])
  assert.equal(opened.heard[1]?.['id'], 1)
})

test('a server that ends each stream and says to come at once is not asked without pause', async () => {
  let asked = 0
  await using server = await serve((request, response) => {
    if (request.method === 'GET') {
      asked++
      response.writeHead(200, { 'Content-Type': 'text/event-stream' }).end('retry: 0\nid: 1\ndata: \n\n')
    } else response.writeHead(202).end()
  })
  await using opened = await open(server.url)
  opened.tell({ method: 'notifications/initialized' })
  await until(() => asked > 0, 'it is asked')
  await new Promise(resolve => setTimeout(resolve, 450))
  assert.ok(asked <= 6, `${asked} times in half a second`)
})

test('nothing is heard while the server is held back', async () => {
  await using server = await serve((_, response) => {
    response.writeHead(200, { 'Content-Type': 'application/json' }).end('{"jsonrpc":"2.0","id":1,"result":{}}')
  })
  await using opened = await open(server.url)
  opened.upstream.pause()
  opened.tell({ id: 1, method: 'x' })
  await until(() => opened.upstream.pendingBytes === 0, 'the request is sent')
  assert.equal(opened.heard.length, 0)
  opened.upstream.resume()
  await until(() => opened.heard.length === 1, 'it goes on')
})

test('only http and https are spoken', async () => {
  for (const url of ['file:///etc/passwd', 'ftp://x', 'nonsense']) {
    await assert.rejects(startRemote(remote(url), world), (error: { code?: string }) => error.code === 'source_invalid')
  }
})
