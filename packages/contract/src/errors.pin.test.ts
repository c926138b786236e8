/** Codes and statuses are what programs match on. A line here changes only when a line is added. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { ConductorError, type ErrorFacts, errorTable, problemOf, rpcErrorOf } from './errors.ts'

const pinned: Record<string, [status: number, rpc: number, exit: number]> = {
  request_malformed: [400, -32600, 2],
  frame_malformed: [400, -32700, 1],
  frame_invalid: [400, -32600, 1],
  frame_too_large: [413, -32600, 1],
  content_type_unsupported: [415, -32600, 1],
  accept_unsupported: [406, -32600, 1],
  method_not_allowed: [405, -32600, 1],
  protocol_version_unsupported: [400, -32600, 1],
  header_mismatch: [400, -32020, 1],
  origin_denied: [403, -32600, 5],
  host_denied: [403, -32600, 5],
  not_found: [404, -32601, 1],
  conflict: [409, -32600, 1],
  capability_missing: [401, -32001, 4],
  capability_invalid: [401, -32001, 4],
  capability_expired: [401, -32001, 4],
  capability_insufficient: [403, -32003, 5],
  operator_required: [401, -32001, 4],
  deployment_not_found: [404, -32004, 1],
  release_not_found: [404, -32004, 1],
  session_not_found: [404, -32004, 1],
  replay_not_found: [404, -32004, 1],
  secret_not_found: [404, -32004, 1],
  source_invalid: [400, -32602, 2],
  package_not_found: [404, -32602, 1],
  package_integrity_failed: [422, -32602, 1],
  package_not_runnable: [422, -32602, 1],
  install_failed: [502, -32603, 1],
  runtime_missing: [503, -32012, 1],
  manifest_failed: [422, -32603, 1],
  remote_unreachable: [502, -32011, 1],
  pool_exhausted: [503, -32010, 1],
  sandbox_unavailable: [503, -32012, 1],
  image_build_failed: [503, -32012, 1],
  sandbox_start_failed: [502, -32012, 1],
  sandbox_crashed: [502, -32013, 1],
  sandbox_limit_reached: [502, -32014, 1],
  server_timeout: [504, -32015, 1],
  server_garbled: [502, -32016, 1],
  server_refused: [502, -32019, 1],
  session_required: [400, -32600, 1],
  session_closed: [404, -32004, 1],
  session_lost: [404, -32004, 1],
  session_overloaded: [429, -32010, 1],
  stub_miss: [404, -32017, 3],
  recording_unavailable: [507, -32018, 1],
  recording_unreadable: [422, -32602, 1],
  replay_impossible: [422, -32602, 1],
  port_busy: [500, -32603, 1],
  data_locked: [500, -32603, 1],
  config_invalid: [500, -32603, 2],
  store_unavailable: [503, -32603, 1],
  store_incompatible: [500, -32603, 1],
  conductor_unreachable: [503, -32603, 1],
  conductor_draining: [503, -32603, 1],
  internal: [500, -32603, 1],
}

test('no code that was ever there has gone or changed its status, JSON-RPC code or exit code', () => {
  const table: Record<string, ErrorFacts> = errorTable
  for (const [code, [status, rpc, exit]] of Object.entries(pinned)) {
    assert.deepEqual([code, table[code]?.status, table[code]?.rpc, table[code]?.exit], [code, status, rpc, exit])
  }
  assert.deepEqual(
    Object.keys(table).filter(code => !(code in pinned)),
    [],
    'a new code is pinned here too',
  )
})

test('a problem document and a JSON-RPC error say the same thing of the same failure', () => {
  const error = new ConductorError('pool_exhausted', 'All 64 sandboxes are leased.', { retry_after_ms: 250 })
  const problem = problemOf(error, 'req_1')
  assert.equal(problem.status, 503)
  assert.equal(problem['retry_after_ms'], 250)
  assert.equal(problem.request_id, 'req_1')
  assert.deepEqual(rpcErrorOf(error), {
    code: -32010,
    message: 'All 64 sandboxes are leased.',
    data: { code: 'pool_exhausted', hint: errorTable.pool_exhausted.hint, retry: 'later', retry_after_ms: 250 },
  })
})

test('every code is a noun and a state, and its hint is a sentence', () => {
  for (const [code, { hint }] of Object.entries(errorTable)) {
    assert.match(code, /^[a-z]+(_[a-z]+)*$/)
    assert.match(hint, /[.>`]$/)
  }
})
