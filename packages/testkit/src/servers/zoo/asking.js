/** Asks the client before it answers: each request a server may make. */
export const animal = {
  tools: {
    roots: async (_, wire) => JSON.stringify((await wire.ask('roots/list', {})).roots),
    sample: async ({ prompt = 'hello' }, wire) => {
      const messages = [{ role: 'user', content: { type: 'text', text: prompt } }]
      const reply = await wire.ask('sampling/createMessage', { messages, maxTokens: 16 })
      return reply.content.text
    },
    elicit: async ({ message = 'Name?' }, wire) => {
      const requestedSchema = { type: 'object', properties: { name: { type: 'string' } } }
      const reply = await wire.ask('elicitation/create', { message, requestedSchema })
      return `${reply.action} ${JSON.stringify(reply.content ?? {})}`
    },
    unheard: async (_, wire) => {
      const reply = await wire.ask('x-zoo/unheard-of', { any: 'thing' }).catch(error => error.message)
      return JSON.stringify(reply)
    },
  },
}
