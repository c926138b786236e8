import assert from 'node:assert/strict'
import test from 'node:test'
import type { FrameRecord } from '@maestro/contract'
import fc from 'fast-check'
import type { Recording } from '../recording/read.ts'
import { createStub } from './stub.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)

type Step = ['in' | 'out', object | string]
const bytesOf = (value: object | string) =>
  new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify({ jsonrpc: '2.0', ...value }))

function recordingOf(steps: Step[]): Recording {
  const records = steps.map(
    ([what, value], ordinal): FrameRecord => ({
      kind: 'frame',
      ordinal,
      wallUs: 0,
      monotonicUs: ordinal,
      direction: what === 'in' ? 'inward' : 'outward',
      bytes: bytesOf(value),
    }),
  )
  return { records } as unknown as Recording
}

/** Sends what the client says and returns what the stub says, parsed. */
const ask = (stub: ReturnType<typeof createStub>, value: object | string) =>
  stub.receive(bytesOf(value)).map(bytes => JSON.parse(new TextDecoder().decode(bytes)))

const call = (id: number | string, name: string, args: object = {}, meta: object = {}) => ({
  id,
  method: 'tools/call',
  params: { name, arguments: args, ...meta },
})
const result = (id: number | string, value: unknown) => ({ id, result: { content: [], value } })

test('a client with ids and tokens of its own gets the recorded answers under them', () => {
  const stub = createStub(
    recordingOf([
      ['in', { id: 0, method: 'initialize', params: { clientInfo: { name: 'recorded' } } }],
      ['out', result(0, 'hello')],
      ['in', call(1, 'slow', { a: 1, b: 2 }, { _meta: { progressToken: 'recorded' } })],
      ['out', { method: 'notifications/progress', params: { progressToken: 'recorded', progress: 1 } }],
      ['out', { method: 'notifications/message', params: { data: 'half' } }],
      ['out', result(1, 'done')],
    ]),
  )
  assert.deepEqual(ask(stub, { id: 'x', method: 'initialize', params: { clientInfo: { name: 'another' } } }), [
    { jsonrpc: '2.0', ...result('x', 'hello') },
  ])
  assert.deepEqual(ask(stub, call('y', 'slow', { b: 2, a: 1 }, { _meta: { progressToken: 77, vendor: 1 } })), [
    { jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 77, progress: 1 } },
    { jsonrpc: '2.0', method: 'notifications/message', params: { data: 'half' } },
    { jsonrpc: '2.0', ...result('y', 'done') },
  ])
})

test('a client that asks for no progress gets none', () => {
  const stub = createStub(
    recordingOf([
      ['in', call(1, 'slow', {}, { _meta: { progressToken: 1 } })],
      ['out', { method: 'notifications/progress', params: { progressToken: 1, progress: 1 } }],
      ['out', result(1, 'done')],
    ]),
  )
  assert.equal(ask(stub, call(1, 'slow')).length, 1)
})

test('every byte of an answer but its id is the recorded one', () => {
  const stub = createStub(
    recordingOf([
      ['in', call(1, 'raw')],
      ['out', '{ "jsonrpc":"2.0",  "result":{"n":9007199254740993,"k":1,"k":2,"s":"\\ud800"},"id" : 1 }'],
    ]),
  )
  const [bytes] = stub.receive(bytesOf(call('1', 'raw')))
  assert.equal(
    new TextDecoder().decode(bytes),
    '{ "jsonrpc":"2.0",  "result":{"n":9007199254740993,"k":1,"k":2,"s":"\\ud800"},"id" : "1" }',
  )
})

test('a call that is not next is a miss that names the nearest recorded call and where it differs', () => {
  const recording = recordingOf([
    ['in', call(1, 'add', { a: 1, b: 2 })],
    ['out', result(1, 3)],
    ['in', call(2, 'echo', { text: 'hi' })],
    ['out', result(2, 'hi')],
  ])
  const stub = createStub(recording)
  const [miss] = ask(stub, call(9, 'add', { a: 1, b: 3 }))
  assert.equal(miss.id, 9)
  assert.equal(miss.error.code, -32017)
  assert.equal(miss.error.data.code, 'stub_miss')
  assert.deepEqual(miss.error.data.nearest, {
    method: 'tools/call',
    name: 'add',
    position: 0,
    frame: 0,
    pointers: ['/arguments/b'],
  })
  const [early] = ask(stub, call(10, 'echo', { text: 'hi' }))
  assert.deepEqual(early.error.data.nearest, { method: 'tools/call', name: 'echo', position: 1, frame: 2, pointers: [] })
  assert.match(early.error.message, /another place/)
  // A miss uses nothing up.
  assert.equal(ask(stub, call(11, 'add', { a: 1, b: 2 }))[0].result.value, 3)
  assert.equal(ask(stub, call(12, 'echo', { text: 'hi' }))[0].result.value, 'hi')
  assert.equal(ask(stub, call(13, 'echo', { text: 'hi' }))[0].error.data.code, 'stub_miss')
})

test('numbers that a double cannot tell apart are two calls', () => {
  const recording = recordingOf([
    ['in', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"n":9007199254740993}}}'],
    ['out', result(1, 'x')],
  ])
  const asked = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"n":9007199254740992}}}'
  assert.deepEqual(ask(createStub(recording), asked)[0].error.data.nearest.pointers, ['/arguments/n'])
})

const asking: Step[] = [
  ['in', call(1, 'greet')],
  ['out', { id: 0, method: 'elicitation/create', params: { message: 'Who?' } }],
  ['in', { id: 0, result: { action: 'accept', content: { name: 'Zoë' } } }],
  ['out', { method: 'notifications/message', params: { data: 'asked' } }],
  ['out', result(1, 'Hello, Zoë')],
]

test('a question of the server is asked again, and its call goes on when it is answered as recorded', () => {
  const stub = createStub(recordingOf(asking))
  assert.deepEqual(
    ask(stub, call(5, 'greet')).map(frame => frame.method),
    ['elicitation/create'],
  )
  const rest = ask(stub, { id: 0, result: { content: { name: 'Zoë' }, action: 'accept', _meta: {} } })
  assert.equal(rest[0].method, 'notifications/message')
  assert.deepEqual(rest[1], { jsonrpc: '2.0', ...result(5, 'Hello, Zoë') })
})

test('another answer to the server’s question is a miss of the call that asked', () => {
  const stub = createStub(recordingOf(asking))
  ask(stub, call(5, 'greet'))
  const [miss] = ask(stub, { id: 0, result: { action: 'accept', content: { name: 'Max' } } })
  assert.equal(miss.id, 5)
  assert.deepEqual(miss.error.data.nearest.pointers, ['/content/name'])
})

test('what the server said after a notice of the client is said after the same notice', () => {
  const stub = createStub(
    recordingOf([
      ['in', { method: 'notifications/initialized' }],
      ['out', { id: 3, method: 'roots/list' }],
      ['in', { id: 3, result: { roots: [] } }],
      ['out', { method: 'notifications/message', params: { data: 'rooted' } }],
    ]),
  )
  assert.deepEqual(
    ask(stub, { method: 'notifications/initialized', params: {} }).map(frame => frame.method),
    ['roots/list'],
  )
  assert.equal(ask(stub, { id: 3, result: { roots: [] } })[0].method, 'notifications/message')
  assert.deepEqual(ask(stub, { method: 'notifications/initialized' }), [])
})

test('ping is answered though nobody recorded one, and uses nothing up', () => {
  const stub = createStub(
    recordingOf([
      ['in', call(1, 'a')],
      ['out', result(1, 1)],
    ]),
  )
  assert.deepEqual(ask(stub, { id: 'p', method: 'ping' }), [{ jsonrpc: '2.0', id: 'p', result: {} }])
  assert.equal(ask(stub, call(1, 'a'))[0].result.value, 1)
})

test('a call that the recorded server left open is answered with an error, a cancelled one with nothing', () => {
  const stub = createStub(
    recordingOf([
      ['in', call(1, 'hang')],
      ['in', call(2, 'slow')],
      ['in', { method: 'notifications/cancelled', params: { requestId: 2 } }],
    ]),
  )
  assert.match(ask(stub, call(1, 'hang'))[0].error.message, /did not answer/)
  assert.deepEqual(ask(stub, call(2, 'slow')), [])
})

test('a pool takes calls in any order, a sticky one answers the last for ever', () => {
  const recording = recordingOf([
    ['in', call(1, 'a')],
    ['out', result(1, 1)],
    ['in', call(2, 'b')],
    ['out', result(2, 2)],
    ['in', call(3, 'a')],
    ['out', result(3, 3)],
  ])
  const values = (strategy: 'ordered-pool' | 'sticky') => {
    const stub = createStub(recording, strategy)
    return ['b', 'a', 'a', 'a'].map(name => ask(stub, call(1, name))[0].result?.value ?? null)
  }
  assert.deepEqual(values('ordered-pool'), [2, 1, 3, null])
  assert.deepEqual(values('sticky'), [2, 1, 3, 3])
})

test('neither a hostile tape nor a hostile client makes it throw', () => {
  const message = fc.oneof(
    fc.record({
      id: fc.constantFrom(0, 1, 'a'),
      method: fc.constantFrom('tools/call', 'ping', 'initialize'),
      params: fc.object({ maxDepth: 2 }),
    }),
    fc.record({ id: fc.constantFrom(0, 1, 'a'), result: fc.object({ maxDepth: 1 }) }),
    fc.record({
      method: fc.constantFrom('notifications/cancelled', 'notifications/progress'),
      params: fc.object({ maxDepth: 1 }),
    }),
    fc.string(),
  )
  const steps = fc.array(fc.tuple(fc.constantFrom('in' as const, 'out' as const), message), { maxLength: 20 })
  fc.assert(
    fc.property(steps, fc.array(message), (tape, said) => {
      const stub = createStub(recordingOf(tape as Step[]))
      stub.open()
      for (const one of said) ask(stub, one)
    }),
    { seed, numRuns: 300 },
  )
})

test('a client that repeats the recorded session gets every recorded output', () => {
  const recording = recordingOf([['in', { id: 0, method: 'initialize' }], ['out', result(0, 'hi')], ...asking.map(shifted)])
  const stub = createStub(recording)
  const said = recording.records.flatMap(record =>
    record.kind === 'frame' && record.direction === 'inward' ? stub.receive(record.bytes) : [],
  )
  const recorded = recording.records.flatMap(record =>
    record.kind === 'frame' && record.direction === 'outward' ? [record.bytes] : [],
  )
  assert.deepEqual(said, recorded)
})

function shifted([what, value]: Step): Step {
  const frame = value as { id?: number; method?: string }
  return [what, frame.id === 1 ? { ...frame, id: 41 } : frame]
}
