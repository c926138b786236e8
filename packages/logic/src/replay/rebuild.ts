import { type Message, messagesOf } from '../recording/message.ts'
import { isObject } from '../recording/shape.ts'
import { createKeyer, sessionStream, type TraceFrame } from './match.ts'

/** How the server of a session can be made again after its sandbox was given back. */
export type RebuildPlan =
  /** `handshake`: nothing said since changed the server. `whole`: everything is said again, and every answer must be the same. */
  { how: 'handshake' | 'whole'; trace: TraceFrame[] } | { how: 'impossible'; because: RebuildObstacle }

export type RebuildObstacle =
  /** A request of either side is still unanswered. */
  | 'unanswered'
  /** The client waits for updates of a resource. */
  | 'subscribed'
  /** The server says things nobody asked for, so it may have something to say while it is gone. */
  | 'speaks_by_itself'
  /** A call may have changed something outside the sandbox: saying it again would do it twice. */
  | 'reaches_out'
  /** There is more to say again than a waking session should wait for. */
  | 'too_long'

export interface RebuildFacts {
  /** Tools as the release's manifest lists them. */
  tools: readonly Readonly<Record<string, unknown>>[]
  /** Whether the sandbox can reach anything outside of itself. */
  reachesOut: boolean
}

/** What is said again at most. */
export const rebuildFramesMax = 2_000
export const rebuildBytesMax = 4 * 1024 * 1024

/** Methods that leave a server as it was, by MCP revision 2025-11-25; `tools/call` is judged by the tool. */
const readingMethods = new Set([
  'initialize',
  'ping',
  'server/discover',
  'tools/list',
  'prompts/list',
  'prompts/get',
  'resources/list',
  'resources/templates/list',
  'resources/read',
  'completion/complete',
])
/** They change the server, but the handshake says them again. */
const settingMethods = new Set(['logging/setLevel', 'resources/subscribe', 'resources/unsubscribe'])

/**
 * Whether and how a session's server can be made again from what was said so far. Pure; the trace is untrusted. A server is taken at its
 * word that a tool only reads (`annotations.readOnlyHint`): where that is wrong, the server only loses memory of its own.
 */
export function planRebuild(trace: readonly TraceFrame[], facts: RebuildFacts): RebuildPlan {
  const impossible = (because: RebuildObstacle): RebuildPlan => ({ how: 'impossible', because })
  const readingTools = new Set(facts.tools.filter(isReading).map(tool => tool['name']))
  const keyer = createKeyer()
  const handshake: TraceFrame[] = []
  const openRequests = new Set<string>()
  const openQuestions = new Set<string>()
  const settings = new Set<string>()
  let subscriptions = 0
  let requests = 0
  let changes = false
  let bytes = 0

  for (const frame of trace) {
    bytes += frame.bytes.length
    const { key, stream, during, answers } = keyer.keyOf(frame.direction, frame.bytes)
    const message = messagesOf(frame.bytes)[0]
    if (message === undefined) return impossible('speaks_by_itself')
    if (frame.direction === 'inward') {
      if (message.type === 'request') {
        openRequests.add(key)
        if (message.method !== 'initialize') requests++
        if (message.method === 'resources/subscribe') subscriptions++
        if (message.method === 'resources/unsubscribe') subscriptions--
        if (settingMethods.has(message.method)) settings.add(key)
        else if (!isHarmless(message, readingTools)) changes = true
        if (message.method === 'initialize' || settings.has(key)) handshake.push(frame)
      } else if (message.type === 'notification') {
        if (message.method !== 'notifications/cancelled') handshake.push(frame)
      } else {
        if (answers !== undefined) openQuestions.delete(answers)
        handshake.push(frame)
      }
    } else if (message.type === 'response') {
      const request = key.endsWith(' response') ? stream : null
      if (request !== null) openRequests.delete(request)
      if (request !== null && (request.startsWith('initialize#') || settings.has(request))) handshake.push(frame)
    } else if (stream === sessionStream && during === null) {
      // What comes with the handshake comes again with it.
      if (requests > 0) return impossible('speaks_by_itself')
      if (message.type === 'request') openQuestions.add(key)
      handshake.push(frame)
    } else if (message.type === 'request') {
      // A question asked in the course of a call belongs to the call, which may have depended on the answer.
      openQuestions.add(key)
      if (stream === sessionStream) changes = true
    }
  }
  if (openRequests.size > 0 || openQuestions.size > 0) return impossible('unanswered')
  if (subscriptions > 0) return impossible('subscribed')
  if (!changes) return { how: 'handshake', trace: answered(handshake) }
  if (facts.reachesOut) return impossible('reaches_out')
  if (trace.length > rebuildFramesMax || bytes > rebuildBytesMax) return impossible('too_long')
  return { how: 'whole', trace: [...trace] }
}

function isReading(tool: Readonly<Record<string, unknown>>): boolean {
  const annotations = tool['annotations']
  return isObject(annotations) && annotations['readOnlyHint'] === true
}

function isHarmless(message: Message & { type: 'request' }, readingTools: ReadonlySet<unknown>): boolean {
  if (message.method !== 'tools/call') return readingMethods.has(message.method)
  return isObject(message.params) && readingTools.has(message.params['name'])
}

/** Without answers to questions that are not among the frames: they were asked in the course of calls that are left out. */
function answered(frames: readonly TraceFrame[]): TraceFrame[] {
  const keyer = createKeyer()
  return frames.filter(frame => {
    const { key } = keyer.keyOf(frame.direction, frame.bytes)
    return frame.direction === 'outward' || !key.startsWith('answer to nothing')
  })
}
