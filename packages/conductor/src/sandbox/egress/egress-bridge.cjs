'use strict'
/**
 * Runs inside the sandbox. The sandbox has no route out; this leads from its own loopback to the socket of Conductor's egress proxy.
 * It decides nothing: the proxy does, on the other side. It is a process of its own, so that a browser or a `curl` that a server waits
 * for is served while the server's event loop stands still.
 *
 *     node egress-bridge.cjs              listens, then closes descriptor 3: whoever waits for that may start the server
 *     node egress-bridge.cjs inherited    takes the listening socket that is its descriptor 3
 *     node --require egress-bridge.cjs    opens the port in the server at once and gives it to such a process, so that Node need not wait
 */
const { spawn } = require('node:child_process')
const { closeSync } = require('node:fs')
const { connect, createServer } = require('node:net')
const { isMainThread } = require('node:worker_threads')

const address = { port: 3128, host: '127.0.0.1' }

const listener = createServer({ allowHalfOpen: true }, inner => {
  const outer = connect({ path: '/run/maestro/egress.sock', allowHalfOpen: true })
  inner.on('error', () => outer.destroy())
  outer.on('error', () => inner.destroy())
  inner.pipe(outer)
  outer.pipe(inner)
})

if (require.main === module) {
  // Its starter may be gone before it: what it started goes on.
  process.on('SIGHUP', () => {})
  if (process.argv[2] === 'inherited') listener.listen({ fd: 3 })
  else listener.listen(address, () => closeSync(3))
} else if (isMainThread) {
  // A child of the server loads this file too and finds the port taken: the bridge serves it already.
  listener.on('error', () => {})
  listener.listen(address, () => {
    // Until the other process accepts, connections wait in the socket, which is one and the same.
    const bridge = spawn(process.execPath, ['--v8-pool-size=0', __filename, 'inherited'], {
      stdio: ['ignore', 'ignore', 'ignore', listener._handle.fd],
      env: {},
      detached: true,
    })
    // Where no further process may be, the server is its own bridge.
    bridge.once('error', () => {})
    bridge.once('spawn', () => listener.close())
    bridge.unref()
  })
  listener.unref()
}
