import type { IncomingHttpHeaders } from 'node:http'
import { type Manifest, statelessRevision } from '@maestro/contract'
import type { Frame, RpcError } from '@maestro/logic'

/** Keys of `params._meta` by which a stateless request says what a session would know. */
export const metaKeys = {
  protocolVersion: 'io.modelcontextprotocol/protocolVersion',
  clientCapabilities: 'io.modelcontextprotocol/clientCapabilities',
  clientInfo: 'io.modelcontextprotocol/clientInfo',
  logLevel: 'io.modelcontextprotocol/logLevel',
  serverInfo: 'io.modelcontextprotocol/serverInfo',
  subscriptionId: 'io.modelcontextprotocol/subscriptionId',
} as const

export type Meta = Readonly<Record<string, unknown>>

const headerMismatch = -32020
const unsupportedVersion = -32022
const invalidParams = -32602

/** `params._meta`, or an empty object where there is none. */
export function metaOf(frame: Frame): Meta {
  const meta = frame.message.params?.['_meta']
  return typeof meta === 'object' && meta !== null ? (meta as Meta) : noMeta
}

/**
 * What is wrong with the envelope of a stateless request: `_meta` incomplete, a revision that is not spoken, or headers
 * that say something else than the body. The body counts; the headers exist for those on the way who read no bodies.
 * https://modelcontextprotocol.io/specification/2026-07-28/basic/transports
 */
export function envelopeError(frame: Frame, headers: IncomingHttpHeaders, tools: Manifest['tools']): RpcError | null {
  const meta = metaOf(frame)
  const version = meta[metaKeys.protocolVersion]
  if (typeof version !== 'string') return { code: invalidParams, message: `_meta must have ${metaKeys.protocolVersion}.` }
  const mismatch = (message: string): RpcError => ({ code: headerMismatch, message })
  if (headers['mcp-protocol-version'] !== version) {
    return mismatch('The header MCP-Protocol-Version is missing or says something else than _meta.')
  }
  if (version !== statelessRevision) {
    const requested = version.slice(0, 32)
    return {
      code: unsupportedVersion,
      message: `Revision ${JSON.stringify(requested)} is not spoken here.`,
      data: { supported: [statelessRevision], requested },
    }
  }
  const capabilities = meta[metaKeys.clientCapabilities]
  if (typeof capabilities !== 'object' || capabilities === null || Array.isArray(capabilities)) {
    return { code: invalidParams, message: `_meta must have ${metaKeys.clientCapabilities}.` }
  }
  if (decoded(headers['mcp-method']) !== frame.method) {
    return mismatch('The header Mcp-Method is missing or says something else than the body.')
  }
  const name = namedBy[frame.method as string]
  if (name !== undefined) {
    const value = frame.message.params?.[name]
    if (typeof value === 'string' && decoded(headers['mcp-name']) !== value) {
      return mismatch(`The header Mcp-Name is missing or says something else than params.${name}.`)
    }
  }
  if (frame.method !== 'tools/call') return null
  const tool = tools.find(tool => tool.name === frame.name)
  const wrong = tool === undefined ? null : wrongParameter(tool.inputSchema, frame.message.params?.['arguments'], headers, 0)
  return wrong === null ? null : mismatch(`The header Mcp-Param-${wrong} says something else than the argument.`)
}

const namedBy: Readonly<Record<string, string>> = Object.assign(Object.create(null), {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
  'tasks/get': 'taskId',
  'tasks/update': 'taskId',
  'tasks/cancel': 'taskId',
})

const schemaDepthMax = 16

/** The first mirrored argument (`x-mcp-header` in the tool’s schema) whose header is missing, extra or different. */
function wrongParameter(schema: unknown, value: unknown, headers: IncomingHttpHeaders, depth: number): string | null {
  const properties = (schema as { properties?: unknown } | null | undefined)?.properties
  if (typeof properties !== 'object' || properties === null || depth > schemaDepthMax) return null
  const values = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  for (const [key, property] of Object.entries(properties)) {
    const own = Object.hasOwn(values, key) ? values[key] : undefined
    const name = (property as { 'x-mcp-header'?: unknown } | null)?.['x-mcp-header']
    if (typeof name === 'string') {
      const given = decoded(headers[`mcp-param-${name.toLowerCase()}`])
      // An object or array has no form as a header, and its `toString` is the sender's to choose.
      if (typeof own === 'object' && own !== null) return name
      if (given !== (own === undefined || own === null ? undefined : String(own))) return name
    }
    const deeper = wrongParameter(property, own, headers, depth + 1)
    if (deeper !== null) return deeper
  }
  return null
}

/** A mirrored value as it was before it was made fit for a header: `=?base64?…?=` around UTF-8, or plain. */
function decoded(header: string | string[] | undefined): string | undefined {
  if (typeof header !== 'string') return undefined
  const match = /^=\?base64\?([A-Za-z0-9+/]*={0,2})\?=$/i.exec(header)
  return match === null ? header : Buffer.from(match[1] as string, 'base64').toString('utf8')
}

const noMeta: Meta = Object.freeze({})
