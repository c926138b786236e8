/** MCP over HTTP with nothing between the test and the bytes: for what a well-behaved client never sends. */

export interface RpcMessage {
  jsonrpc: '2.0'
  id?: string | number | null
  method?: string
  params?: Record<string, unknown>
  result?: Record<string, unknown>
  error?: { code: number; message: string; data?: { code?: string; hint?: string } & Record<string, unknown> }
}

export interface RawAnswer {
  status: number
  headers: Headers
  /** All messages of the answer, in order: one for JSON, any number for an event stream. */
  messages: RpcMessage[]
  /** The response to the request, where one came. */
  last: RpcMessage | undefined
}

export interface RawOptions {
  method?: string
  headers?: Record<string, string>
  signal?: AbortSignal
}

/** Posts these bytes (a value is sent as JSON) and reads the answer to its end. */
export async function post(url: string, token: string | null, body: unknown, options: RawOptions = {}): Promise<RawAnswer> {
  const method = options.method ?? 'POST'
  const response = await fetch(url, {
    method,
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...options.headers,
    },
    ...(method === 'GET' || method === 'DELETE' ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    ...(options.signal ? { signal: options.signal } : {}),
  })
  const text = await response.text()
  const messages = (response.headers.get('content-type') ?? '').includes('text/event-stream') ? eventsOf(text) : jsonOf(text)
  return {
    status: response.status,
    headers: response.headers,
    messages,
    last: messages.findLast(({ method }) => method === undefined),
  }
}

const eventsOf = (text: string): RpcMessage[] =>
  text
    .split(/\r?\n\r?\n/)
    .map(event => event.split(/\r?\n/).flatMap(line => (line.startsWith('data:') ? [line.slice(5).trimStart()] : [])))
    .map(lines => lines.join('\n'))
    .filter(data => data !== '')
    .map(data => JSON.parse(data) as RpcMessage)

const jsonOf = (text: string): RpcMessage[] => (text.trim().startsWith('{') ? [JSON.parse(text) as RpcMessage] : [])

export const initializeRequest = (name: string, revision = '2025-11-25') => ({
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: revision, capabilities: {}, clientInfo: { name, version: '1' } },
})

export interface RawSession {
  readonly id: string
  request(method: string, params?: Record<string, unknown>, options?: RawOptions): Promise<RawAnswer>
  call(tool: string, args?: Record<string, unknown>, options?: RawOptions): Promise<RawAnswer>
  /** DELETE. */
  end(): Promise<number>
}

export async function openRawSession({ mcpUrl, token }: { mcpUrl: string; token: string }, name: string): Promise<RawSession> {
  const opened = await post(mcpUrl, token, initializeRequest(name))
  const id = opened.headers.get('mcp-session-id')
  if (opened.status !== 200 || id === null || !opened.last?.result) {
    throw new Error(`initialize answered ${opened.status} ${JSON.stringify(opened.messages)}`)
  }
  const headers = { 'mcp-session-id': id, 'mcp-protocol-version': '2025-11-25' }
  await post(mcpUrl, token, { jsonrpc: '2.0', method: 'notifications/initialized' }, { headers })
  let next = 1
  const session: RawSession = {
    id,
    request: (method, params = {}, options = {}) =>
      post(
        mcpUrl,
        token,
        { jsonrpc: '2.0', id: next++, method, params },
        { ...options, headers: { ...headers, ...options.headers } },
      ),
    call: (tool, args = {}, options) => session.request('tools/call', { name: tool, arguments: args }, options),
    end: async () => (await post(mcpUrl, token, '', { method: 'DELETE', headers })).status,
  }
  return session
}
