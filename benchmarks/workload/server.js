import { setTimeout as sleep } from 'node:timers/promises'
import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js'

/** Weights of the published mix: how long the server works on a call, and what it answers. */
const weights = {
  fast: { ms: () => 5 + Math.random() * 20, bytes: 256 },
  standard: { ms: () => 100, bytes: 64 * 1024 },
  heavy: { ms: () => 400, bytes: 256 * 1024 },
}
const texts = Object.fromEntries(Object.entries(weights).map(([name, { bytes }]) => [name, 'x'.repeat(bytes)]))

/** Counts from the moment a request was read until its answer is handed over, and says so in the answer. */
class TimedTransport extends StdioServerTransport {
  #arrivals = new Map()

  set onmessage(listener) {
    this.listener = message => {
      if (message.id !== undefined) this.#arrivals.set(message.id, performance.now())
      listener(message)
    }
  }
  get onmessage() {
    return this.listener
  }

  send(message) {
    const began = this.#arrivals.get(message.id)
    this.#arrivals.delete(message.id)
    if (began !== undefined && message.result?.content) message.result._meta = { serverMs: performance.now() - began }
    return super.send(message)
  }
}

const server = new Server({ name: 'maestro-workload', version: '1.0.0' }, { capabilities: { tools: {} } })
server.setRequestHandler(ListToolsRequestSchema, () => ({
  tools: Object.keys(weights).map(name => ({ name, inputSchema: { type: 'object', properties: {} } })),
}))
server.setRequestHandler(CallToolRequestSchema, async ({ params }) => {
  await sleep(weights[params.name].ms())
  return { content: [{ type: 'text', text: texts[params.name] }] }
})
await server.connect(new TimedTransport())
