import { onLine } from './lines.js'

/**
 * Serves one animal over stdio, by hand. An animal has `tools` (name → what the call returns) and may answer more
 * methods in `methods`. Both get `(params, wire)`; a wire sends notifications and asks the client.
 */
export function serve(name, { tools, methods = {} }) {
  const asked = new Map()
  const send = message => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
  const wire = {
    notify: (method, params) => send({ method, params }),
    ask: (method, params) =>
      new Promise((resolve, reject) => {
        const id = asked.size + 1
        asked.set(id, { resolve, reject })
        send({ id, method, params })
      }),
  }
  const answers = {
    initialize: ({ protocolVersion }) => ({
      protocolVersion,
      capabilities: { tools: {} },
      serverInfo: { name: `maestro-testkit-zoo-${name}`, version: '1.0.0' },
    }),
    ping: () => ({}),
    'tools/list': () => ({ tools: Object.keys(tools).map(describe) }),
    'tools/call': async (params, wire) => {
      const result = await tools[params.name]?.(params.arguments ?? {}, wire, params._meta ?? {})
      if (result === undefined) throw new Error(`No tool ${params.name}`)
      return { content: [{ type: 'text', text: String(result) }] }
    },
    ...methods,
  }

  onLine(process.stdin, async line => {
    const message = JSON.parse(line)
    if (message.method === undefined) {
      const { resolve, reject } = asked.get(message.id)
      return message.error ? reject(new Error(message.error.message)) : resolve(message.result)
    }
    if (message.id === undefined) return
    const answer = answers[message.method]
    if (!answer) return send({ id: message.id, error: { code: -32601, message: `No method ${message.method}` } })
    try {
      send({ id: message.id, result: await answer(message.params ?? {}, wire) })
    } catch (error) {
      send({ id: message.id, error: { code: -32602, message: error.message } })
    }
  })
}

export const describe = name => ({
  name,
  description: `The tool ${name}`,
  inputSchema: { type: 'object', properties: {}, additionalProperties: true },
})
