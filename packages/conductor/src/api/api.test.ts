import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import test from 'node:test'
import { ConductorError, routes } from '@maestro/contract'
import { createApi, type Handlers } from './api.ts'
import { describeApi } from './openapi.ts'

/** Handlers that answer with what they were given; `over` replaces some. */
function apiWith(over: Partial<Record<keyof Handlers, (call: never) => unknown>> = {}, requireOperator = async () => {}) {
  const handlers = Object.fromEntries(
    Object.keys(routes).map(name => [
      name,
      over[name as keyof Handlers] ?? (async ({ params, query, body }: never) => ({ params, query, body })),
    ]),
  )
  return createApi(handlers as never, { server: handler => createServer(handler), requireOperator, checkOrigin: () => {} })
}

test('a route parses path, query and body before its handler runs', async () => {
  const api = apiWith()
  const listed = await api.inject({ url: '/v1/sessions?limit=7&state=ready' })
  assert.deepEqual(listed.json().query, { limit: 7, state: 'ready' })
  const put = await api.inject({ method: 'PUT', url: '/v1/secrets/a-key', payload: { value: 'x' } })
  assert.deepEqual([put.json().params, put.json().body], [{ name: 'a-key' }, { value: 'x' }])
})

test('a body that the contract does not know is refused as a problem that names the member', async () => {
  const answer = await apiWith().inject({ method: 'POST', url: '/v1/deployments', payload: { source: 'x', nmae: 'y' } })
  assert.equal(answer.statusCode, 400)
  assert.match(answer.headers['content-type'] as string, /^application\/problem\+json/)
  assert.equal(answer.json().code, 'request_malformed')
  assert.match(answer.json().detail, /additional properties/)
  assert.equal(answer.json().request_id, answer.headers['x-request-id'])
})

test('broken JSON, a wrong type and a body over the limit each have their code', async () => {
  const api = apiWith()
  const post = (payload: string, type = 'application/json') =>
    api
      .inject({ method: 'POST', url: '/v1/tokens', payload, headers: { 'content-type': type } })
      .then(answer => [answer.statusCode, answer.json().code])
  assert.deepEqual(await post('{"deployment":'), [400, 'request_malformed'])
  assert.deepEqual(await post('x', 'text/plain'), [415, 'content_type_unsupported'])
  assert.deepEqual(await post(JSON.stringify({ deployment: 'x'.repeat(2 ** 21) })), [413, 'frame_too_large'])
})

test('who may not call is refused before the body is looked at; public routes ask nobody', async () => {
  const api = apiWith({}, async () => {
    throw new ConductorError('operator_required', 'Sign in first.')
  })
  const refused = await api.inject({
    method: 'POST',
    url: '/v1/deployments',
    payload: '{',
    headers: { 'content-type': 'application/json' },
  })
  assert.deepEqual([refused.statusCode, refused.json().code], [401, 'operator_required'])
  assert.equal((await api.inject({ url: '/healthz' })).statusCode, 200)
})

test('a failure of ours says so and nothing else; one with a code says what, why and what next', async () => {
  const broken = await apiWith({
    getPool: async () => {
      throw new Error('secret detail')
    },
  }).inject({ url: '/v1/pool' })
  assert.equal(broken.statusCode, 500)
  assert.ok(!broken.body.includes('secret detail'))
  const coded = await apiWith({
    getPool: async () => {
      throw new ConductorError('pool_exhausted', 'All 4 sandboxes are leased.', { retry_after_ms: 50 })
    },
  }).inject({ url: '/v1/pool' })
  assert.deepEqual([coded.statusCode, coded.json().retry_after_ms, coded.json().retry], [503, 50, 'later'])
})

test('what is nowhere is a 404 with a code, not a page', async () => {
  const answer = await apiWith().inject({ url: '/v1/nothing' })
  assert.deepEqual([answer.statusCode, answer.json().code], [404, 'not_found'])
})

test('the description has every route, and every code a route may answer with', () => {
  const { paths } = describeApi('1.2.3') as {
    paths: Record<string, Record<string, { operationId: string; responses: Record<string, { description: string }> }>>
  }
  const operations = Object.values(paths).flatMap(path => Object.values(path))
  assert.deepEqual(operations.map(operation => operation.operationId).sort(), Object.keys(routes).sort())
  const deploy = operations.find(operation => operation.operationId === 'deploy')
  assert.match(deploy!.responses['422']!.description, /package_integrity_failed/)
})
