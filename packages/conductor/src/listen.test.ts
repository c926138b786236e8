import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import test, { type TestContext } from 'node:test'
import { createFrontDoor, type DoorLimits } from './listen.ts'

const roomy: DoorLimits = { requestMsMax: 60_000, checkMs: 10_000, connectionsMax: 100 }

async function open(t: TestContext, limits: Partial<DoorLimits>): Promise<{ dial(text: string): Socket; server: Server }> {
  const gateway = { handles: (url: string) => url.startsWith('/mcp/'), handle: () => {} }
  const server = createFrontDoor(gateway, { ...roomy, ...limits })((request, response) => {
    request.resume().on('end', () => response.end('api'))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const dial = (text: string) => {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(text)
    return socket
  }
  return { dial, server }
}

const head = (path: string, length: number) =>
  `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`

test('who begins a request and does not go on is cut off, on every path', async t => {
  const { dial } = await open(t, { requestMsMax: 100, checkMs: 20 })
  for (const path of ['/v1/sign-in', '/mcp/x']) {
    const socket = dial(`${head(path, 10)}{`)
    socket.resume()
    await once(socket, 'close')
  }
})

test('a whole request may be answered as late as it likes', async t => {
  const { dial, server } = await open(t, { requestMsMax: 50, checkMs: 10 })
  server.removeAllListeners('request')
  server.on('request', (request, response) => {
    request.resume()
    setTimeout(() => response.end('late'), 250)
  })
  const socket = dial(`${head('/v1/x', 2)}{}`)
  const [answer] = await once(socket, 'data')
  assert.match(String(answer), /late/)
})

test('beyond so many connections none is taken, and those that are there go on', async t => {
  const { dial } = await open(t, { connectionsMax: 2 })
  const first = dial('')
  await once(first, 'connect')
  const second = dial('')
  await once(second, 'connect')
  const third = dial(head('/v1/x', 0))
  third.resume()
  await once(third, 'close')
  first.write(head('/v1/x', 0))
  const [answer] = await once(first, 'data')
  assert.match(String(answer), /api/)
})
