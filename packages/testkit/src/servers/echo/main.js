#!/usr/bin/env node
/** One tool, `echo`, which returns its `message`. No dependencies, so that a benchmark sees the way and not the server. */
import { createInterface } from 'node:readline'

const send = (id, result) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id, result })}\n`)
const echo = {
  name: 'echo',
  description: 'Returns the message',
  inputSchema: { type: 'object', properties: { message: { type: 'string' } }, required: ['message'] },
}

createInterface({ input: process.stdin }).on('line', line => {
  const { id, method, params } = JSON.parse(line)
  if (id === undefined) return
  switch (method) {
    case 'tools/call':
      return send(id, { content: [{ type: 'text', text: `Echo: ${params.arguments.message}` }] })
    case 'initialize':
      return send(id, {
        protocolVersion: params.protocolVersion,
        capabilities: { tools: {} },
        serverInfo: { name: 'maestro-testkit-echo', version: '1.0.0' },
      })
    case 'ping':
      return send(id, {})
    case 'tools/list':
      return send(id, { tools: [echo] })
    default:
      process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32601, message: `No method ${method}` } })}\n`)
  }
})
