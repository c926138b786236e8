import type { IncomingMessage } from 'node:http'
import { ConductorError } from '@maestro/contract'
import type { Config } from '../config.ts'

/** Keeps out requests that reached us by a name that is not ours (DNS rebinding) or from a web page that may not call. */
export interface Guard {
  /** Null where the request may go on; else `host_denied` or `origin_denied`. */
  check(request: IncomingMessage): ConductorError | null
}

export function createGuard(config: Pick<Config, 'host' | 'hosts' | 'origins'>): Guard {
  const hosts = new Set([config.host, ...config.hosts].map(host => host.toLowerCase()))
  const origins = new Set(config.origins.map(origin => origin.toLowerCase().replace(/\/$/, '')))
  const isHostAllowed = remembered(host => {
    const name = nameOf(host)
    return name !== null && (isLoopback(name) || hosts.has(name) || hosts.has(host.toLowerCase()))
  })
  const isOriginAllowed = remembered(origin => {
    if (origins.has(origin.toLowerCase())) return true
    const url = URL.parse(origin)
    if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.origin !== origin.toLowerCase())
      return false
    return isLoopback(url.hostname) || hosts.has(url.hostname) || hosts.has(url.host)
  })
  return {
    check(request) {
      const { host, origin } = request.headers
      // The address the connection really came to is ours whatever the listening address says.
      if (host === undefined || !(isHostAllowed(host) || nameOf(host) === localAddress(request))) {
        return new ConductorError('host_denied', 'The Host header names a host that is not ours.')
      }
      if (origin !== undefined && !isOriginAllowed(origin)) {
        return new ConductorError('origin_denied', 'Pages of this web origin may not call.')
      }
      return null
    },
  }
}

/** The host name of a Host header without its port, in lower case; null where it is none. */
function nameOf(host: string): string | null {
  const match = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?$/i.exec(host)
  return match === null ? null : (match[1] as string).toLowerCase()
}

function localAddress(request: IncomingMessage): string | null {
  const address = request.socket.localAddress
  if (address === undefined) return null
  const plain = address.startsWith('::ffff:') ? address.slice(7) : address
  return plain.includes(':') ? `[${plain}]` : plain
}

const isLoopback = (name: string): boolean =>
  name === 'localhost' || name.endsWith('.localhost') || name === '[::1]' || /^127(\.[0-9]{1,3}){3}$/.test(name)

const rememberedMax = 256

/** Host and Origin are the same on every request of a client; the answer is kept, for a bounded number of them. */
function remembered(judge: (value: string) => boolean): (value: string) => boolean {
  const answers = new Map<string, boolean>()
  return value => {
    const known = answers.get(value)
    if (known !== undefined) return known
    if (answers.size >= rememberedMax) answers.clear()
    const answer = judge(value)
    if (value.length <= 256) answers.set(value, answer)
    return answer
  }
}
