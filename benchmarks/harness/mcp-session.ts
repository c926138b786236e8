import type { Connections } from './connections.ts'
import { instantMs } from './noise.ts'

export type Revision = '2025-11-25' | '2025-06-18'

const initialize = (revision: Revision): string =>
  JSON.stringify({
    jsonrpc: '2.0',
    id: 0,
    method: 'initialize',
    params: { protocolVersion: revision, capabilities: {}, clientInfo: { name: 'maestro-benchmark', version: '1' } },
  })
const initialized = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' })

/** How long the server says it took, in the answer to a call of the workload. */
export function serverMsOf(answer: Buffer): number {
  const at = answer.indexOf('"serverMs":"')
  const ms = Number.parseFloat(answer.toString('latin1', at + 12, at + 40))
  if (at < 0 || !Number.isFinite(ms)) throw new Error('the server did not say how long it took')
  return ms
}

/** One session of a revision that has sessions. */
export class McpSession {
  readonly #connections: Connections
  readonly #headers: Record<string, string>
  #id = 0

  private constructor(connections: Connections, headers: Record<string, string>) {
    this.#connections = connections
    this.#headers = headers
  }

  /** `initializeMs`: from the first byte of `initialize` to its answer, where a connection was prepared. */
  static async open(
    connections: Connections,
    token: string | null,
    revision: Revision,
  ): Promise<{ session: McpSession; startedMs: number; initializeMs: number }> {
    const headers: Record<string, string> = {
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    }
    const startedMs = instantMs()
    const answer = await connections.exchange('POST', headers, initialize(revision), '"serverInfo"')
    const initializeMs = instantMs() - startedMs
    const id = answer.headers.get('mcp-session-id')
    const inSession = { ...headers, 'mcp-protocol-version': revision, ...(id === undefined ? {} : { 'mcp-session-id': id }) }
    await connections.exchange('POST', inSession, initialized, '')
    return { session: new McpSession(connections, inSession), startedMs, initializeMs }
  }

  /** Calls `echo`; resolves with its right answer. */
  async echo(): Promise<void> {
    const id = ++this.#id
    const body = `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"echo","arguments":{"message":"bench ${id}"}}}`
    await this.#connections.exchange('POST', this.#headers, body, `Echo: bench ${id}`)
  }

  /** Calls a tool whose answer says how long the server took, in `_meta.serverMs`. */
  async timedCall(tool: string): Promise<{ ms: number; serverMs: number }> {
    const id = ++this.#id
    const body = `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"${tool}","arguments":{}}}`
    const startedMs = performance.now()
    const answer = await this.#connections.exchange('POST', this.#headers, body, '"serverMs":')
    const ms = performance.now() - startedMs
    const serverMs = serverMsOf(answer.body)
    return { ms, serverMs }
  }

  async end(): Promise<void> {
    await this.#connections.exchange('DELETE', this.#headers, '', '')
  }
}
