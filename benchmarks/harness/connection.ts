import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface Answer {
  status: number
  /** Names in lower case. */
  headers: Map<string, string>
  /** All of a JSON body; of an event stream what had come when the answer was there. */
  body: Buffer
}

interface Pending {
  /** What the event with the answer holds. */
  mark: string
  resolve(answer: Answer): void
  reject(error: Error): void
}

interface Head {
  status: number
  headers: Map<string, string>
  bodyStart: number
}

const headEnd = Buffer.from('\r\n\r\n')

/**
 * One keep-alive HTTP/1.1 connection, one exchange at a time, with as little work as the protocol allows: what loads the
 * machine should be what is measured. Understands Content-Length and chunked bodies, which is what MCP servers send. An
 * answer on an event stream is there with its event; until the stream has ended too the connection is not idle.
 */
export class Connection implements Disposable {
  readonly #socket: Socket
  readonly #host: string
  readonly #onIdle: (connection: Connection) => void
  #pending: Pending | null = null
  #received: Buffer = Buffer.alloc(0)
  #head: Head | null = null

  private constructor(socket: Socket, host: string, onIdle: (connection: Connection) => void) {
    this.#socket = socket
    this.#host = host
    this.#onIdle = onIdle
    socket.setNoDelay(true)
    socket.on('data', chunk => this.#take(chunk))
    socket.on('error', error => this.#fail(error))
    socket.on('close', () => this.#fail(new Error('the connection was closed')))
  }

  static async open(url: URL, onIdle: (connection: Connection) => void): Promise<Connection> {
    const socket = connect(Number(url.port), url.hostname)
    await once(socket, 'connect')
    return new Connection(socket, url.host, onIdle)
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed
  }

  exchange(method: string, path: string, headers: Readonly<Record<string, string>>, body: string, mark: string): Promise<Answer> {
    let head = `${method} ${path} HTTP/1.1\r\nhost: ${this.#host}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n`
    for (const name in headers) head += `${name}: ${headers[name]}\r\n`
    return new Promise((resolve, reject) => {
      this.#pending = { mark, resolve, reject }
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
    const { body, isWhole } = readBody(this.#received.subarray(this.#head.bodyStart), this.#head.headers)
    if (this.#pending && (isWhole || holdsEvent(body, this.#pending.mark))) this.#settle(this.#head, body)
    if (!isWhole) return
    this.#head = null
    this.#received = Buffer.alloc(0)
    this.#onIdle(this)
  }

  #settle({ status, headers }: Head, body: Buffer): void {
    const pending = this.#pending
    this.#pending = null
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

function readBody(raw: Buffer, headers: ReadonlyMap<string, string>): { body: Buffer; isWhole: boolean } {
  if (headers.get('transfer-encoding') === 'chunked') return joinChunks(raw)
  const length = Number(headers.get('content-length') ?? 0)
  return { body: raw.subarray(0, length), isWhole: raw.length >= length }
}

/** The chunks that are there whole. */
function joinChunks(raw: Buffer): { body: Buffer; isWhole: boolean } {
  const parts: Buffer[] = []
  for (let at = 0; ; ) {
    const lineEnd = raw.indexOf('\r\n', at)
    const size = lineEnd < 0 ? Number.NaN : Number.parseInt(raw.toString('latin1', at, lineEnd), 16)
    const start = lineEnd + 2
    const isThere = raw.length >= start + size + 2
    if (size > 0 && isThere) parts.push(raw.subarray(start, start + size))
    else return { body: parts.length === 1 ? parts[0]! : Buffer.concat(parts), isWhole: size === 0 && isThere }
    at = start + size + 2
  }
}

function holdsEvent(body: Buffer, mark: string): boolean {
  const at = body.indexOf(mark)
  return at >= 0 && (body.indexOf('\n\n', at) >= 0 || body.indexOf('\r\n\r\n', at) >= 0)
}
