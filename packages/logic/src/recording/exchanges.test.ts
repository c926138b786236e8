import assert from 'node:assert/strict'
import test from 'node:test'
import type { EndRecord, FrameRecord, TapeEvent, TapeRecord } from '@maestro/contract'
import fc from 'fast-check'
import { exchangesOf } from './exchanges.ts'
import type { Recording } from './read.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)

type Step = ['in' | 'out', unknown] | ['event', TapeEvent]

/** A recording whose records are 1 ms apart. */
function recordingOf(steps: Step[]): Recording {
  const records = steps.map(([what, value], ordinal): TapeRecord => {
    const at = { ordinal, wallUs: ordinal * 1000, monotonicUs: ordinal * 1000 }
    if (what === 'event') return { kind: 'event', ...at, event: value }
    const text = typeof value === 'string' ? value : JSON.stringify({ jsonrpc: '2.0', ...(value as object) })
    return {
      kind: 'frame',
      ...at,
      direction: what === 'in' ? 'inward' : 'outward',
      bytes: new TextEncoder().encode(text),
    } as FrameRecord
  })
  return {
    records,
    end: null as EndRecord | null,
    complete: false,
    tornBytes: 0,
    damage: null,
    eventsUnknown: 0,
    version: 1,
  } as unknown as Recording
}

const call = (id: unknown, name = 'echo', meta = {}): Step => ['in', { id, method: 'tools/call', params: { name, ...meta } }]

test('a call has its tool, its answer and how long the server worked', () => {
  const [row] = exchangesOf(recordingOf([call(1), ['out', { id: 1, result: { content: [] } }]]))
  assert.deepEqual(row, {
    id: 'f0',
    kind: 'request',
    direction: 'inward',
    method: 'tools/call',
    tool: 'echo',
    requestId: 1,
    state: 'ok',
    startUs: 0,
    endUs: 1000,
    frames: [0, 1],
    error: null,
    spans: [{ kind: 'working', startUs: 0, endUs: 1000 }],
    children: [],
  })
})

test('an error of the server, an error of a tool, and no answer at all are three states', () => {
  const rows = exchangesOf(
    recordingOf([
      call(1),
      ['out', { id: 1, error: { code: -32602, message: 'no' } }],
      call(2),
      ['out', { id: 2, result: { isError: true, content: [] } }],
      call(3),
    ]),
  )
  assert.deepEqual(
    rows.map(row => [row.state, row.error, row.endUs]),
    [
      ['error', { code: -32602, message: 'no' }, 1000],
      ['tool_error', null, 3000],
      ['open', null, null],
    ],
  )
})

test('the ids 1 and "1" are two requests', () => {
  const rows = exchangesOf(recordingOf([call(1), call('1'), ['out', { id: '1', result: {} }], ['out', { id: 1, result: {} }]]))
  assert.deepEqual(
    rows.map(row => row.frames),
    [
      [0, 3],
      [1, 2],
    ],
  )
})

test('progress goes to the request that gave its token, other notices to the newest open one', () => {
  const rows = exchangesOf(
    recordingOf([
      call(1, 'slow', { _meta: { progressToken: 'p' } }),
      call(2, 'quick'),
      ['out', { method: 'notifications/progress', params: { progressToken: 'p', progress: 1 } }],
      ['out', { method: 'notifications/message', params: {} }],
      ['out', { id: 2, result: {} }],
      ['out', { id: 1, result: {} }],
      ['out', { method: 'notifications/tools/list_changed' }],
    ]),
  )
  assert.deepEqual(
    rows.map(row => [row.tool ?? row.method, row.children.map(child => child.method)]),
    [
      ['slow', ['notifications/progress']],
      ['quick', ['notifications/message']],
      ['notifications/tools/list_changed', []],
    ],
  )
})

test('a subscription of the stateless era owns what bears its id', () => {
  const rows = exchangesOf(
    recordingOf([
      ['in', { id: 9, method: 'subscriptions/listen', params: {} }],
      call(10),
      ['out', { method: 'notifications/tools/list_changed', params: { _meta: { 'io.modelcontextprotocol/subscriptionId': 9 } } }],
      ['out', { id: 10, result: {} }],
    ]),
  )
  assert.deepEqual(
    rows.map(row => row.children.length),
    [1, 0],
  )
})

test('while the server asks the client, the call waits for the client and not the server', () => {
  const [row] = exchangesOf(
    recordingOf([
      call(1),
      ['out', { id: 0, method: 'elicitation/create', params: {} }],
      ['in', { id: 0, result: { action: 'accept' } }],
      ['out', { id: 1, result: {} }],
      ['event', { name: 'client.received', frame: 3 }],
    ]),
  )
  assert.deepEqual(row?.spans, [
    { kind: 'working', startUs: 0, endUs: 1000 },
    { kind: 'asking', startUs: 1000, endUs: 2000 },
    { kind: 'working', startUs: 2000, endUs: 3000 },
    { kind: 'delivering', startUs: 3000, endUs: 4000 },
  ])
  assert.deepEqual(row?.children[0]?.spans, [{ kind: 'asking', startUs: 1000, endUs: 2000 }])
})

test('the wait for a sandbox is the first request’s, also when it began before the tape', () => {
  const [row] = exchangesOf(
    recordingOf([
      ['event', { name: 'lease.granted', warm: false, waitMs: 40, startMs: 39 }],
      ['in', { id: 0, method: 'initialize' }],
      ['out', { id: 0, result: {} }],
    ]),
  )
  assert.deepEqual(row?.spans, [
    { kind: 'waiting', startUs: -40_000, endUs: 0 },
    { kind: 'working', startUs: 1000, endUs: 2000 },
  ])
})

test('a cancelled call stays cancelled when its answer crosses the cancellation', () => {
  const rows = exchangesOf(
    recordingOf([
      call(1),
      ['in', { method: 'notifications/cancelled', params: { requestId: 1 } }],
      ['out', { id: 1, result: {} }],
      call(2),
      ['event', { name: 'client.gone', request: '2' }],
    ]),
  )
  assert.deepEqual(
    rows.map(row => [row.state, row.children.length]),
    [
      ['cancelled', 1],
      ['cancelled', 0],
    ],
  )
})

test('a denied call, an answer to nothing and a line that is no message are rows of their own', () => {
  const rows = exchangesOf(
    recordingOf([
      ['event', { name: 'policy.denied', code: 'capability_insufficient', method: 'tools/call', tool: 'rm' }],
      ['out', { id: 5, result: {} }],
      ['out', 'oops'],
    ]),
  )
  assert.deepEqual(
    rows.map(row => [row.id, row.kind, row.state, row.tool, row.error?.message ?? null]),
    [
      ['e0', 'denied', 'error', 'rm', 'capability_insufficient'],
      ['f1', 'orphan', 'ok', null, null],
      ['f2', 'garbled', 'error', null, null],
    ],
  )
})

test('every frame of any tape is in exactly one row, and no row crashes the pairing', () => {
  const id = fc.oneof(fc.nat(3), fc.constantFrom('0', 'a', null), fc.anything())
  const message = fc.oneof(
    fc.record({ id, method: fc.constantFrom('tools/call', 'initialize', 'toString'), params: fc.anything() }),
    fc.record({ method: fc.constantFrom('notifications/progress', 'notifications/cancelled'), params: fc.object() }),
    fc.record({ id, result: fc.anything() }),
    fc.record({ id, error: fc.anything() }),
    fc.anything(),
  )
  const steps = fc.array(fc.tuple(fc.constantFrom('in' as const, 'out' as const), message.map(textOf)), { maxLength: 20 })
  fc.assert(
    fc.property(steps, made => {
      const ordinals: number[] = []
      const walk = (rows: ReturnType<typeof exchangesOf>): void => {
        for (const row of rows) {
          ordinals.push(...row.frames)
          walk(row.children)
        }
      }
      walk(exchangesOf(recordingOf(made)))
      assert.deepEqual(
        [...new Set(ordinals)].sort((a, b) => a - b),
        [...made.keys()],
      )
    }),
    { seed, numRuns: 300 },
  )
})

function textOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? 'undefined'
  } catch {
    return '{"circular'
  }
}

test('an error whose message is an object is an error without words, not a failure of the reader', () => {
  const hostile: Step = ['out', { id: 1, error: { code: 'x', message: { toString: null } } }]
  const [row] = exchangesOf(recordingOf([call(1), hostile]))
  assert.equal(row?.state, 'error')
})

test('whatever JSON a frame holds, the timeline can be read', () => {
  const anyFrame = fc.record({
    id: fc.oneof(fc.integer(), fc.string(), fc.jsonValue()),
    method: fc.option(fc.oneof(fc.constantFrom('tools/call', 'notifications/progress', 'initialize'), fc.jsonValue()), {
      nil: undefined,
    }),
    params: fc.option(fc.jsonValue(), { nil: undefined }),
    result: fc.option(fc.jsonValue(), { nil: undefined }),
    error: fc.option(fc.oneof(fc.jsonValue(), fc.record({ code: fc.jsonValue(), message: fc.jsonValue() })), { nil: undefined }),
  })
  const steps = fc.array(fc.tuple(fc.constantFrom('in' as const, 'out' as const), anyFrame), { maxLength: 20 })
  fc.assert(
    fc.property(steps, frames => exchangesOf(recordingOf(frames as Step[])).length >= 0),
    { seed },
  )
})
