/** A gateway on a port of its own, and the least of an HTTP client, for tests. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type FakeStages, fakeStages } from '../session/fake-stages.ts'
import { createGateway, type Gateway } from './http.ts'

export interface FakeHttp extends AsyncDisposable {
  stages: FakeStages
  gateway: Gateway
  server: Server
  port: number
  url: string
}

export async function serveFake(stages: FakeStages = fakeStages()): Promise<FakeHttp> {
  const gateway = createGateway(stages)
  const server = createServer((request, response) => gateway.handle(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    stages,
    gateway,
    server,
    port,
    url: `http://127.0.0.1:${port}/mcp/fake`,
    async [Symbol.asyncDispose]() {
      await gateway.drain()
      server.closeAllConnections()
      server.close()
    },
  }
}

export const rpcHeaders = (token = 'all', more: Record<string, string> = {}): Record<string, string> => ({
  Authorization: `Bearer ${token}`,
  'Content-Type': 'application/json',
  Accept: 'application/json, text/event-stream',
  ...more,
})

/** Posts one message or the text of one. */
export async function post(url: string, body: unknown, headers: Record<string, string> = rpcHeaders()): Promise<Response> {
  return globalThis.fetch(url, { method: 'POST', headers, body: typeof body === 'string' ? body : JSON.stringify(body) })
}

export const initializeMessage = (protocolVersion = '2025-11-25', id: string | number = 0) => ({
  jsonrpc: '2.0',
  id,
  method: 'initialize',
  params: { protocolVersion, capabilities: {}, clientInfo: { name: 'test', version: '1' } },
})

/** Opens a session; gives the headers that its later requests carry. */
export async function initialize(url: string, token = 'all', protocolVersion = '2025-11-25'): Promise<Record<string, string>> {
  const response = await post(url, initializeMessage(protocolVersion), rpcHeaders(token))
  const key = response.headers.get('mcp-session-id')
  await response.text()
  if (response.status !== 200 || key === null) throw new Error(`initialize was answered with ${response.status}`)
  return rpcHeaders(token, { 'Mcp-Session-Id': key, 'MCP-Protocol-Version': protocolVersion })
}

export interface ServerEvent {
  id: string | null
  data: string
}

/** Reads server-sent events as they come. */
export async function* eventsOf(response: Response): AsyncGenerator<ServerEvent> {
  let rest = ''
  const decoder = new TextDecoder()
  for await (const chunk of response.body ?? []) {
    rest += decoder.decode(chunk as Uint8Array, { stream: true })
    for (let end = rest.indexOf('\n\n'); end >= 0; end = rest.indexOf('\n\n')) {
      const lines = rest.slice(0, end).split('\n')
      rest = rest.slice(end + 2)
      if (lines.every(line => line.startsWith(':'))) continue
      const field = (name: string) => lines.find(line => line.startsWith(`${name}: `))?.slice(name.length + 2) ?? null
      yield { id: field('id'), data: field('data') ?? '' }
    }
  }
}

/** The next event that carries a message, parsed. */
export async function nextMessage(
  events: AsyncGenerator<ServerEvent>,
): Promise<{ id: string | null; message: Record<string, unknown> }> {
  for (;;) {
    const { value, done } = await events.next()
    if (done) throw new Error('the stream ended')
    if (value.data !== '') return { id: value.id, message: JSON.parse(value.data) as Record<string, unknown> }
  }
}

/** All events until the stream ends. */
export async function allEvents(response: Response): Promise<ServerEvent[]> {
  const events: ServerEvent[] = []
  for await (const event of eventsOf(response)) events.push(event)
  return events
}
