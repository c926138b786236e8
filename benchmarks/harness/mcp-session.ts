import type { Answer, Connection } from './connection.ts'

const revision = '2025-11-25'

const initialize = JSON.stringify({
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: revision, capabilities: {}, clientInfo: { name: 'maestro-benchmark', version: '1' } },
})
const initialized = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' })

/** One session of revision 2025-11-25 over any number of connections, for one call in flight each. */
export class McpSession {
  readonly #url: URL
  readonly #headers: Record<string, string>
  #id = 0

  private constructor(url: URL, headers: Record<string, string>) {
    this.#url = url
    this.#headers = headers
  }

  /** `initializeMs`: from the first byte of `initialize` to its whole answer, the connection being there already. */
  static async open(
    address: string,
    token: string | null,
    connection: Connection,
  ): Promise<{ session: McpSession; startedMs: number; initializeMs: number }> {
    const url = new URL(address)
    const headers: Record<string, string> = {
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    }
    const startedMs = performance.timeOrigin + performance.now()
    const answer = await connection.exchange('POST', url.pathname, headers, initialize)
    const initializeMs = performance.timeOrigin + performance.now() - startedMs
    expect(answer, '"serverInfo"')
    const id = answer.headers.get('mcp-session-id')
    const inSession = { ...headers, 'mcp-protocol-version': revision, ...(id === undefined ? {} : { 'mcp-session-id': id }) }
    const session = new McpSession(url, inSession)
    await connection.exchange('POST', url.pathname, inSession, initialized)
    return { session, startedMs, initializeMs }
  }

  /** Calls `echo` and checks its answer. */
  async echo(connection: Connection): Promise<void> {
    const id = ++this.#id
    const body = `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"echo","arguments":{"message":"bench ${id}"}}}`
    expect(await connection.exchange('POST', this.#url.pathname, this.#headers, body), `Echo: bench ${id}`)
  }

  async end(connection: Connection): Promise<void> {
    await connection.exchange('DELETE', this.#url.pathname, this.#headers)
  }
}

function expect({ status, body }: Answer, part: string): void {
  if (status !== 200 || !body.includes(part)) throw new Error(`expected ${part}, got ${status} ${body.toString('utf8', 0, 500)}`)
}
