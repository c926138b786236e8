#!/usr/bin/env node
/** One tool, `echo`, which returns its `message`. No dependencies, so that a benchmark sees the way and not the server. */

const send = (id, result) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id, result })}\n`)
const echo = {
  name: 'echo',
  description: 'Returns the message',
  inputSchema: { type: 'object', properties: { message: { type: 'string' } }, required: ['message'] },
}

function take(line) {
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
}

// Not `readline`: that also splits at U+2028 and U+2029, which JSON may hold.
let rest = ''
process.stdin.setEncoding('utf8').on('data', text => {
  const lines = (rest + text).split('\n')
  rest = lines.pop()
  for (const line of lines) take(line)
})
