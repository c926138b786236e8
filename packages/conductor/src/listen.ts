import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { ConductorError } from '@maestro/contract'

type Handler = (request: IncomingMessage, response: ServerResponse) => void

/**
 * One port for everything: MCP requests go straight to the gateway, the rest to the API.
 * No request time-out on bodies that stream for hours; a header must come within 15 s.
 */
export function createFrontDoor(gateway: { handles(url: string): boolean; handle: Handler }): (api: Handler) => Server {
  return api =>
    createServer({ requestTimeout: 0, headersTimeout: 15_000, keepAliveTimeout: 65_000, noDelay: true }, (request, response) => {
      if (gateway.handles(request.url ?? '/')) gateway.handle(request, response)
      else api(request, response)
    })
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
