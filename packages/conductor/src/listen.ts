import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { ConductorError } from '@maestro/contract'

type Handler = (request: IncomingMessage, response: ServerResponse) => void

export interface DoorLimits {
  /** How long a client may take to send a whole request, ms, and how often that is looked after. */
  requestMsMax: number
  checkMs: number
  connectionsMax: number
}

/**
 * One port for everything: MCP requests go straight to the gateway, the rest to the API. A header must come within 15 s and a
 * whole request within a minute, whoever sends it; how long an answer streams is not limited. Connections never take all
 * descriptors: tapes and sandboxes need some, and clients without a token must not be able to keep those from them.
 */
export function createFrontDoor(
  gateway: { handles(url: string): boolean; handle: Handler },
  { requestMsMax, checkMs, connectionsMax }: DoorLimits = usualLimits(),
): (api: Handler) => Server {
  return api => {
    const server = createServer(
      {
        requestTimeout: requestMsMax,
        headersTimeout: Math.min(15_000, requestMsMax),
        connectionsCheckingInterval: checkMs,
        keepAliveTimeout: 65_000,
        noDelay: true,
      },
      (request, response) => {
        if (gateway.handles(request.url ?? '/')) gateway.handle(request, response)
        else api(request, response)
      },
    )
    server.maxConnections = connectionsMax
    return server
  }
}

const usualLimits = (): DoorLimits => ({
  requestMsMax: 60_000,
  checkMs: 10_000,
  connectionsMax: Math.min(10_000, Math.floor(descriptorsMax() / 2)),
})

/** How many files and sockets this process may have open; what Linux usually gives where nothing says it. */
function descriptorsMax(): number {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1]
    if (soft !== undefined) return Number(soft)
  } catch {
    // No /proc here.
  }
  return 1024
}

/** Throws `port_busy`. Resolves with the port that was taken. */
export function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE')
        reject(new ConductorError('port_busy', `Port ${port} on ${host} is taken.`, { port }, error))
      else if (error.code === 'EACCES')
        reject(new ConductorError('port_busy', `Port ${port} may not be opened by this user.`, { port }, error))
      else reject(error)
    })
    server.listen(port, host, () => {
      const address = server.address()
      resolve(typeof address === 'object' && address ? address.port : port)
    })
  })
}
