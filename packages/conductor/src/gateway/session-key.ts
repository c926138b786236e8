import { parseId, type SessionId } from '@maestro/contract'

/** Random bytes behind the id: 128 bits, as the id alone has only 56 and is shown to people. */
export const secretBytes = 16

/** The value of `Mcp-Session-Id`: the session's id, which sorts and greps, and a secret, which cannot be guessed. */
export function writeSessionKey(id: SessionId, secret: Uint8Array): string {
  return `${id}.${Buffer.from(secret).toString('hex')}`
}

/** The id that a header value names, or null where it is none of ours. Whether it may be used is for `isSameKey` to say. */
export function idOfSessionKey(header: string): SessionId | null {
  const dot = header.indexOf('.')
  return dot < 0 || header.length > 128 ? null : parseId('ses', header.slice(0, dot))
}

/** Compares in a time that does not tell where two keys differ. */
export function isSameKey(a: string, b: string): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (let index = 0; index < a.length; index++) difference |= a.charCodeAt(index) ^ b.charCodeAt(index)
  return difference === 0
}
