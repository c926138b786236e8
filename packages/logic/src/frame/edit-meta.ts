import type { Frame } from './read-frame.ts'
import { membersOf } from './scan.ts'
import { type Edit, editObject } from './splice.ts'

/** Edits that change `params._meta` of a request or notification, making both where they are missing. */
export function editMeta(frame: Frame, changes: Parameters<typeof editObject>[2]): Edit[] {
  const set = Object.entries(changes.set ?? {})
  const json = `{${set.map(([key, value]) => `${JSON.stringify(key)}:${value}`).join(',')}}`
  const params = frame.members.find(member => member.key === 'params')
  if (!params) return set.length === 0 ? [] : editObject(frame.bytes, startOf(frame), { set: { params: `{"_meta":${json}}` } })
  const members = membersOf(frame.bytes, params.start)
  const meta = typeof members === 'string' ? undefined : members.find(member => member.key === '_meta')
  const value = frame.message.params?.['_meta']
  if (meta && typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return editObject(frame.bytes, meta.start, changes)
  }
  // Something else than an object is the sender's mistake, and stays for the receiver to judge.
  if (meta || set.length === 0) return []
  return editObject(frame.bytes, params.start, { set: { _meta: json } })
}

const startOf = (frame: Frame): number => frame.bytes.indexOf(0x7b)
