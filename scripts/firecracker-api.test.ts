import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { deriveApi } from './firecracker-api.ts'

const commit = '0123456789abcdef0123456789abcdef01234567'

const published = `
swagger: "2.0"
info: { title: An API, description: Prose., version: 9.9.9 }
paths:
  /drives/{drive_id}:
    put:
      summary: Prose.
      operationId: putDrive
      parameters:
        - { name: drive_id, in: path, required: true, type: string, description: Prose. }
        - { name: body, in: body, required: true, schema: { $ref: "#/definitions/Drive" } }
      responses:
        204: { description: Prose. }
        default: { description: Prose., schema: { $ref: "#/definitions/Error" } }
definitions:
  Drive:
    type: object
    description: Prose.
    required: [drive_id]
    properties:
      drive_id: { type: string, description: Prose., example: prose }
      size: { type: integer, format: int64, minimum: 1, maximum: 9, default: 3 }
      kinds: { type: array, description: Prose., items: { type: string, enum: [A, B], description: Prose. } }
      description: { type: string, description: A field of this name is no prose. }
  Anything: { type: object, additionalProperties: true }
  Error: { type: object, properties: { fault_message: { type: string, readOnly: true } } }
`

it('keeps of a published description what says something of a call, and no prose', () => {
  const api = deriveApi(published, commit)
  assert.ok(!JSON.stringify(api).toLowerCase().includes('prose'))
  assert.deepEqual(api.source.version, '9.9.9')
  assert.deepEqual(api.paths['/drives/{drive_id}']?.['put'], {
    body: { $ref: '#/definitions/Drive' },
    bodyRequired: true,
    responses: { 204: null, default: { $ref: '#/definitions/Error' } },
  })
  assert.deepEqual(api.definitions['Drive'], {
    type: 'object',
    required: ['drive_id'],
    properties: {
      drive_id: { type: 'string' },
      size: { type: 'integer', minimum: 1, maximum: 9, default: 3 },
      kinds: { type: 'array', items: { type: 'string', enum: ['A', 'B'] } },
      description: { type: 'string' },
    },
    additionalProperties: false,
  })
  assert.deepEqual(api.definitions['Anything'], { type: 'object', additionalProperties: true })
})

it('left nothing else in the description that is committed', () => {
  const api = JSON.parse(readFileSync(join(import.meta.dirname, '../spec/firecracker/api.json'), 'utf8'))
  const again = deriveApi(
    JSON.stringify({ swagger: '2.0', info: { version: api.source.version }, paths: {}, definitions: api.definitions }),
    commit,
  )
  assert.deepEqual(again.definitions, api.definitions)
  assert.match(api.source.commit, /^[0-9a-f]{40}$/)
})
