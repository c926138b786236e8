/**
 * What Firecracker accepts, from its description (spec/firecracker/api.json) and, for the order of calls, from its documentation:
 * which calls belong before the start of the machine, which after, and what a snapshot wants. Knows nothing of our client.
 */
import { readFileSync } from 'node:fs'
import { Ajv, type ValidateFunction } from 'ajv'

interface Description {
  paths: Record<string, Record<string, { body?: object; bodyRequired?: boolean; responses: Record<string, object | null> }>>
  definitions: Record<string, object>
}

export const description = JSON.parse(
  readFileSync(new URL('../../../../../../spec/firecracker/api.json', import.meta.url), 'utf8'),
) as Description

/** A call that is refused; the message goes out as `fault_message`. */
export class Fault extends Error {
  override readonly name = 'Fault'
}

export interface Call {
  /** As the description names it, such as `PUT /drives/{drive_id}`. */
  operation: string
  body: Record<string, unknown>
}

const ajv = new Ajv({ strict: false, allErrors: false })
ajv.addSchema({ $id: 'firecracker', definitions: description.definitions })

const validators = new Map<string, ValidateFunction>()

/** Reads a call as the API’s thread does, before the machine hears of it. Throws `Fault`. */
export function readCall(method: string, path: string, text: string): Call {
  const found = findOperation(method, path)
  if (!found) throw new Fault(`Invalid request method and/or path: ${method} ${path}.`)
  const { operation, schema, required, ids } = found
  if (!schema) {
    if (text !== '') throw new Fault(`${method} request cannot have a body.`)
    return { operation, body: {} }
  }
  if (text === '') {
    if (required) throw new Fault('Empty PUT request.')
    return { operation, body: {} }
  }
  const body = parse(text)
  let validate = validators.get(operation)
  if (!validate) {
    validate = ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/definitions/', '"firecracker#/definitions/')))
    validators.set(operation, validate)
  }
  if (!validate(body))
    throw new Fault(`The request body is not accepted: ${ajv.errorsText(validate.errors, { dataVar: 'body' })}`)
  for (const [name, value] of ids) {
    if (body[name] !== value)
      throw new Fault(`The id from the path [${value}] does not match the id from the body [${body[name]}]!`)
  }
  return { operation, body }
}

/** Checks an answer of the model itself: a server that does not keep to the description proves nothing. */
export function checkAnswer(operation: string, status: number, body: unknown): void {
  const [method, path] = operation.split(' ') as [string, string]
  const responses = description.paths[path]![method.toLowerCase()]!.responses
  const schema = responses[status] !== undefined ? responses[status] : responses['default']
  if (schema === null) return
  const validate = ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/definitions/', '"firecracker#/definitions/')))
  if (!validate(body))
    throw new Error(`${operation} answers ${status} against its description: ${ajv.errorsText(validate.errors)}`)
}

function findOperation(method: string, path: string) {
  for (const [template, methods] of Object.entries(description.paths)) {
    const names = [...template.matchAll(/\{(\w+)\}/g)].map(match => match[1]!)
    const match = new RegExp(`^${template.replaceAll(/\{\w+\}/g, '(\\w+)')}$`).exec(path)
    const facts = methods[method.toLowerCase()]
    if (!match || !facts) continue
    return {
      operation: `${method} ${template}`,
      schema: facts.body,
      required: facts.bodyRequired ?? false,
      ids: names.map((name, index) => [name, match[index + 1]!] as const),
    }
  }
  return null
}

function parse(text: string): Record<string, unknown> {
  try {
    const body: unknown = JSON.parse(text)
    if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Record<string, unknown>
  } catch {
    // Said below.
  }
  throw new Fault('An error occurred when deserializing the json body of a request.')
}

/** Where the machine is: nothing of it yet, running, or held. */
export type State = 'Not started' | 'Running' | 'Paused'

const beforeOnly = new Set([
  ...[
    'PUT /boot-source',
    'PUT /machine-config',
    'PATCH /machine-config',
    'PUT /cpu-config',
    'PUT /drives/{drive_id}',
    'PUT /pmem/{id}',
  ],
  ...[
    'PUT /network-interfaces/{iface_id}',
    'PUT /vsock',
    'PUT /entropy',
    'PUT /balloon',
    'PUT /mmds/config',
    'PUT /hotplug/memory',
  ],
  ...['PUT /logger', 'PUT /metrics', 'PUT /serial', 'PUT /snapshot/load', 'PUT /actions InstanceStart'],
])
const afterOnly = new Set([
  ...[
    'PATCH /vm',
    'PUT /snapshot/create',
    'PUT /actions FlushMetrics',
    'PUT /actions SendCtrlAltDel',
    'PATCH /drives/{drive_id}',
  ],
  ...[
    'PATCH /pmem/{id}',
    'PATCH /network-interfaces/{iface_id}',
    'PATCH /balloon',
    'GET /balloon/statistics',
    'PATCH /balloon/statistics',
  ],
  ...['GET /hotplug/memory', 'PATCH /hotplug/memory'],
])
/** Of what belongs before the start, these alone do not make the process one that boots. */
const besideBoot = new Set([
  'PUT /logger',
  'PUT /metrics',
  'PUT /serial',
  'PUT /cpu-config',
  'PUT /snapshot/load',
  'PUT /actions InstanceStart',
])

/** The order of calls. */
export class Order {
  state: State = 'Not started'
  #boots = false

  /** Throws `Fault` for a call that does not belong here. */
  admit({ operation, body }: Call): void {
    const name = operation === 'PUT /actions' ? `${operation} ${body['action_type']}` : operation
    if (this.state === 'Not started' && afterOnly.has(name)) {
      throw new Fault('The requested operation is not supported before starting the microVM.')
    }
    if (this.state !== 'Not started' && beforeOnly.has(name)) {
      throw new Fault('The requested operation is not supported after starting the microVM.')
    }
    if (name === 'PUT /snapshot/load') {
      if (this.#boots) throw new Fault('Loading a microVM snapshot not allowed after configuring boot-specific resources.')
      if ('mem_backend' in body === 'mem_file_path' in body)
        throw new Fault('One of mem_backend and mem_file_path must be given.')
    }
    if (name === 'PUT /snapshot/create' && this.state !== 'Paused') {
      throw new Fault('Create snapshot error: the microVM must be paused.')
    }
    if (beforeOnly.has(name) && !besideBoot.has(name)) this.#boots = true
  }
}
