import type { Frame } from './read-frame.ts'

/** The `error` member of a JSON-RPC response. */
export interface RpcError {
  code: number
  message: string
  data?: Record<string, unknown>
}

/** A JSON-RPC error response to the request whose id is written `idText` in JSON; `null` where there is none. */
export function writeError(idText: string, error: RpcError): Uint8Array {
  return encoder.encode(`{"jsonrpc":"2.0","id":${idText},"error":${JSON.stringify(error)}}`)
}

/** The id of a frame exactly as its sender wrote it, as JSON. */
export function idTextOf(frame: Frame): string {
  return frame.idSpan === null ? 'null' : decoder.decode(frame.bytes.subarray(frame.idSpan.start, frame.idSpan.end))
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()
