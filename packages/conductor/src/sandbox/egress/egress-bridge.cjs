'use strict'
/**
 * Runs inside the sandbox, before the server. The sandbox has no route out; this leads from its own loopback to the socket of
 * Conductor's egress proxy. It decides nothing: the proxy does, on the other side.
 */
const { connect, createServer } = require('node:net')
const { isMainThread } = require('node:worker_threads')

if (isMainThread) {
  const listener = createServer({ allowHalfOpen: true }, inner => {
    const outer = connect({ path: '/run/maestro/egress.sock', allowHalfOpen: true })
    inner.on('error', () => outer.destroy())
    outer.on('error', () => inner.destroy())
    inner.pipe(outer)
    outer.pipe(inner)
  })
  // A child of the server loads this file too and finds the port taken: its parent's bridge serves it.
  listener.on('error', () => {})
  listener.listen(3128, '127.0.0.1')
  listener.unref()
}
