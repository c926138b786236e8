import { isIP, isIPv4, isIPv6 } from 'node:net'

export interface Target {
  /** A name in lower case without the root's dot, or an address without brackets. */
  host: string
  port: number
}

const nameBytesMax = 253

/**
 * `host:port` as it stands in a request target or a Host header. One spelling per host: what a lenient reader would take for another
 * host is refused, not mended. That is user names, percent and Unicode escapes, zones of IPv6, and IPv4 as one number, octal, hexadecimal
 * or short.
 */
export function parseAuthority(text: string, defaultPort?: number): Target | null {
  const [, bracketed, plain, digits] =
    /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,254}))(?::([0-9]{1,5}))?$/.exec(text) ?? []
  const port = digits === undefined ? defaultPort : Number(digits)
  if (port === undefined || port < 1 || port > 65_535) return null
  if (bracketed !== undefined) return isIPv6(bracketed) ? { host: plainAddress(bracketed), port } : null
  const host = plain === undefined ? null : plainName(plain)
  return host === null ? null : { host, port }
}

/** A host name as all of egress compares it, or null for what is none. */
export function plainName(text: string): string | null {
  const name = text.toLowerCase().replace(/\.$/, '')
  if (name.length > nameBytesMax || !name.split('.').every(label => /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label)))
    return null
  // What ends in a number is an address to every resolver (WHATWG URL, "ends in a number checker"), whatever it looks like.
  if (/(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$/.test(name)) return isIPv4(name) ? name : null
  return name
}

/** IPv6 has many spellings; this is the one. */
export function plainAddress(address: string): string {
  return isIP(address) === 6 ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address
}
