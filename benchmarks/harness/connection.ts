import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface Answer {
  status: number
  /** Names in lower case. */
  headers: Map<string, string>
  body: Buffer
}

interface Pending {
  resolve(answer: Answer): void
  reject(error: Error): void
}

const headEnd = Buffer.from('\r\n\r\n')

/**
 * One keep-alive HTTP/1.1 connection, one exchange at a time, with as little work as the protocol allows: what loads the
 * machine should be what is measured. Understands Content-Length and chunked bodies, which is what MCP servers send.
 */
export class Connection implements Disposable {
  readonly #socket: Socket
  readonly #host: string
  #pending: Pending | null = null
  #received: Buffer = Buffer.alloc(0)
  #head: { status: number; headers: Map<string, string>; bodyStart: number } | null = null

  private constructor(socket: Socket, host: string) {
    this.#socket = socket
    this.#host = host
    socket.setNoDelay(true)
    socket.on('data', chunk => this.#take(chunk))
    socket.on('error', error => this.#fail(error))
    socket.on('close', () => this.#fail(new Error('the connection was closed')))
  }

  static async open(url: URL): Promise<Connection> {
    const socket = connect(Number(url.port), url.hostname)
    await once(socket, 'connect')
    return new Connection(socket, url.host)
  }

  exchange(method: string, path: string, headers: Readonly<Record<string, string>>, body = ''): Promise<Answer> {
    if (this.#pending) throw new Error('one exchange at a time')
    let head = `${method} ${path} HTTP/1.1\r\nhost: ${this.#host}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n`
    for (const name in headers) head += `${name}: ${headers[name]}\r\n`
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject }
      this.#socket.write(`${head}\r\n${body}`)
    })
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }

  #take(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk])
    if (this.#head === null) {
      const end = this.#received.indexOf(headEnd)
      if (end < 0) return
      this.#head = { ...parseHead(this.#received.toString('latin1', 0, end)), bodyStart: end + headEnd.length }
    }
    const { status, headers, bodyStart } = this.#head
    const raw = this.#received.subarray(bodyStart)
    const length = headers.get('content-length')
    let body: Buffer | null
    if (headers.get('transfer-encoding') === 'chunked') body = joinChunks(raw)
    else if (length !== undefined) body = raw.length >= Number(length) ? raw.subarray(0, Number(length)) : null
    else body = Buffer.alloc(0)
    if (body === null) return
    const pending = this.#pending
    this.#pending = null
    this.#head = null
    this.#received = Buffer.alloc(0)
    pending?.resolve({ status, headers, body })
  }

  #fail(error: Error): void {
    this.#pending?.reject(error)
    this.#pending = null
  }
}

function parseHead(text: string): { status: number; headers: Map<string, string> } {
  const [first = '', ...lines] = text.split('\r\n')
  const headers = new Map<string, string>()
  for (const line of lines) {
    const colon = line.indexOf(':')
    headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim())
  }
  return { status: Number(first.split(' ', 2)[1]), headers }
}

/** The body of a chunked message, or null while its last chunk is not there. */
function joinChunks(raw: Buffer): Buffer | null {
  const parts: Buffer[] = []
  let at = 0
  for (;;) {
    const lineEnd = raw.indexOf('\r\n', at)
    if (lineEnd < 0) return null
    const size = Number.parseInt(raw.toString('latin1', at, lineEnd), 16)
    const start = lineEnd + 2
    if (raw.length < start + size + 2) return null
    if (size === 0) return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
    parts.push(raw.subarray(start, start + size))
    at = start + size + 2
  }
}
