import type { Duplex } from 'node:stream'
import type { World } from '../../world.ts'
import { parseAuthority, type Target } from './authority.ts'
import { readClientHello } from './client-hello.ts'
import type { EgressLimits } from './egress-limits.ts'

/** What a tunnel begins with. */
export type Opening = 'tls' | 'http' | 'other' | { denied: string }

/** Ports on which nothing but TLS is let through, and nothing but HTTP/1. On others whatever comes, but what is one of the two is held to its rule. */
const tlsPorts = new Set([443, 8443])
const httpPorts = new Set([80, 8080])
/** No client cuts its first message into more pieces; each is looked at from the beginning. */
const piecesMax = 64

export const expectsTls = (port: number): boolean => tlsPorts.has(port)

/**
 * Judges the first bytes inside a tunnel: whom they name must be whom the tunnel leads to. A front that serves many names would
 * otherwise hand the connection on to one that is not on the allow-list.
 */
export function judgeFirstBytes(bytes: Buffer, target: Target, headBytesMax: number): Opening | 'more' {
  const hello = readClientHello(bytes)
  switch (hello.kind) {
    case 'more':
      return 'more'
    case 'broken':
      return { denied: 'denied: malformed TLS' }
    case 'tls':
      return judgeServerName(hello.serverName, target)
    case 'other':
      if (expectsTls(target.port)) return { denied: 'denied: no TLS where TLS is expected' }
      return judgeHttp(bytes, target, headBytesMax)
  }
}

function judgeServerName(serverName: string | null, target: Target): Opening {
  if (httpPorts.has(target.port)) return { denied: 'denied: no HTTP where HTTP is expected' }
  const named = serverName === null ? null : parseAuthority(serverName, target.port)?.host
  const isAddress = target.host.includes(':') || /^[0-9.]+$/.test(target.host)
  // Clients name nobody when they go to an address (RFC 6066 §3).
  if (named === target.host || (named === null && isAddress)) return 'tls'
  return { denied: `denied: TLS for ${named ?? 'nobody'} in a tunnel to ${target.host}` }
}

function judgeHttp(bytes: Buffer, target: Target, headBytesMax: number): Opening | 'more' {
  const text = bytes.subarray(0, headBytesMax + 4).toString('latin1')
  const mayBeHttp = /^[A-Z-]{1,20}(?:$| (?:[!-~]*$|[!-~]+ (?:H$|HT$|HTT$|HTTP$|HTTP\/)))/.test(text)
  if (!mayBeHttp) return httpPorts.has(target.port) ? { denied: 'denied: no HTTP where HTTP is expected' } : 'other'
  const end = text.search(/\r?\n\r?\n/)
  if (end < 0) return text.length > headBytesMax ? { denied: 'denied: head of a request too large' } : 'more'
  const hosts = [...text.slice(0, end).matchAll(/^host[ \t]*:[ \t]*(.*?)[ \t]*\r?$/gim)].map(match => match[1] ?? '')
  const named = hosts.length === 1 ? parseAuthority(hosts[0]!, 80) : null
  if (named?.host === target.host && (named.port === target.port || !/:\d+$/.test(hosts[0]!))) return 'http'
  return { denied: `denied: HTTP for ${named?.host ?? 'nobody'} in a tunnel to ${target.host}` }
}

/** Reads from the client until its first bytes can be judged. Afterwards the stream is paused. */
export function readFirstBytes(
  world: World,
  socket: Duplex,
  head: Buffer,
  target: Target,
  limits: EgressLimits,
): Promise<{ opening: Opening; bytes: Buffer }> {
  return new Promise(done => {
    let bytes = Buffer.alloc(0)
    let pieces = 0
    // Where the server speaks first, the client may take its time.
    const cancel = expectsTls(target.port)
      ? world.after(limits.headMsMax, () => finish({ denied: 'denied: no TLS in time' }))
      : () => {}
    const finish = (opening: Opening) => {
      cancel()
      socket.off('data', take).off('end', end).off('close', end)
      socket.pause()
      done({ opening, bytes })
    }
    const end = () =>
      finish(bytes.length === 0 && !expectsTls(target.port) ? 'other' : { denied: 'denied: ended before it began' })
    const take = (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
      const opening =
        ++pieces > piecesMax
          ? { denied: 'denied: first bytes in too many pieces' }
          : judgeFirstBytes(bytes, target, limits.headBytesMax)
      if (opening !== 'more') finish(opening)
    }
    socket.on('data', take).once('end', end).once('close', end)
    if (head.length > 0) take(head)
  })
}
