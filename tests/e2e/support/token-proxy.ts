import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface TokenProxy extends AsyncDisposable {
  /** Same path as the target, other port. */
  readonly url: string
}

/**
 * For clients that cannot send a token: an HTTP proxy on 127.0.0.1 that adds the Authorization header and changes
 * nothing else. Where Host or Origin name the proxy they come to name the target, as the client meant; where they name
 * somebody else (which is what a test of DNS rebinding does) they pass untouched.
 */
export async function openTokenProxy(target: string, token: string | null): Promise<TokenProxy> {
  const { hostname, port, host, pathname } = new URL(target)
  const server = createServer((inward, outward) => {
    const own = `127.0.0.1:${(server.address() as AddressInfo).port}`
    const headers = { ...inward.headers }
    if (headers.host === own || headers.host === own.replace('127.0.0.1', 'localhost')) headers.host = host
    if (headers.origin === `http://${own}`) headers.origin = `http://${host}`
    if (token !== null) headers.authorization = `Bearer ${token}`
    const forward = request({ hostname, port, path: inward.url, method: inward.method, headers }, answer => {
      outward.writeHead(answer.statusCode ?? 502, answer.headers)
      outward.flushHeaders()
      answer.pipe(outward)
      answer.on('error', () => outward.destroy())
    })
    forward.on('error', () => outward.destroy())
    outward.on('close', () => forward.destroy())
    inward.pipe(forward)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${pathname}`,
    [Symbol.asyncDispose]: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
