/** The part of JSON Schema that a form can show; everything else is typed as JSON. */
export interface Schema {
  type?: string | string[]
  title?: string
  description?: string
  enum?: unknown[]
  const?: unknown
  default?: unknown
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  format?: string
}

export type FieldKind = 'text' | 'number' | 'integer' | 'boolean' | 'choice' | 'object' | 'list' | 'json'

const isObject = (value: unknown): value is Record<string, unknown> =>
  value !== null && typeof value === 'object' && !Array.isArray(value)

/** Schemas come from servers: whatever stands there, this answers with one. */
export function schemaOf(value: unknown): Schema {
  return isObject(value) ? (value as Schema) : {}
}

export function fieldKind(schema: Schema): FieldKind {
  if (Array.isArray(schema.enum) && schema.enum.length > 0 && schema.enum.every(option => !isObject(option))) return 'choice'
  // `["string", "null"]` is a string that may be left out.
  const types = (Array.isArray(schema.type) ? schema.type : [schema.type]).filter(type => type !== 'null')
  switch (types.length === 1 ? types[0] : undefined) {
    case 'string':
      return 'text'
    case 'number':
      return 'number'
    case 'integer':
      return 'integer'
    case 'boolean':
      return 'boolean'
    case 'object':
      return isObject(schema.properties) && Object.keys(schema.properties).length > 0 ? 'object' : 'json'
    case 'array':
      return isObject(schema.items) && ['text', 'number', 'integer', 'choice'].includes(fieldKind(schema.items)) ? 'list' : 'json'
    default:
      return 'json'
  }
}

/** What a form starts with: defaults, and nothing for the rest. */
export function startOf(schema: Schema): unknown {
  if (schema.default !== undefined) return schema.default
  if (schema.const !== undefined) return schema.const
  if (fieldKind(schema) !== 'object') return undefined
  const entries = Object.entries(schema.properties ?? {}).map(([name, part]) => [name, startOf(schemaOf(part))] as const)
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined))
}

/** Names of required values that are not there, as paths. */
export function missingIn(schema: Schema, value: unknown, path = ''): string[] {
  if (fieldKind(schema) !== 'object') return []
  const fields = isObject(value) ? value : {}
  const required = Array.isArray(schema.required) ? schema.required : []
  return Object.entries(schema.properties ?? {}).flatMap(([name, part]) => {
    const here = path ? `${path}.${name}` : name
    if (fields[name] === undefined) {
      return required.includes(name) && fieldKind(schemaOf(part)) !== 'object'
        ? [here]
        : required.includes(name)
          ? missingIn(schemaOf(part), {}, here)
          : []
    }
    return missingIn(schemaOf(part), fields[name], here)
  })
}
