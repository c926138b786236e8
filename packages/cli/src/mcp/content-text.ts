import { bytes } from '../format.ts'

/** The parts of a tool's result as text: what is text as it is, what is not by its kind and size. Untrusted. */
export function contentText(result: Record<string, unknown>): string[] {
  const content = Array.isArray(result['content']) ? result['content'] : []
  if (content.length > 0) return content.map(part => partText(part))
  return result['structuredContent'] === undefined ? ['(empty result)'] : [JSON.stringify(result['structuredContent'], null, 2)]
}

function partText(part: unknown): string {
  const { type, text, data, mimeType, uri, resource } = (part ?? {}) as Record<string, unknown>
  if (type === 'text' && typeof text === 'string') return text
  if (type === 'resource' && typeof resource === 'object' && resource !== null) {
    const { text: inner, uri: where } = resource as Record<string, unknown>
    return typeof inner === 'string' ? inner : `[resource ${String(where)}]`
  }
  if (type === 'resource_link') return `[link ${String(uri)}]`
  if (typeof data === 'string')
    return `[${String(type)} ${String(mimeType)}, ${bytes(Math.floor((data.length * 3) / 4))}; --json prints it]`
  return JSON.stringify(part)
}
