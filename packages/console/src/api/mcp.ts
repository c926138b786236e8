import { linesOf } from './linesOf.ts'

const revision = '2025-11-25'

type Json = Record<string, unknown>

/** What the server sent that was no answer: progress, log messages. */
export type Told = (method: string, params: unknown) => void

export interface ToolAnswer {
  /** `result` of the answer, or its `error`. */
  result?: unknown
  error?: { code: number; message: string; data?: unknown }
  /** Id of the session that was recorded, or null where the server keeps none. */
  session: string | null
  initializeMs: number
  callMs: number
}

/**
 * Calls one tool the way any client would: initialize, tools/call, goodbye, over Streamable HTTP (revision 2025-11-25).
 * Answers with the server's result or error; throws when there was no such conversation.
 */
export async function callTool(
  mcpUrl: string,
  token: string,
  tool: string,
  args: unknown,
  told: Told,
  signal: AbortSignal,
): Promise<ToolAnswer> {
  // Conductor prints one of its names; the page must talk to the origin it came from.
  const url = new URL(mcpUrl).pathname
  const headers: Record<string, string> = {
    authorization: `Bearer ${token}`,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  }
  const started = performance.now()
  const hello = await send(url, headers, signal, {
    jsonrpc: '2.0',
    id: 1,
    method: 'initialize',
    params: { protocolVersion: revision, capabilities: {}, clientInfo: { name: 'switchboard', version: '1' } },
  })
  const handle = hello.headers.get('mcp-session-id')
  if (handle) headers['mcp-session-id'] = handle
  // The handle is the id with a secret behind it: who knows the id alone cannot speak in the session.
  const session = /^ses_[0-9a-z]{20}/.exec(handle ?? '')?.[0] ?? null
  const welcome = await answerIn(hello, 1, told)
  const initializeMs = performance.now() - started
  try {
    if (welcome['error']) return { error: welcome['error'] as never, session, initializeMs, callMs: 0 }
    headers['mcp-protocol-version'] = String((welcome['result'] as Json)['protocolVersion'] ?? revision)
    await send(url, headers, signal, { jsonrpc: '2.0', method: 'notifications/initialized' })
    const asked = performance.now()
    const response = await send(url, headers, signal, {
      jsonrpc: '2.0',
      id: 2,
      method: 'tools/call',
      params: { name: tool, arguments: args, _meta: { progressToken: 'try' } },
    })
    const answer = await answerIn(response, 2, told)
    const callMs = performance.now() - asked
    return answer['error']
      ? { error: answer['error'] as never, session, initializeMs, callMs }
      : { result: answer['result'], session, initializeMs, callMs }
  } finally {
    if (handle) void fetch(url, { method: 'DELETE', headers, keepalive: true }).catch(() => {})
  }
}

async function send(url: string, headers: Record<string, string>, signal: AbortSignal, message: Json): Promise<Response> {
  const response = await fetch(url, {
    method: 'POST',
    headers,
    body: JSON.stringify(message),
    signal,
    credentials: 'omit',
  })
  if (response.ok) return response
  const text = await response.text()
  let said: string | undefined
  try {
    const body = JSON.parse(text) as { error?: { message?: string }; detail?: string }
    said = body.error?.message ?? body.detail
  } catch {
    said = text.slice(0, 300)
  }
  throw new Error(`${String(message['method'])} was refused with HTTP ${response.status}. ${said ?? ''}`)
}

/** The answer to one request, in a JSON body or on an event stream with other messages before it. */
async function answerIn(response: Response, id: number, told: Told): Promise<Json> {
  if (!response.headers.get('content-type')?.includes('text/event-stream')) return (await response.json()) as Json
  if (response.body) {
    let data = ''
    for await (const line of linesOf(response.body)) {
      if (line.startsWith('data:')) data += `${data ? '\n' : ''}${line.slice(5).replace(/^ /, '')}`
      if (line !== '' || data === '') continue
      const message = JSON.parse(data) as Json
      data = ''
      if (message['id'] === id && !('method' in message)) return message
      if (typeof message['method'] === 'string') told(message['method'], message['params'])
    }
  }
  throw new Error('The stream ended before the answer. Look at the session for what happened.')
}
