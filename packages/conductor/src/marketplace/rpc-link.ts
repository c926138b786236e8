import { ConductorError } from '@maestro/contract'
import { readFrame } from '@maestro/logic'
import type { Upstream } from '../session/stages.ts'
import type { World } from '../world.ts'

const bytesMax = 8 * 1024 * 1024

/** A short conversation with a server that nobody else speaks to: for its first run and for probes. */
export interface RpcLink {
  /** The `result`. Throws `RpcRefusal` where the server answers with an error, `manifest_failed` where it does not answer. */
  request(method: string, params: object, timeoutMs: number): Promise<Record<string, unknown>>
  notify(method: string): void
  /** False once the server has ended or said too much. */
  readonly isOpen: boolean
}

/** The server answered, with an error of its own. */
export class RpcRefusal extends Error {
  readonly code: number | null

  constructor(method: string, code: unknown, message: unknown) {
    super(`It answered ${method} with error ${textOf(code, 20)}: ${textOf(message, 500)}`)
    this.code = typeof code === 'number' ? code : null
  }
}

/** Not `String(value)`: an object of the server's may have a `toString` that is no function, and that would throw. */
const textOf = (value: unknown, max: number): string =>
  (typeof value === 'string' ? value : (JSON.stringify(value) ?? 'nothing')).slice(0, max)

interface Pending {
  method: string
  resolve(result: Record<string, unknown>): void
  reject(error: Error): void
}

/** Speaks JSON-RPC over an upstream. Everything it says is untrusted; all its answers together may be 8 MiB. */
export function openRpcLink(world: World, upstream: Upstream): RpcLink {
  const pending = new Map<number, Pending>()
  const encoder = new TextEncoder()
  let nextId = 1
  let bytes = 0
  let ended: Error | null = null

  const send = (message: object) => upstream.send(encoder.encode(JSON.stringify({ jsonrpc: '2.0', ...message })))
  const end = (error: Error) => {
    ended ??= error
    for (const { reject } of pending.values()) reject(ended)
    pending.clear()
  }

  upstream.onFrame(frame => {
    try {
      take(frame)
    } catch (error) {
      // Called from the server's output: thrown further it would be nobody's to catch, and end the process.
      end(error instanceof Error ? error : failed('What it said could not be read.'))
    }
  })

  function take(frame: Uint8Array): void {
    bytes += frame.length
    if (bytes > bytesMax) {
      end(failed(`It answered with more than ${bytesMax / 1024 / 1024} MiB.`))
      return
    }
    const read = readFrame(frame)
    if (read.kind === 'request') {
      // We declare no capabilities, so a ping is all that a server may ask.
      if (read.method === 'ping') send({ id: read.id, result: {} })
      else send({ id: read.id, error: { code: -32601, message: 'Method not found' } })
    }
    if (read.kind !== 'response') return
    const asked = pending.get(read.id as number)
    if (!asked) return
    pending.delete(read.id as number)
    const { result, error } = read.message
    if (isObject(result)) asked.resolve(result)
    else if (isObject(error)) asked.reject(new RpcRefusal(asked.method, error['code'], error['message']))
    else asked.reject(failed(`Its answer to ${asked.method} has no result object.`))
  }
  // `exited` never rejects: its reason is a value.
  void upstream.exited.then(exit =>
    end(failed(`It ended before it answered (${exit.signal ?? `exit code ${exit.code ?? 'unknown'}`}, ${exit.reason}).`)),
  )

  return {
    request: (method, params, timeoutMs) =>
      new Promise((resolve, reject) => {
        if (ended) return reject(ended)
        const id = nextId++
        const cancel = world.after(timeoutMs, () => {
          pending.delete(id)
          reject(failed(`It did not answer ${method} within ${Math.round(timeoutMs)} ms.`))
        })
        pending.set(id, {
          method,
          resolve: result => {
            cancel()
            resolve(result)
          },
          reject: error => {
            cancel()
            reject(error)
          },
        })
        send({ id, method, params })
      }),
    notify: method => send({ method }),
    get isOpen() {
      return ended === null
    },
  }
}

const failed = (why: string) => new ConductorError('manifest_failed', why)

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
