import {
  type Agent,
  request as httpRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type ServerResponse,
} from 'node:http'
import type { Duplex } from 'node:stream'
import type { Connection } from './connections.ts'
import type { ExchangeNote } from './exchange-note.ts'

/** Where a request goes on to. */
export interface Onward {
  agent: Agent
  /** For the Host header. */
  host: string
  path: string
  connection: Connection
  headBytesMax: number
  /** Where exchanges are recorded. */
  note: ExchangeNote | null
  /** Told once when the exchange is over. */
  done(reason: string): void
}

/** Passes one request on and its answer back, both framed anew. */
export function forward(request: IncomingMessage, response: ServerResponse, onward: Onward): void {
  let isOver = false
  const done = (reason: string) => {
    if (isOver) return
    isOver = true
    onward.note?.end()
    onward.done(reason)
  }
  const fail = () => {
    if (response.headersSent || response.destroyed) response.destroy()
    else refuse(response, 502, 'failed: no answer')
    done('failed')
  }
  let upstream: ReturnType<typeof httpRequest>
  try {
    upstream = httpRequest({
      agent: onward.agent,
      method: request.method ?? 'GET',
      path: onward.path,
      headers: { ...endToEnd(request), host: onward.host },
      maxHeaderSize: onward.headBytesMax,
    })
  } catch {
    // Characters that Node writes in no request.
    refuse(response, 400, 'denied: malformed request')
    request.resume()
    done('denied: malformed request')
    return
  }
  upstream.on('error', fail)
  upstream.once('response', answer => {
    try {
      response.writeHead(answer.statusCode ?? 502, answer.statusMessage, endToEnd(answer))
    } catch {
      upstream.destroy()
      fail()
      return
    }
    onward.note?.answer(answer)
    answer.on('error', () => response.destroy())
    answer.on('data', (chunk: Buffer) => {
      onward.note?.responseBody.push(chunk)
      onward.connection.received(chunk.length)
    })
    answer.once('aborted', () => response.destroy())
    answer.pipe(response)
  })
  response.once('finish', () => done('closed'))
  response.once('close', () => {
    upstream.destroy()
    done('closed inside')
  })
  request.on('error', () => upstream.destroy())
  request.on('data', (chunk: Buffer) => {
    onward.note?.requestBody.push(chunk)
    onward.connection.sent(chunk.length)
  })
  request.pipe(upstream)
}

/** Passes a request to change the protocol on, as WebSocket does, and from the answer on every byte. */
export function forwardUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, onward: Onward): void {
  const { connection: _connection, ...headers } = request.headers
  let upstream: ReturnType<typeof httpRequest>
  try {
    upstream = httpRequest({
      agent: onward.agent,
      method: request.method ?? 'GET',
      path: onward.path,
      headers: { ...headers, host: onward.host, connection: 'upgrade' },
      maxHeaderSize: onward.headBytesMax,
    })
  } catch {
    onward.done('denied: malformed request')
    socket.destroy()
    return
  }
  const end = (reason: string) => {
    onward.note?.end()
    onward.done(reason)
    socket.destroy()
  }
  socket.once('close', () => upstream.destroy())
  upstream.on('error', () => end('failed'))
  upstream.once('response', answer => {
    onward.note?.answer(answer)
    answer.resume()
    socket.end(`HTTP/1.1 ${answer.statusCode ?? 502} Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`)
    end('closed')
  })
  upstream.once('upgrade', (answer, outer, outerHead) => {
    onward.note?.answer(answer)
    const lines = answer.rawHeaders.flatMap((text, index) =>
      index % 2 === 0 ? [`${text}: ${answer.rawHeaders[index + 1]}`] : [],
    )
    socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join('\r\n')}\r\n\r\n`)
    socket.write(outerHead)
    outer.write(head)
    outer.on('error', () => socket.destroy())
    outer.on('data', (chunk: Buffer) => onward.connection.received(chunk.length))
    socket.on('data', (chunk: Buffer) => onward.connection.sent(chunk.length))
    socket.once('close', () => outer.destroy())
    outer.once('close', () => end('closed'))
    socket.pipe(outer).pipe(socket)
  })
  upstream.end()
}

export function refuse(response: ServerResponse, status: number, outcome: string): void {
  response.writeHead(status, { 'content-length': 0, 'x-maestro-egress': headerText(outcome), connection: 'close' }).end()
}

/** Outcomes may hold characters that headers may not. */
export const headerText = (outcome: string): string => outcome.replace(/[^\x20-\x7e]/g, "'")

/** Headers that are for one hop, and `Expect`, which we have answered ourselves. */
const hopByHop = new Set(
  'connection expect keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding upgrade'.split(
    ' ',
  ),
)

/** Headers that go on to the other side (RFC 9110 §7.6.1); the body is framed anew by each side. */
function endToEnd({ headers }: IncomingMessage): OutgoingHttpHeaders {
  const named = new Set((headers.connection ?? '').split(',').map(name => name.trim().toLowerCase()))
  // A length is no header of one hop, whatever the sender says: without it the body would be framed in another way.
  named.delete('content-length')
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !hopByHop.has(name) && !named.has(name)))
}
