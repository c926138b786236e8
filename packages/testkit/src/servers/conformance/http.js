import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'

/**
 * Serves `open()` over Streamable HTTP, one server per session, at `/mcp` on 127.0.0.1.
 * Refuses foreign Host and Origin headers (DNS rebinding) with 403 and unknown or ended sessions with 404.
 * https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#streamable-http
 */
export async function serveHttp(open, port) {
  const sessions = new Map()

  const http = createServer(async (request, response) => {
    if (!isLocal(request.headers)) return refuse(response, 403, -32600, 'Foreign Host or Origin')
    if (request.url !== '/mcp') return refuse(response, 404, -32600, 'Nothing here')
    const id = request.headers['mcp-session-id']
    if (id !== undefined) {
      const transport = sessions.get(id)
      return transport ? transport.handleRequest(request, response) : refuse(response, 404, -32001, 'Session not found')
    }
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: session => void sessions.set(session, transport),
      onsessionclosed: session => void sessions.delete(session),
    })
    await open().connect(transport)
    await transport.handleRequest(request, response)
  })

  await new Promise((resolve, reject) => http.once('error', reject).listen(port, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${http.address().port}/mcp`, close: () => http.close() }
}

const localNames = new Set(['127.0.0.1', 'localhost', '[::1]'])

function isLocal({ host, origin }) {
  const names = [`http://${host}`, origin].filter(url => url !== undefined)
  return names.every(url => URL.canParse(url) && localNames.has(new URL(url).hostname))
}

function refuse(response, status, code, message) {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ jsonrpc: '2.0', id: null, error: { code, message } }))
}
