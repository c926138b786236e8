import { ConductorError, type ErrorCode, errorTable, sessionRevisions } from '@maestro/contract'
import { readFrame } from '@maestro/logic'
import { openBridge } from './bridge.ts'
import type { Credentials } from './credentials.ts'

/** The server answered a request with an error of its own. */
export class RpcFailure extends Error {
  readonly code: unknown
  readonly data: unknown

  constructor(code: unknown, message: string, data: unknown) {
    super(message)
    this.code = code
    this.data = data
  }
}

export interface McpSession {
  /** The `result`. Throws `RpcFailure` for an error of the server, `ConductorError` for one of the platform. */
  request(method: string, params: object): Promise<Record<string, unknown>>
  close(): Promise<void>
}

interface SessionParts {
  credentials: Credentials
  version: string
  /** What the server tells while it works. */
  onNotification(method: string, params: Record<string, unknown>): void
  note(text: string): void
}

/** Opens a session as a client that can be asked nothing. */
export async function openMcpSession({ credentials, version, onNotification, note }: SessionParts): Promise<McpSession> {
  const pending = new Map<number, { resolve(result: Record<string, unknown>): void; reject(error: Error): void }>()
  let nextId = 1
  const bridge = openBridge({
    credentials,
    note,
    async write(bytes) {
      const frame = readFrame(bytes)
      if (frame.kind === 'notification') return onNotification(frame.method ?? '', frame.message.params ?? {})
      if (frame.kind === 'request') {
        const answer = frame.method === 'ping' ? { result: {} } : { error: { code: -32601, message: 'Method not found' } }
        // Not awaited: the stream this came on must go on being read.
        return void say({ id: frame.id, ...answer })
      }
      if (frame.kind !== 'response') return
      const asked = pending.get(frame.id as number)
      pending.delete(frame.id as number)
      const { result, error } = frame.message as { result?: Record<string, unknown>; error?: Record<string, unknown> }
      if (error) asked?.reject(failureOf(error))
      else asked?.resolve(result ?? {})
    },
  })
  const say = (message: object) => bridge.receive(Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...message })))
  const session: McpSession = {
    request: (method, params) =>
      new Promise((resolve, reject) => {
        const id = nextId++
        pending.set(id, { resolve, reject })
        void say({ id, method, params })
      }),
    close: () => bridge.abort(),
  }
  try {
    await session.request('initialize', {
      protocolVersion: sessionRevisions[0],
      capabilities: {},
      clientInfo: { name: 'maestro-cli', version },
    })
    await say({ method: 'notifications/initialized' })
    return session
  } catch (error) {
    await bridge.abort()
    throw error
  }
}

function failureOf(error: Record<string, unknown>): Error {
  const message = String(error['message'])
  const data = error['data'] as { code?: unknown; nearest?: unknown } | undefined
  const code = typeof data === 'object' && data !== null ? data.code : undefined
  if (typeof code === 'string' && Object.hasOwn(errorTable, code)) {
    const nearest = data?.nearest === undefined ? '' : ` The nearest recorded call: ${JSON.stringify(data.nearest)}.`
    return new ConductorError(code as ErrorCode, `${message}${nearest}`)
  }
  return new RpcFailure(error['code'], message, data)
}
