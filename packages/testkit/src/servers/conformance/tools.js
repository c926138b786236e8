import { setTimeout as sleep } from 'node:timers/promises'
import { CreateMessageResultSchema, ElicitResultSchema, ListRootsResultSchema } from '@modelcontextprotocol/sdk/types.js'
import { png, wav } from './media.js'

const nothing = { type: 'object', properties: {} }
const one = (name, description) => ({
  type: 'object',
  properties: { [name]: { type: 'string', description } },
  required: [name],
})
const text = words => ({ type: 'text', text: words })
const embedded = (uri, mimeType, words) => ({ type: 'resource', resource: { uri, mimeType, text: words } })
const image = { type: 'image', data: png, mimeType: 'image/png' }

/** Asks the client's user on the stream of the running call. */
const elicit = (extra, message, properties, required = []) =>
  extra.sendRequest(
    { method: 'elicitation/create', params: { message, requestedSchema: { type: 'object', properties, required } } },
    ElicitResultSchema,
  )
const completed = ({ action, content }) => [
  text(`Elicitation completed: action=${action}, content=${JSON.stringify(content ?? {})}`),
]
const titled = (...names) => names.map((title, index) => ({ const: `value${index + 1}`, title }))

/** Each tool: what it is called, what it takes, what it does. `call` gets the arguments and where it runs. */
export const tools = [
  {
    name: 'test_simple_text',
    description: 'Returns one text',
    inputSchema: nothing,
    call: () => ({ content: [text('This is a simple text response for testing.')] }),
  },
  {
    name: 'test_image_content',
    description: 'Returns one image',
    inputSchema: nothing,
    call: () => ({ content: [image] }),
  },
  {
    name: 'test_audio_content',
    description: 'Returns one sound',
    inputSchema: nothing,
    call: () => ({ content: [{ type: 'audio', data: wav, mimeType: 'audio/wav' }] }),
  },
  {
    name: 'test_embedded_resource',
    description: 'Returns a resource in its result',
    inputSchema: nothing,
    call: () => ({ content: [embedded('test://embedded-resource', 'text/plain', 'This is an embedded resource content.')] }),
  },
  {
    name: 'test_multiple_content_types',
    description: 'Returns text, image and resource together',
    inputSchema: nothing,
    call: () => ({
      content: [
        text('Multiple content types test:'),
        image,
        embedded('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}'),
      ],
    }),
  },
  {
    name: 'test_tool_with_logging',
    description: 'Logs three times while it works',
    inputSchema: nothing,
    async call(_, { extra }) {
      for (const [index, data] of ['Tool execution started', 'Tool processing data', 'Tool execution completed'].entries()) {
        if (index > 0) await sleep(50)
        await extra.sendNotification({ method: 'notifications/message', params: { level: 'info', logger: 'fixture', data } })
      }
      return { content: [text('Logged three times')] }
    },
  },
  {
    name: 'test_error_handling',
    description: 'Always fails',
    inputSchema: nothing,
    call() {
      throw new Error('This tool intentionally returns an error for testing')
    },
  },
  {
    name: 'test_tool_with_progress',
    description: 'Reports progress where it was asked to',
    inputSchema: nothing,
    async call(_, { extra, progressToken }) {
      for (const progress of [0, 50, 100]) {
        if (progress > 0) await sleep(50)
        if (progressToken === undefined) continue
        await extra.sendNotification({ method: 'notifications/progress', params: { progressToken, progress, total: 100 } })
      }
      return { content: [text('Done')] }
    },
  },
  {
    name: 'test_sampling',
    description: 'Asks the client’s model',
    inputSchema: one('prompt', 'The prompt to send to the LLM'),
    async call({ prompt }, { extra }) {
      const reply = await extra.sendRequest(
        {
          method: 'sampling/createMessage',
          params: { messages: [{ role: 'user', content: text(prompt) }], maxTokens: 100 },
        },
        CreateMessageResultSchema,
      )
      return { content: [text(`LLM response: ${reply.content.text ?? JSON.stringify(reply.content)}`)] }
    },
  },
  {
    name: 'test_elicitation',
    description: 'Asks the client’s user',
    inputSchema: one('message', 'The message to show the user'),
    async call({ message }, { extra }) {
      const properties = {
        username: { type: 'string', description: "User's response" },
        email: { type: 'string', description: "User's email address" },
      }
      const { action, content } = await elicit(extra, message, properties, ['username', 'email'])
      return { content: [text(`User response: action: ${action}, content: ${JSON.stringify(content ?? {})}`)] }
    },
  },
  {
    name: 'test_elicitation_sep1034_defaults',
    description: 'Asks with a default for each primitive type',
    inputSchema: nothing,
    async call(_, { extra }) {
      const reply = await elicit(extra, 'Please review the proposed values', {
        name: { type: 'string', description: 'Name', default: 'John Doe' },
        age: { type: 'integer', description: 'Age', default: 30 },
        score: { type: 'number', description: 'Score', default: 95.5 },
        status: { type: 'string', description: 'Status', enum: ['active', 'inactive', 'pending'], default: 'active' },
        verified: { type: 'boolean', description: 'Verified', default: true },
      })
      return { content: completed(reply) }
    },
  },
  {
    name: 'test_elicitation_sep1330_enums',
    description: 'Asks with each form of enumeration',
    inputSchema: nothing,
    async call(_, { extra }) {
      const options = ['option1', 'option2', 'option3']
      const reply = await elicit(extra, 'Please choose', {
        untitledSingle: { type: 'string', enum: options },
        titledSingle: { type: 'string', oneOf: titled('First Option', 'Second Option', 'Third Option') },
        legacyEnum: {
          type: 'string',
          enum: ['opt1', 'opt2', 'opt3'],
          enumNames: ['Option One', 'Option Two', 'Option Three'],
        },
        untitledMulti: { type: 'array', items: { type: 'string', enum: options } },
        titledMulti: { type: 'array', items: { anyOf: titled('First Choice', 'Second Choice', 'Third Choice') } },
      })
      return { content: completed(reply) }
    },
  },
  {
    name: 'json_schema_2020_12_tool',
    description: 'Carries the keywords of JSON Schema 2020-12 that are easily lost',
    inputSchema: {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'object',
      $defs: {
        address: {
          $anchor: 'addressDef',
          type: 'object',
          properties: { street: { type: 'string' }, city: { type: 'string' } },
        },
      },
      properties: {
        name: { type: 'string' },
        address: { $ref: '#/$defs/address' },
        contactMethod: { type: 'string', enum: ['phone', 'email'] },
        phone: { type: 'string' },
        email: { type: 'string' },
      },
      allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
      if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
      // biome-ignore lint/suspicious/noThenProperty: the keyword of JSON Schema is meant.
      then: { required: ['phone'] },
      else: { required: ['email'] },
      additionalProperties: false,
    },
    call: args => ({ content: [text(JSON.stringify(args))] }),
  },
  {
    name: 'touch_watched_resource',
    description: 'Tells subscribers that the watched resource changed',
    inputSchema: nothing,
    async call(_, { server, watched }) {
      const uri = 'test://watched-resource'
      if (watched.has(uri)) await server.sendResourceUpdated({ uri })
      return { content: [text(watched.has(uri) ? 'told' : 'nobody watches')] }
    },
  },
  {
    name: 'list_roots',
    description: 'Asks the client for its roots',
    inputSchema: nothing,
    async call(_, { extra }) {
      const { roots } = await extra.sendRequest({ method: 'roots/list' }, ListRootsResultSchema)
      return { content: [text(JSON.stringify(roots))] }
    },
  },
  {
    name: 'wait_until_cancelled',
    description: 'Works until the call is cancelled; `was_cancelled` says whether that came through',
    inputSchema: nothing,
    async call(_, { extra, cancellations }) {
      await new Promise(resolve => extra.signal.addEventListener('abort', resolve, { once: true }))
      cancellations.push(String(extra.requestId))
      return { content: [] }
    },
  },
  {
    name: 'was_cancelled',
    description: 'How many calls were cancelled',
    inputSchema: nothing,
    call: (_, { cancellations }) => ({ content: [text(String(cancellations.length))] }),
  },
]
