import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { serverMsOf } from './mcp-session.ts'

/** A server on its standard streams, with nothing between: the floor of every other figure. */
export class StdioSession implements AsyncDisposable {
  readonly child: ChildProcess
  readonly #waiting = new Map<number, (line: Buffer) => void>()
  #rest: Buffer = Buffer.alloc(0)
  #id = 0

  private constructor(child: ChildProcess) {
    this.child = child
    child.stdout?.on('data', (chunk: Buffer) => this.#take(chunk))
  }

  static async open(program: string, args: readonly string[]): Promise<StdioSession> {
    const session = new StdioSession(spawn(program, args, { stdio: ['pipe', 'pipe', 'ignore'] }))
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'maestro-benchmark', version: '1' } }
    await session.#request('initialize', JSON.stringify(params))
    session.child.stdin?.write('{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
    return session
  }

  async echo(): Promise<void> {
    const message = `bench ${this.#id + 1}`
    const line = await this.#request('tools/call', `{"name":"echo","arguments":{"message":"${message}"}}`)
    if (!line.includes(`Echo: ${message}`)) throw new Error(`expected ${message}, got ${line.toString('utf8', 0, 500)}`)
  }

  /** As of `McpSession`. */
  async timedCall(tool: string): Promise<{ ms: number; serverMs: number }> {
    const startedMs = performance.now()
    const line = await this.#request('tools/call', `{"name":"${tool}","arguments":{}}`)
    return { ms: performance.now() - startedMs, serverMs: serverMsOf(line) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const exited = once(this.child, 'exit')
    this.child.kill('SIGKILL')
    await exited
  }

  #request(method: string, params: string): Promise<Buffer> {
    const id = ++this.#id
    return new Promise(resolve => {
      this.#waiting.set(id, resolve)
      this.child.stdin?.write(`{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${params}}\n`)
    })
  }

  #take(chunk: Buffer): void {
    const data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let start = 0
    for (let end = data.indexOf(10); end >= 0; end = data.indexOf(10, start)) {
      const line = data.subarray(start, end)
      start = end + 1
      const id = idOf(line)
      if (id === null) continue
      this.#waiting.get(id)?.(line)
      this.#waiting.delete(id)
    }
    this.#rest = data.subarray(start)
  }
}

/** The id of an answer; null for any other message. Large ones are answers, and reading them would count as time of the pipe. */
function idOf(line: Buffer): number | null {
  if (line.length > 4096) return Number(/"id":(\d+)\}$/.exec(line.toString('latin1', line.length - 32))?.[1] ?? Number.NaN)
  const { id, method } = JSON.parse(line.toString()) as { id?: number; method?: string }
  return id === undefined || method !== undefined ? null : id
}
