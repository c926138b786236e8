import { type ErrorCode, errorTable, type Route, routes } from '@maestro/contract'

/** The routes as OpenAPI 3.1. Written to `spec/openapi.json` by `npm run generate` and served at /v1/openapi.json. */
export function describeApi(version: string): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const [name, route] of Object.entries(routes) as [string, Route][]) {
    const path = route.path.replace(/:(\w+)/g, '{$1}')
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(name, route) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Maestro Conductor',
      version,
      description: 'Deploy MCP servers, watch and replay their sessions. The MCP endpoints themselves are at /mcp/{deployment}.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    paths,
    components: {
      securitySchemes: {
        operator: {
          type: 'http',
          scheme: 'bearer',
          description: 'The operator key, or a capability token with operator rights.',
        },
        console: { type: 'apiKey', in: 'cookie', name: 'maestro_console' },
      },
      schemas: {
        Problem: {
          type: 'object',
          description: 'RFC 9457 problem details.',
          required: ['type', 'title', 'status', 'code', 'detail', 'hint', 'retry', 'request_id'],
          properties: {
            type: { type: 'string' },
            title: { type: 'string' },
            status: { type: 'integer' },
            code: { type: 'string', enum: Object.keys(errorTable) },
            detail: { type: 'string' },
            hint: { type: 'string' },
            retry: { type: 'string', enum: ['never', 'same', 'later'] },
            request_id: { type: 'string' },
          },
          additionalProperties: { type: ['string', 'number'] },
        },
      },
    },
  }
}

const mediaTypes = {
  json: 'application/json',
  text: 'text/plain',
  ndjson: 'application/x-ndjson',
  sse: 'text/event-stream',
  bytes: 'application/octet-stream',
}

function operation(name: string, route: Route): Record<string, unknown> {
  const hasBody = (route.body as { type?: string }).type !== 'null'
  return {
    operationId: name,
    summary: route.summary,
    ...(route.access === 'operator' ? { security: [{ operator: [] }, { console: [] }] } : { security: [] }),
    parameters: [...parameters('path', route.params), ...parameters('query', route.query)],
    ...(hasBody ? { requestBody: { required: true, content: { 'application/json': { schema: route.body } } } } : {}),
    responses: {
      [route.status]: { description: 'Done.', content: { [mediaTypes[route.produces]]: { schema: route.reply } } },
      ...problems(route),
    },
  }
}

function parameters(where: 'path' | 'query', schema: Route['params']): unknown[] {
  const required = new Set<string>((schema as { required?: string[] }).required ?? [])
  return Object.entries(schema.properties as Record<string, { description?: string }>).map(([name, property]) => ({
    name,
    in: where,
    required: where === 'path' || required.has(name),
    ...(property.description ? { description: property.description } : {}),
    schema: property,
  }))
}

/** One response per status, naming the codes it may carry. */
function problems(route: Route): Record<string, unknown> {
  const codes: ErrorCode[] = [
    'request_malformed',
    'host_denied',
    'internal',
    ...(route.access === 'operator' ? (['operator_required'] as const) : []),
    ...route.errors,
  ]
  const byStatus = Map.groupBy(codes, code => errorTable[code].status)
  return Object.fromEntries(
    [...byStatus].map(([status, group]) => [
      status,
      {
        description: group.join(', '),
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    ]),
  )
}
