import { statelessRevision } from '@maestro/contract'
import type { Frame } from '@maestro/logic'

/**
 * The headers that repeat a stateless request's body: method and name. Null for a frame of the session era.
 * https://modelcontextprotocol.io/specification/2026-07-28/basic/transports
 */
export function statelessHeaders(frame: Frame): Record<string, string> | null {
  const meta = frame.message.params?.['_meta']
  const version =
    typeof meta === 'object' && meta !== null
      ? (meta as Record<string, unknown>)['io.modelcontextprotocol/protocolVersion']
      : undefined
  if (version !== statelessRevision || frame.method === null) return null
  const name = frame.name ?? frame.uri
  return {
    'mcp-protocol-version': statelessRevision,
    'mcp-method': headerValue(frame.method),
    ...(name === null ? {} : { 'mcp-name': headerValue(name) }),
  }
}

/** Text as a header value: as it is where that is plain visible ASCII, else in the protocol's base64 form. */
export function headerValue(text: string): string {
  const plain = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(text) && !/^=\?base64\?.*\?=$/.test(text)
  return plain ? text : `=?base64?${Buffer.from(text).toString('base64')}?=`
}
