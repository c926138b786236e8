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

/** Room for the time in an answer that is already text. */
const place = '"serverMs":"0000000.000"'

/** Says in each answer how long it took, from the bytes of the request to the bytes of the answer: parsing and writing JSON is the server's own. */
class TimedTransport extends StdioServerTransport {
  #readMs = 0
  #arrivals = new Map()

  async start() {
    // Listens before the transport does, so it sees the bytes first.
    process.stdin.on('data', () => {
      this.#readMs = performance.now()
    })
    await super.start()
  }

  set onmessage(listener) {
    this.listener = message => {
      if (message.id !== undefined) this.#arrivals.set(message.id, this.#readMs)
      listener(message)
    }
  }
  get onmessage() {
    return this.listener
  }

  async send(message) {
    const began = this.#arrivals.get(message.id)
    this.#arrivals.delete(message.id)
    if (began === undefined || !message.result?.content) return await super.send(message)
    message.result._meta = { serverMs: '0000000.000' }
    const line = `${JSON.stringify(message)}\n`
    process.stdout.write(line.replace(place, `"serverMs":"${(performance.now() - began).toFixed(3).padStart(11, '0')}"`))
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
