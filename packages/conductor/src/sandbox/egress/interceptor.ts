import { Agent, createServer, type IncomingMessage, type Server } from 'node:http'
import type { Socket } from 'node:net'
import { type Duplex, duplexPair } from 'node:stream'
import { getCACertificates, TLSSocket, connect as tlsConnect } from 'node:tls'
import type { TapeEvent } from '@maestro/contract'
import type { World } from '../../world.ts'
import { parseAuthority, type Target } from './authority.ts'
import type { Connection } from './connections.ts'
import type { EgressLimits } from './egress-limits.ts'
import { ExchangeNote } from './exchange-note.ts'
import { forward, forwardUpgrade, type Onward, refuse } from './forward.ts'
import type { SessionCa } from './session-ca.ts'

/** One tunnel whose HTTP ends with us. */
interface Tunnel {
  scheme: 'http' | 'https'
  target: Target
  connection: Connection
  agent: Agent
}

const handshakeMsMax = 10_000

/**
 * Ends the TLS of a sandbox’s connections with certificates of the session’s CA, and speaks TLS of its own with the server outside, whose
 * certificate must be good first: what the sandbox cannot check any more is checked here. HTTP/1.1 is what both sides are offered.
 */
export class Interceptor {
  readonly #parts: InterceptorParts
  readonly #server: Server
  readonly #tunnels = new WeakMap<object, Tunnel>()
  readonly #trusted: string[]

  constructor(parts: InterceptorParts) {
    this.#parts = parts
    this.#trusted = [...trustedHere(), ...parts.trusted]
    this.#server = createServer(
      { maxHeaderSize: parts.limits.headBytesMax, headersTimeout: parts.limits.headMsMax, requestTimeout: 0 },
      (request, response) => {
        const onward = this.#onwardOf(request)
        if (onward) forward(request, response, onward)
        else refuse(response, 421, 'denied: HTTP for another host than the tunnel’s')
      },
    )
    this.#server.keepAliveTimeout = parts.limits.idleMsMax
    this.#server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      const onward = this.#onwardOf(request)
      if (onward) forwardUpgrade(request, socket, head, onward)
      else socket.destroy()
    })
    this.#server.on('clientError', (_error, socket) => socket.destroy())
  }

  /** Takes over a tunnel to `target` whose first bytes were judged and put back into `inner`. Resolves with why it cannot, or null. */
  async takeOver(inner: Socket, outer: Socket, target: Target, connection: Connection, isTls: boolean): Promise<string | null> {
    let first = isTls ? await this.#secure(outer, target.host) : outer
    if (typeof first === 'string') return first
    const secureContext = isTls ? await this.#parts.ca.contextFor(target.host) : null
    if (inner.destroyed) return 'closed inside'
    const front = secureContext
      ? new TLSSocket(inner, { isServer: true, secureContext, ALPNProtocols: ['http/1.1'] })
      : overAgain(inner)
    front.on('error', () => front.destroy())
    const ready = first
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    agent.createConnection = (_options, callback) => {
      if (first === ready && !ready.destroyed) {
        first = ''
        // It was paused when the tunnel turned out to be one for us.
        return ready.resume()
      }
      void this.#again(target, isTls).then(next =>
        typeof next === 'string' ? callback?.(new Error(next), undefined as never) : callback?.(null, next),
      )
      return undefined as never
    }
    front.once('close', () => {
      agent.destroy()
      ready.destroy()
    })
    this.#tunnels.set(front, { scheme: isTls ? 'https' : 'http', target, connection, agent })
    this.#server.emit('connection', front)
    return null
  }

  close(): void {
    this.#server.closeAllConnections()
  }

  async #again(target: Target, isTls: boolean): Promise<Socket | string> {
    const outer = await this.#parts.dial(target)
    return typeof outer === 'string' || !isTls ? outer : this.#secure(outer, target.host)
  }

  /** The certificate is checked as Node checks it: chain, dates, name. */
  #secure(outer: Socket, host: string): Promise<TLSSocket | string> {
    return new Promise(done => {
      const isAddress = /^[0-9.]+$/.test(host) || host.includes(':')
      const secured = tlsConnect({
        socket: outer,
        host,
        ...(isAddress ? {} : { servername: host }),
        ca: this.#trusted,
        ALPNProtocols: ['http/1.1'],
        minVersion: 'TLSv1.2',
      })
      const cancel = this.#parts.world.after(handshakeMsMax, () => secured.destroy())
      secured.once('secureConnect', () => {
        cancel()
        done(secured)
      })
      secured.on('error', (error: NodeJS.ErrnoException) => {
        cancel()
        secured.destroy()
        done(`failed: TLS: ${error.code ?? error.message}`)
      })
      secured.once('close', () => {
        cancel()
        done('failed: TLS: closed')
      })
    })
  }

  #onwardOf(request: IncomingMessage): Onward | null {
    const tunnel = this.#tunnels.get(request.socket)
    const named = tunnel ? parseAuthority(request.headers.host ?? '', tunnel.scheme === 'https' ? 443 : 80) : null
    const path = request.url ?? ''
    if (!tunnel || named?.host !== tunnel.target.host || !path.startsWith('/')) return null
    const { world, mask, report } = this.#parts
    const host = request.headers.host!
    return {
      agent: tunnel.agent,
      host,
      path,
      connection: tunnel.connection,
      headBytesMax: this.#parts.limits.headBytesMax,
      note: new ExchangeNote({
        world,
        request,
        url: `${tunnel.scheme}://${host}${path}`,
        connection: tunnel.connection.id,
        mask,
        report,
      }),
      done: () => {},
    }
  }
}

/** A socket that Node's HTTP server has let go of once, as a stream that it takes again, with what was put back into it. */
function overAgain(inner: Socket): Duplex {
  const [near, far] = duplexPair()
  near.on('error', () => near.destroy())
  inner.pipe(near).pipe(inner)
  inner.once('close', () => far.destroy())
  far.once('close', () => inner.destroySoon())
  return far
}

export interface InterceptorParts {
  ca: SessionCa
  world: World
  limits: EgressLimits
  trusted: readonly string[]
  mask(text: string): string
  report(event: TapeEvent): void
  /** One more connection to where a tunnel leads, judged anew, or why there is none. */
  dial(target: Target): Promise<Socket | string>
}

let trustedOnce: string[] | null = null
/** What Node trusts, and what this system trusts: networks that inspect TLS put their certificate there. */
function trustedHere(): string[] {
  trustedOnce ??= [...new Set([...getCACertificates('default'), ...getCACertificates('system')])]
  return trustedOnce
}
