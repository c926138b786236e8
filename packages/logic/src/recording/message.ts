/** What a frame says as JSON-RPC. A recording is untrusted, so anything may stand where a member is expected. */
import { isObject } from './shape.ts'

export type RpcId = string | number | null

export type Message =
  | { type: 'request'; id: RpcId; method: string; params: unknown }
  | { type: 'notification'; method: string; params: unknown }
  | { type: 'response'; id: RpcId; result: unknown; error: { code: number | null; message: string } | null }

const utf8 = new TextDecoder()

/** The messages of one frame: one, or those of a batch (2025-03-26), or none where it is not JSON-RPC. */
export function messagesOf(bytes: Uint8Array): Message[] {
  let json: unknown
  try {
    json = JSON.parse(utf8.decode(bytes))
  } catch {
    return []
  }
  return (Array.isArray(json) ? json : [json]).map(messageOf).filter(message => message !== null)
}

function messageOf(json: unknown): Message | null {
  if (!isObject(json)) return null
  const { id, method, params, result, error } = json
  if (typeof method === 'string') {
    return isId(id) ? { type: 'request', id, method, params } : { type: 'notification', method, params }
  }
  if (!Object.hasOwn(json, 'result') && !Object.hasOwn(json, 'error')) return null
  return {
    type: 'response',
    id: isId(id) ? id : null,
    result,
    error: isObject(error)
      ? {
          code: typeof error['code'] === 'number' ? error['code'] : null,
          message: typeof error['message'] === 'string' ? error['message'] : '',
        }
      : null,
  }
}

/** Two ids are the same when type and value are: `1` and `"1"` are two requests. */
export const idKey = (id: unknown): string => `${typeof id}:${String(id)}`

/** What the caller put at `params._meta.progressToken`, or undefined. */
export function progressTokenAskedBy(params: unknown): string | number | undefined {
  const meta = isObject(params) ? params['_meta'] : undefined
  return tokenOf(isObject(meta) ? meta['progressToken'] : undefined)
}

/** The token a progress notification carries, or undefined. */
export const progressTokenOf = (params: unknown): string | number | undefined =>
  tokenOf(isObject(params) ? params['progressToken'] : undefined)

/** The `subscriptions/listen` request that a notification belongs to (2026-07-28), by its JSON-RPC id, or undefined. */
export function subscriptionOf(params: unknown): string | number | undefined {
  const meta = isObject(params) ? params['_meta'] : undefined
  return tokenOf(isObject(meta) ? meta['io.modelcontextprotocol/subscriptionId'] : undefined)
}

const tokenOf = (value: unknown): string | number | undefined =>
  typeof value === 'string' || typeof value === 'number' ? value : undefined

const isId = (id: unknown): id is RpcId => typeof id === 'string' || typeof id === 'number' || id === null
