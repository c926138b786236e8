import assert from 'node:assert/strict'
import test from 'node:test'
import { ConductorError, errorTable } from '@maestro/contract'
import { problemFrom } from './client.ts'
import { reportError } from './report-error.ts'
import { UsageError } from './usage-error.ts'

test('an error says what happened, what to do, its code and the request', () => {
  const { exitCode, lines } = reportError(
    new ConductorError('session_not_found', 'There is no session x.', { request_id: 'req_1' }),
    false,
  )
  assert.equal(exitCode, 1)
  assert.deepEqual(lines, [
    'maestro: There is no session x.',
    `  hint: ${errorTable.session_not_found.hint}`,
    '  code: session_not_found   request: req_1',
  ])
})

test('exit codes tell wrong usage, sign-in and denial apart', () => {
  assert.equal(reportError(new UsageError('no'), false).exitCode, 2)
  assert.equal(reportError(new ConductorError('source_invalid', 'no'), false).exitCode, 2)
  assert.equal(reportError(new ConductorError('operator_required', 'no'), false).exitCode, 4)
  assert.equal(reportError(new ConductorError('capability_insufficient', 'no'), false).exitCode, 5)
  assert.equal(reportError(new TypeError('no'), false).exitCode, 1)
})

test('a stack is shown only where it was asked for, causes included', () => {
  const error = new ConductorError('internal', 'no', {}, new Error('deeper'))
  assert.ok(!reportError(error, false).lines.some(line => / at /.test(line)))
  const debugged = reportError(error, true).lines.join('\n')
  assert.match(debugged, /at .*report-error\.test\.ts/)
  assert.match(debugged, /caused by Error: deeper/)
})

test('control characters of an error do not reach the terminal', () => {
  assert.doesNotMatch(reportError(new ConductorError('internal', '\u001b[2J'), false).lines.join(''), /\u001b/)
})

test('a problem of the API becomes the error it was; anything else is not a Conductor', () => {
  const problem = problemFrom(
    404,
    JSON.stringify({ code: 'deployment_not_found', detail: 'There is none.', request_id: 'req_2' }),
  )
  assert.equal(problem.code, 'deployment_not_found')
  assert.equal(problem.facts['request_id'], 'req_2')
  for (const body of ['<html>', '{"code":"made_up","detail":"x"}', '{"code":"toString"}', 'null']) {
    assert.equal(problemFrom(500, body).code, 'conductor_unreachable', body)
  }
})
