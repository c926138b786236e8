import { ConductorError, type Manifest, sessionRevisions, statelessRevision } from '@maestro/contract'
import { version } from '../version.ts'
import { isObject, type RpcLink, RpcRefusal } from './rpc-link.ts'

const pagesMax = 100
const itemsMax = 10_000
const listMsMax = 30_000
const methodNotFound = -32601

/** What a server says of itself; how long it took to say so is for who started it. */
export type SelfDescription = Omit<Manifest, 'startupMs' | 'pingBeforeInitialize'>
type Items = Record<string, unknown>[]

const clientInfo = { name: 'maestro-conductor', version }

/** Initializes the server as a client of 2025-11-25. Returns its answer as it came. */
export const initialize = (link: RpcLink, timeoutMs: number): Promise<Record<string, unknown>> =>
  link.request('initialize', { protocolVersion: sessionRevisions[0], capabilities: {}, clientInfo }, timeoutMs)

/**
 * Reads the lists of an initialized server, every page of what its capabilities name.
 * Throws `manifest_failed`, `RpcRefusal`. https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle
 */
export async function readSessionManifest(link: RpcLink, initialized: Record<string, unknown>): Promise<SelfDescription> {
  link.notify('notifications/initialized')
  const protocolVersion = initialized['protocolVersion']
  if (typeof protocolVersion !== 'string') throw failed('Its answer to initialize names no protocol version.')
  return {
    protocolVersion,
    serverInfo: objectOr(initialized['serverInfo']),
    ...(await readLists(link, initialized, {})),
  }
}

/**
 * Discovers a server of 2026-07-28, whose requests stand alone.
 * https://modelcontextprotocol.io/specification/2026-07-28/server/discover
 */
export async function readStatelessManifest(link: RpcLink, timeoutMs: number): Promise<SelfDescription> {
  const meta = {
    _meta: {
      'io.modelcontextprotocol/protocolVersion': statelessRevision,
      'io.modelcontextprotocol/clientCapabilities': {},
      'io.modelcontextprotocol/clientInfo': clientInfo,
    },
  }
  const discovered = await link.request('server/discover', meta, timeoutMs)
  const versions = discovered['supportedVersions']
  if (!Array.isArray(versions) || !versions.includes(statelessRevision)) {
    throw failed(`It supports none of the protocol revisions ${sessionRevisions.join(', ')} and ${statelessRevision}.`)
  }
  return {
    protocolVersion: statelessRevision,
    serverInfo: objectOr(objectOr(discovered['_meta'])['io.modelcontextprotocol/serverInfo']),
    ...(await readLists(link, discovered, meta)),
  }
}

async function readLists(
  link: RpcLink,
  said: Record<string, unknown>,
  params: object,
): Promise<Omit<SelfDescription, 'protocolVersion' | 'serverInfo'>> {
  const capabilities = objectOr(said['capabilities'])
  const budget = { items: 0 }
  const list = (capability: string, method: string, field: string) =>
    isObject(capabilities[capability]) ? readPages(link, method, field, params, budget) : Promise.resolve<Items>([])
  // One after the other: a small server answers in order anyway, and a slow one is not flooded on its first run.
  const tools = await list('tools', 'tools/list', 'tools')
  if (!tools.every(isTool)) throw failed('It lists a tool without a name.')
  return {
    capabilities,
    instructions: typeof said['instructions'] === 'string' ? said['instructions'] : null,
    tools,
    prompts: await list('prompts', 'prompts/list', 'prompts'),
    resources: await list('resources', 'resources/list', 'resources'),
    resourceTemplates: await list('resources', 'resources/templates/list', 'resourceTemplates'),
  }
}

async function readPages(
  link: RpcLink,
  method: string,
  field: string,
  params: object,
  budget: { items: number },
): Promise<Items> {
  const items: Items = []
  const seen = new Set<string>()
  let cursor: string | undefined
  for (let page = 0; page < pagesMax; page++) {
    const answer = await link.request(method, cursor === undefined ? params : { ...params, cursor }, listMsMax).catch(error => {
      // Many a server declares a capability and leaves one of its lists out.
      if (error instanceof RpcRefusal && error.code === methodNotFound && method !== 'tools/list') return null
      throw error
    })
    if (answer === null) return items
    const listed = answer[field]
    if (!Array.isArray(listed) || !listed.every(isObject)) throw failed(`Its answer to ${method} holds no list of ${field}.`)
    budget.items += listed.length
    if (budget.items > itemsMax) throw failed(`It lists more than ${itemsMax} items.`)
    for (const item of listed) items.push(item)
    const next = answer['nextCursor']
    if (typeof next !== 'string' || next === '') return items
    if (seen.has(next)) throw failed(`Its ${method} goes in circles: the cursor came twice.`)
    seen.add(next)
    cursor = next
  }
  throw failed(`Its ${method} has more than ${pagesMax} pages.`)
}

const isTool = (item: Record<string, unknown>): item is Manifest['tools'][number] => typeof item['name'] === 'string'

const objectOr = (value: unknown): Record<string, unknown> => (isObject(value) ? value : {})

const failed = (why: string) => new ConductorError('manifest_failed', why)
