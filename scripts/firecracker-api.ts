/**
 * Derives spec/firecracker/api.json from Firecracker's published API description (src/firecracker/swagger/firecracker.yaml of its
 * repository): paths, methods, bodies and responses as data, no prose. Run it when the supported version moves:
 *   node scripts/run.mjs scripts/firecracker-api.ts <firecracker.yaml> <commit>
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'

interface Swagger {
  info: { version: string | number }
  paths: Record<string, Record<string, Operation>>
  definitions: Record<string, Schema>
}
interface Operation {
  parameters?: { name: string; in: string; required?: boolean; schema?: Schema }[]
  responses: Record<string, { schema?: Schema }>
}
type Schema = Record<string, unknown>

/** What says something of a value. The rest (description, example, format of prose, readOnly) is for people. */
const kept = ['$ref', 'type', 'required', 'enum', 'minimum', 'maximum', 'minItems', 'maxItems', 'default', 'additionalProperties']

export function deriveApi(text: string, commit: string) {
  const swagger = parse(text) as Swagger
  return {
    source: {
      repository: 'firecracker-microvm/firecracker',
      path: 'src/firecracker/swagger/firecracker.yaml',
      version: String(swagger.info.version),
      commit,
    },
    paths: mapValues(swagger.paths, methods => mapValues(methods, deriveOperation)),
    definitions: mapValues(swagger.definitions, deriveSchema),
  }
}

function deriveOperation({ parameters = [], responses }: Operation) {
  const body = parameters.find(parameter => parameter.in === 'body')
  return {
    ...(body?.schema ? { body: deriveSchema(body.schema), bodyRequired: body.required ?? false } : {}),
    responses: mapValues(responses, ({ schema }) => (schema ? deriveSchema(schema) : null)),
  }
}

function deriveSchema(schema: Schema): Schema {
  const derived: Schema = {}
  for (const key of kept) if (schema[key] !== undefined) derived[key] = schema[key]
  if (schema['items']) derived['items'] = deriveSchema(schema['items'] as Schema)
  if (schema['properties']) {
    derived['properties'] = mapValues(schema['properties'] as Record<string, Schema>, deriveSchema)
    // The description does not say so, the program does: it refuses a body with a field it does not know.
    derived['additionalProperties'] ??= false
  }
  return derived
}

const mapValues = <From, To>(record: Record<string, From>, map: (value: From) => To): Record<string, To> =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]))

if (import.meta.main) {
  const [file, commit] = process.argv.slice(2)
  if (!file || !/^[0-9a-f]{40}$/.test(commit ?? '')) {
    console.error('Name the description and the commit it is of: scripts/firecracker-api.ts <firecracker.yaml> <commit>')
    process.exitCode = 2
  } else {
    const api = deriveApi(readFileSync(file, 'utf8'), commit!)
    writeFileSync(join(import.meta.dirname, '../spec/firecracker/api.json'), `${JSON.stringify(api, null, 2)}\n`)
    console.error(`wrote spec/firecracker/api.json of ${api.source.version}`)
  }
}
