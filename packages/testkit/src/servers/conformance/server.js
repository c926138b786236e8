import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import {
  CallToolRequestSchema,
  CompleteRequestSchema,
  ErrorCode,
  GetPromptRequestSchema,
  ListPromptsRequestSchema,
  ListResourcesRequestSchema,
  ListResourceTemplatesRequestSchema,
  ListToolsRequestSchema,
  McpError,
  ReadResourceRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
} from '@modelcontextprotocol/sdk/types.js'
import { prompts } from './prompts.js'
import { readResource, resources, resourceTemplates } from './resources.js'
import { tools } from './tools.js'

/**
 * A server with the tools, prompts and resources the conformance suite calls by name, written from the suite's
 * scenario descriptions. It is the low-level server of the SDK, because schemas must leave it as they were written.
 */
export function openConformanceServer() {
  const server = new Server(
    { name: 'maestro-testkit-conformance', version: '1.0.0' },
    {
      capabilities: { tools: {}, prompts: {}, resources: { subscribe: true }, completions: {}, logging: {} },
      instructions: 'A fixture for the conformance suite.',
    },
  )
  const watched = new Set()
  const cancellations = []

  server.setRequestHandler(ListToolsRequestSchema, () => ({
    tools: tools.map(({ name, description, inputSchema }) => ({ name, description, inputSchema })),
  }))
  server.setRequestHandler(CallToolRequestSchema, async ({ params }, extra) => {
    const tool = tools.find(({ name }) => name === params.name)
    if (!tool) throw new McpError(ErrorCode.InvalidParams, `Unknown tool: ${params.name}`)
    try {
      const progressToken = params._meta?.progressToken
      return await tool.call(params.arguments ?? {}, { server, extra, progressToken, watched, cancellations })
    } catch (error) {
      return { isError: true, content: [{ type: 'text', text: error.message }] }
    }
  })

  server.setRequestHandler(ListPromptsRequestSchema, () => ({
    prompts: prompts.map(({ name, description, arguments: declared }) => ({ name, description, arguments: declared })),
  }))
  server.setRequestHandler(GetPromptRequestSchema, ({ params }) => {
    const prompt = prompts.find(({ name }) => name === params.name)
    if (!prompt) throw new McpError(ErrorCode.InvalidParams, `Unknown prompt: ${params.name}`)
    return { messages: prompt.messages(params.arguments ?? {}) }
  })
  server.setRequestHandler(CompleteRequestSchema, ({ params }) => {
    const values = ['paris', 'park', 'party'].filter(word => word.startsWith(params.argument.value))
    return { completion: { values, total: values.length, hasMore: false } }
  })

  server.setRequestHandler(ListResourcesRequestSchema, () => ({ resources }))
  server.setRequestHandler(ListResourceTemplatesRequestSchema, () => ({ resourceTemplates }))
  server.setRequestHandler(ReadResourceRequestSchema, ({ params }) => {
    const contents = readResource(params.uri)
    if (!contents) throw new McpError(-32002, 'Resource not found', { uri: params.uri })
    return { contents: [contents] }
  })
  server.setRequestHandler(SubscribeRequestSchema, ({ params }) => {
    watched.add(params.uri)
    return {}
  })
  server.setRequestHandler(UnsubscribeRequestSchema, ({ params }) => {
    watched.delete(params.uri)
    return {}
  })
  return server
}
