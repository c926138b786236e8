import assert from 'node:assert/strict'
import test from 'node:test'
import type { Direction } from '@maestro/contract'
import fc from 'fast-check'
import type { TraceFrame } from './match.ts'
import { planRebuild, rebuildFramesMax } from './rebuild.ts'

type Line = [Direction, object]
const to = (message: object): Line => ['inward', { jsonrpc: '2.0', ...message }]
const from = (message: object): Line => ['outward', { jsonrpc: '2.0', ...message }]
const traceOf = (lines: readonly Line[]): TraceFrame[] =>
  lines.map(([direction, message], ordinal) => ({ direction, bytes: new TextEncoder().encode(JSON.stringify(message)), ordinal }))

const tools = [
  { name: 'read', annotations: { readOnlyHint: true } },
  { name: 'write', annotations: { readOnlyHint: false } },
  { name: 'silent' },
]
const enclosed = { tools, reachesOut: false }
const plan = (lines: readonly Line[], facts = enclosed) => planRebuild(traceOf(lines), facts)
const ordinalsOf = (lines: readonly Line[]) => {
  const made = plan(lines)
  return made.how === 'impossible' ? made.because : made.trace.map(frame => frame.ordinal)
}

const opened: Line[] = [
  to({ id: 0, method: 'initialize', params: {} }),
  from({ id: 0, result: {} }),
  to({ method: 'notifications/initialized' }),
]
const exchange = (id: number, method: string, params: object = {}): Line[] => [
  to({ id, method, params }),
  from({ id, result: {} }),
]
const call = (id: number, name: string): Line[] => exchange(id, 'tools/call', { name, arguments: {} })

test('a session that only read is made again by its handshake', () => {
  const lines = [...opened, ...exchange(1, 'tools/list'), ...call(2, 'read'), ...exchange(3, 'resources/read', { uri: 'a:b' })]
  assert.equal(plan(lines).how, 'handshake')
  assert.deepEqual(ordinalsOf(lines), [0, 1, 2])
})

test('what a session has set is said again with the handshake', () => {
  assert.deepEqual(
    ordinalsOf([...opened, ...exchange(1, 'tools/list'), ...exchange(2, 'logging/setLevel', { level: 'error' })]),
    [0, 1, 2, 5, 6],
  )
})

test('questions of the handshake are answered again', () => {
  const lines = [
    ...opened,
    from({ id: 'q', method: 'roots/list' }),
    to({ id: 'q', result: { roots: [] } }),
    ...exchange(1, 'tools/list'),
  ]
  assert.deepEqual(ordinalsOf(lines), [0, 1, 2, 3, 4])
})

test('a question asked in the course of a call that only reads is left out with the call, and its answer too', () => {
  const lines = [
    ...opened,
    to({ id: 1, method: 'tools/call', params: { name: 'read' } }),
    from({ id: 'q', method: 'sampling/createMessage' }),
    to({ id: 'q', result: {} }),
    from({ id: 1, result: {} }),
  ]
  const made = plan(lines)
  assert.ok(made.how === 'whole' || (made.how === 'handshake' && made.trace.length === 3))
})

test('a call that may have changed the server is said again with everything else', () => {
  for (const lines of [call(1, 'write'), call(1, 'silent'), call(1, 'unlisted'), exchange(1, 'x-vendor/anything')]) {
    assert.deepEqual(ordinalsOf([...opened, ...lines]), [0, 1, 2, 3, 4])
  }
})

test('but not where it may have changed something outside the sandbox', () => {
  assert.deepEqual(plan([...opened, ...call(1, 'write')], { tools, reachesOut: true }), {
    how: 'impossible',
    because: 'reaches_out',
  })
  assert.equal(plan([...opened, ...call(1, 'read')], { tools, reachesOut: true }).how, 'handshake')
})

test('a session stays where something is open, subscribed to, or said by the server itself', () => {
  const cases: [Line[], string][] = [
    [[to({ id: 1, method: 'tools/call', params: { name: 'read' } })], 'unanswered'],
    [[from({ id: 'q', method: 'roots/list' })], 'unanswered'],
    [exchange(1, 'resources/subscribe', { uri: 'a:b' }), 'subscribed'],
    [[...exchange(1, 'tools/list'), from({ method: 'notifications/tools/list_changed' })], 'speaks_by_itself'],
    [[...exchange(1, 'tools/list'), ['outward', [] as object]], 'speaks_by_itself'],
  ]
  for (const [lines, because] of cases) assert.deepEqual(plan([...opened, ...lines]), { how: 'impossible', because })
})

test('a subscription that was ended holds nothing', () => {
  const lines = [
    ...opened,
    ...exchange(1, 'resources/subscribe', { uri: 'a:b' }),
    ...exchange(2, 'resources/unsubscribe', { uri: 'a:b' }),
  ]
  assert.equal(plan(lines).how, 'handshake')
})

test('what would take too long to say again is not', () => {
  const many = Array.from({ length: rebuildFramesMax / 2 }, (_, index) => call(index + 1, 'write')).flat()
  assert.deepEqual(plan([...opened, ...many]), { how: 'impossible', because: 'too_long' })
})

test('whatever is on a tape, a plan says only frames of it, in order', () => {
  const frame = fc.tuple(
    fc.constantFrom<Direction>('inward', 'outward'),
    fc.oneof(
      fc.json(),
      fc
        .record({ id: fc.nat(3), method: fc.constantFrom('initialize', 'tools/call', 'ping', 'logging/setLevel') })
        .map(value => JSON.stringify(value)),
      fc.record({ id: fc.nat(3), result: fc.object() }).map(value => JSON.stringify(value)),
    ),
  )
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 30 }), frames => {
      const trace = frames.map(([direction, text], ordinal) => ({ direction, bytes: new TextEncoder().encode(text), ordinal }))
      const made = planRebuild(trace, enclosed)
      if (made.how === 'impossible') return
      const ordinals = made.trace.map(({ ordinal }) => ordinal!)
      assert.deepEqual(
        ordinals,
        ordinals.toSorted((a, b) => a - b),
      )
      assert.ok(ordinals.every(ordinal => made.trace.some(frame => frame === trace[ordinal])))
    }),
  )
})
