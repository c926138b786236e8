import { ConductorError } from '@maestro/contract'
import { type Edit, type Frame, itemsOf, membersOf, readFrame, removeParts, splice } from '@maestro/logic'

/**
 * An answer to tools/list without the tools that a token does not name. Whole items are taken out; the rest of the bytes
 * stay. Throws `server_garbled` for a list that cannot be filtered: it must not reach the client whole.
 */
export function filterTools(frame: Frame, allowed: ReadonlySet<string>): Frame {
  const result = frame.members.find(member => member.key === 'result')
  if (!result) return frame
  const members = membersOf(frame.bytes, result.start)
  const edits: Edit[] = []
  for (const member of typeof members === 'string' ? [] : members) {
    if (member.key !== 'tools') continue
    const items = itemsOf(frame.bytes, member.start)
    if (typeof items === 'string') throw unreadable()
    edits.push(...removeParts(items, index => !isAllowed(frame.bytes.subarray(items[index]?.start, items[index]?.end), allowed)))
  }
  if (typeof members === 'string') throw unreadable()
  if (edits.length === 0) return frame
  const filtered = readFrame(splice(frame.bytes, edits))
  if (filtered.kind === 'fault') throw unreadable()
  return filtered
}

function isAllowed(item: Uint8Array, allowed: ReadonlySet<string>): boolean {
  const tool = JSON.parse(decoder.decode(item)) as { name?: unknown } | null
  return typeof tool === 'object' && tool !== null && typeof tool.name === 'string' && allowed.has(tool.name)
}

const unreadable = () => new ConductorError('server_garbled', 'The server’s answer to tools/list cannot be read.')

const decoder = new TextDecoder()
