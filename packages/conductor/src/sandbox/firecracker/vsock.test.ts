import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { quietWorld } from '../testing/specimen.ts'
import { awaitVsock, connectVsock } from './vsock.ts'

async function against(answer: (socket: Socket, attempt: number) => void, use: (path: string) => Promise<void>) {
  const path = join(tmpdir(), `vsock-test-${process.pid}-${Math.random().toString(36).slice(2)}.sock`)
  let attempts = 0
  const server = createServer(socket => {
    socket.on('error', () => {})
    answer(socket, attempts++)
  }).listen(path)
  await once(server, 'listening')
  try {
    await use(path)
  } finally {
    server.close()
  }
}

const world = quietWorld()

describe('a vsock connection from the host', () => {
  it('names the port, and hands over what follows the greeting', () =>
    against(
      socket =>
        socket.once('data', line => {
          assert.equal(String(line), 'CONNECT 5000\n')
          socket.write('OK 1073')
          setTimeout(() => socket.write('741824\nfirst '), 5)
          setTimeout(() => socket.end('second'), 10)
        }),
      async path => {
        const link = await connectVsock(path, 5000, 1000, world)
        await new Promise(done => setTimeout(done, 5))
        let text = ''
        link.on('data', chunk => {
          text += chunk
        })
        await once(link, 'end')
        assert.equal(text, 'first second')
      },
    ))

  it('fails where nobody listens, where the answer is none, and where there is no answer', async () => {
    await against(
      socket => socket.end(),
      path => assert.rejects(connectVsock(path, 5000, 1000, world), /nobody listens on port 5000/),
    )
    for (const greeting of ['NO\n', 'OK\n', 'OK 12 34\n', `OK ${'1'.repeat(40)}`, '\n']) {
      await against(
        socket => socket.write(greeting),
        path => assert.rejects(connectVsock(path, 5000, 1000, world), /no vsock greeting/, greeting),
      )
    }
    await against(
      () => {},
      path => assert.rejects(connectVsock(path, 5000, 30, world), /no greeting/),
    )
    await assert.rejects(connectVsock('/nowhere.sock', 5000, 1000, world), { code: 'ENOENT' })
  })

  it('tries again until the guest listens, but not when the machine has ended', async () => {
    const signal = new AbortController().signal
    await against(
      (socket, attempt) => (attempt < 3 ? socket.end() : socket.write('OK 1\n')),
      async path => {
        const link = await awaitVsock(path, 5000, world, { msMax: 2000, signal })
        link.destroy()
      },
    )
    await against(
      socket => socket.end(),
      async path => {
        await assert.rejects(awaitVsock(path, 5000, world, { msMax: 200, signal }), /nobody listens|no greeting/)
        const begun = performance.now()
        const ended = AbortSignal.timeout(20)
        await assert.rejects(awaitVsock(path, 5000, world, { msMax: 60_000, signal: ended }))
        assert.ok(performance.now() - begun < 5000)
      },
    )
  })
})
