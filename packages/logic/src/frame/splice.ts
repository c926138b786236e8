import { invariant } from '@maestro/contract'
import { type Member, membersOf, type Span } from './scan.ts'

/** Puts `text` in the place of the bytes from `start` to `end`; an insertion where they are equal. */
export interface Edit {
  readonly start: number
  readonly end: number
  readonly text: string
}

/**
 * Makes the edits and copies every other byte as it is: big integers, doubled keys and lone surrogates survive.
 * Edits may come in any order and must not overlap.
 */
export function splice(bytes: Uint8Array, edits: readonly Edit[]): Uint8Array {
  if (edits.length === 0) return bytes
  const ordered = edits.length === 1 ? edits : [...edits].sort((a, b) => a.start - b.start || a.end - b.end)
  const texts = ordered.map(edit => encoder.encode(edit.text))
  let size = bytes.length
  let last = 0
  for (const [index, edit] of ordered.entries()) {
    invariant(edit.start >= last && edit.end >= edit.start && edit.end <= bytes.length, 'edits overlap or reach outside')
    size += (texts[index] as Uint8Array).length - (edit.end - edit.start)
    last = edit.end
  }
  const spliced = new Uint8Array(size)
  let from = 0
  let to = 0
  for (const [index, edit] of ordered.entries()) {
    spliced.set(bytes.subarray(from, edit.start), to)
    to += edit.start - from
    spliced.set(texts[index] as Uint8Array, to)
    to += (texts[index] as Uint8Array).length
    from = edit.end
  }
  spliced.set(bytes.subarray(from), to)
  return spliced
}

/** Replaces a value by JSON text. */
export const replaceValue = (span: Span, json: string): Edit => ({ start: span.start, end: span.end, text: json })

/**
 * Edits that take members out of the object at `at` and set others to JSON text: in place where the member is there,
 * at the end where it is not. Fails (invariant) unless there is an object at `at`.
 */
export function editObject(
  bytes: Uint8Array,
  at: number,
  changes: { remove?: (key: string) => boolean; set?: Readonly<Record<string, string>> },
): Edit[] {
  const members = membersOf(bytes, at)
  invariant(typeof members !== 'string', 'only an object that was read can be edited')
  const set = changes.set ?? {}
  const isRemoved = (member: Member) => !Object.hasOwn(set, member.key) && changes.remove?.(member.key) === true
  const edits = removeParts(
    members.map(member => ({ start: member.keyStart, end: member.end })),
    index => isRemoved(members[index] as Member),
  )
  let kept = 0
  const present = new Set<string>()
  for (const member of members) {
    if (isRemoved(member)) continue
    kept++
    const json = Object.hasOwn(set, member.key) ? set[member.key] : undefined
    if (json === undefined) continue
    present.add(member.key)
    edits.push(replaceValue(member, json))
  }
  let text = ''
  for (const [key, json] of Object.entries(set)) {
    if (!present.has(key)) text += `${kept++ > 0 ? ',' : ''}${JSON.stringify(key)}:${json}`
  }
  if (text !== '') {
    const end = members.at(-1)?.end ?? at + 1
    edits.push({ start: end, end, text })
  }
  return edits
}

/** Edits that take some of the comma-separated parts of an array or object out, with a comma each. */
export function removeParts(parts: readonly Span[], isRemoved: (index: number) => boolean): Edit[] {
  const edits: Edit[] = []
  let keptBefore = false
  for (const [index, part] of parts.entries()) {
    if (!isRemoved(index)) {
      keptBefore = true
      continue
    }
    const previous = parts[index - 1]
    const next = parts[index + 1]
    if (keptBefore && previous) edits.push({ start: previous.end, end: part.end, text: '' })
    else edits.push({ start: part.start, end: next ? next.start : part.end, text: '' })
  }
  return edits
}

const encoder = new TextEncoder()
