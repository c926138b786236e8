import { type FrameRecord, type Manifest, sessionRevisions, statelessRevision } from '@maestro/contract'
import { exchangesOf, type Recording, readFrame } from '@maestro/logic'
import { isObject } from './rpc-link.ts'

/**
 * What a recorded server said of itself, as far as its client asked. Pure. A recording is untrusted:
 * whatever is missing or malformed is left out, and the header stands in for the name.
 */
export function recordedManifest(recording: Recording): Manifest {
  const frames = new Map(
    recording.records.filter((record): record is FrameRecord => record.kind === 'frame').map(frame => [frame.ordinal, frame]),
  )
  const answers = new Map<string, Record<string, unknown>[]>()
  let startupMs = 0
  for (const row of exchangesOf(recording)) {
    const answer = row.direction === 'inward' && row.kind === 'request' ? frames.get(row.frames[1] ?? -1) : undefined
    if (!answer) continue
    const read = readFrame(answer.bytes)
    if (read.kind !== 'response' || !isObject(read.message['result'])) continue
    answers.set(row.method, [...(answers.get(row.method) ?? []), read.message['result']])
    if (row.method === 'initialize') startupMs = Math.max(0, ((row.endUs ?? row.startUs) - row.startUs) / 1000)
  }
  const stateless = recording.header.era === 'stateless'
  const said = (stateless ? answers.get('server/discover') : answers.get('initialize'))?.[0] ?? {}
  const info = stateless && isObject(said['_meta']) ? said['_meta']['io.modelcontextprotocol/serverInfo'] : said['serverInfo']
  const list = (method: string, field: string, key: string) => uniqueItems(answers.get(method) ?? [], field, key)
  return {
    protocolVersion: versionOf(said, stateless),
    serverInfo: isObject(info) ? info : { name: recording.header.releaseName, version: recording.header.releaseVersion },
    capabilities: isObject(said['capabilities']) ? said['capabilities'] : {},
    instructions: typeof said['instructions'] === 'string' ? said['instructions'] : null,
    tools: list('tools/list', 'tools', 'name') as Manifest['tools'],
    prompts: list('prompts/list', 'prompts', 'name'),
    resources: list('resources/list', 'resources', 'uri'),
    resourceTemplates: list('resources/templates/list', 'resourceTemplates', 'uriTemplate'),
    startupMs,
    pingBeforeInitialize: false,
  }
}

function versionOf(said: Record<string, unknown>, stateless: boolean): string {
  if (stateless) return statelessRevision
  return typeof said['protocolVersion'] === 'string' ? said['protocolVersion'] : sessionRevisions[0]
}

/** A list may have been asked for many times; the newest answer about an item stands, in the order they first came. */
function uniqueItems(results: Record<string, unknown>[], field: string, key: string): Record<string, unknown>[] {
  const items = new Map<string, Record<string, unknown>>()
  for (const result of results) {
    const listed = result[field]
    if (!Array.isArray(listed)) continue
    for (const item of listed) if (isObject(item) && typeof item[key] === 'string') items.set(item[key], item)
  }
  return [...items.values()]
}
