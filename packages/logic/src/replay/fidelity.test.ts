/**
 * Goal: a run compared with itself is identical, and nothing that changed goes unseen.
 * Method: sessions of random shape (concurrent calls, progress, questions, session notices); one mutation at a time:
 * a leaf, a dropped frame, a doubled frame, an added frame, two frames swapped. Mutants that say the same are left out.
 * Invariants: every mutant of an output is told; a run with only independent answers swapped is identical and says so.
 * Replay a failure with: SEED=<seed> node --test …/fidelity.test.ts
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { frameDifferences } from './diverge.ts'
import { type Comparison, compareTraces } from './fidelity.ts'
import type { TraceFrame } from './match.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
console.log(`SEED=${seed}`)

const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))
const decode = (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes))
const frame = (direction: TraceFrame['direction'], value: object): TraceFrame => ({
  direction,
  bytes: encode({ jsonrpc: '2.0', ...value }),
  ordinal: null,
})
const into = (value: object) => frame('inward', value)
const out = (value: object) => frame('outward', value)
const traceOf = (frames: TraceFrame[]) => frames.map((one, ordinal) => ({ ...one, ordinal }))

/** What one call makes the server do, and how many calls are started before the first of them ends. */
interface Call {
  concurrent: boolean
  progress: number
  asks: boolean
  logs: number
  result: unknown
}
const calls: fc.Arbitrary<Call[]> = fc.array(
  fc.record({
    concurrent: fc.boolean(),
    progress: fc.nat(3),
    asks: fc.boolean(),
    logs: fc.nat(2),
    result: fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.record({ content: fc.tuple(fc.record({ type: fc.constant('text'), text: fc.json({ maxDepth: 2 }) })) }),
    ),
  }),
  { minLength: 1, maxLength: 6 },
)

function sessionOf(made: Call[]): TraceFrame[] {
  const frames: TraceFrame[] = [into({ id: 'i', method: 'initialize', params: {} }), out({ id: 'i', result: { v: 1 } })]
  let pending: TraceFrame[][] = []
  const flush = () => {
    // Round robin over the calls that run at once.
    while (pending.some(queue => queue.length > 0)) for (const queue of pending) frames.push(...queue.splice(0, 1))
    pending = []
  }
  for (const [id, call] of made.entries()) {
    frames.push(into({ id, method: 'tools/call', params: { name: 't', arguments: { id }, _meta: { progressToken: `p${id}` } } }))
    const queue: TraceFrame[] = []
    for (let step = 0; step < call.progress; step++) {
      queue.push(out({ method: 'notifications/progress', params: { progressToken: `p${id}`, progress: step } }))
    }
    for (let step = 0; step < call.logs; step++)
      queue.push(out({ method: 'notifications/message', params: { data: `${id}.${step}` } }))
    if (call.asks) {
      queue.push(out({ id: `q${id}`, method: 'sampling/createMessage', params: { id } }))
      queue.push(into({ id: `q${id}`, result: { text: `answer ${id}` } }))
    }
    queue.push(out({ id, result: call.result as object }))
    pending.push(queue)
    if (!call.concurrent) flush()
  }
  flush()
  return traceOf(frames)
}

const isTold = (comparison: Comparison) => !comparison.identical || comparison.reordered > 0

test('a run compared with itself is identical', () => {
  fc.assert(
    fc.property(calls, made => {
      const trace = sessionOf(made)
      const comparison = compareTraces(trace, trace)
      assert.equal(comparison.identical, true)
      assert.equal(comparison.frames.fidelity, 1)
      assert.equal(comparison.order.fidelity, 1)
      assert.equal(comparison.reordered, 0)
      assert.deepEqual(comparison.differences, [])
    }),
    { seed, numRuns: 200 },
  )
})

test('every mutant is told', () => {
  const counts: Record<string, { told: number; of: number }> = {}
  fc.assert(
    fc.property(calls, fc.nat(), fc.nat(), fc.constantFrom(...Object.keys(mutations)), (made, where, which, name) => {
      const trace = sessionOf(made)
      const mutant = mutations[name]!(trace, where % trace.length, which)
      if (mutant === null || isEquivalent(trace, mutant)) return
      const comparison = compareTraces(trace, traceOf(mutant))
      counts[name] ??= { told: 0, of: 0 }
      counts[name].of++
      assert.ok(isTold(comparison), `${name} at ${where % trace.length} was not seen`)
      counts[name].told++
      if (!comparison.identical) assert.ok(comparison.firstDivergence, 'a verdict without a reason')
    }),
    { seed, numRuns: 3000 },
  )
  console.log('mutants told:', JSON.stringify(counts))
  for (const name of Object.keys(mutations)) assert.ok((counts[name]?.of ?? 0) > 50, `${name} was hardly tried`)
})

/** Outputs only where the frame is one; every mutation returns a new trace, or null where it does not apply. */
const mutations: Record<string, (trace: TraceFrame[], at: number, which: number) => TraceFrame[] | null> = {
  leaf(trace, at, which) {
    const message = decode(trace[at]!.bytes)
    const leaves = leavesOf(message)
    const leaf = leaves[which % leaves.length]
    if (!leaf) return null
    leaf.set(mutated(leaf.value, which))
    return trace.with(at, { ...trace[at]!, bytes: encode(message) })
  },
  removedMember(trace, at, which) {
    const message = decode(trace[at]!.bytes)
    const leaves = leavesOf(message)
    const leaf = leaves[which % leaves.length]
    if (!leaf) return null
    leaf.remove()
    return trace.with(at, { ...trace[at]!, bytes: encode(message) })
  },
  dropped: (trace, at) => trace.toSpliced(at, 1),
  doubled: (trace, at) => trace.toSpliced(at, 0, trace[at]!),
  added: (trace, at, which) =>
    trace.toSpliced(
      at,
      0,
      out({ method: ['notifications/message', 'notifications/tools/list_changed'][which % 2], params: { data: 'new' } }),
    ),
  swapped(trace, at) {
    const next = trace[at + 1]
    return next ? trace.with(at, next).with(at + 1, trace[at]!) : null
  },
  moved(trace, at, which) {
    const without = trace.toSpliced(at, 1)
    return without.toSpliced(which % trace.length, 0, trace[at]!)
  },
}

function mutated(value: unknown, which: number): unknown {
  if (typeof value === 'number') return value + 1 + (which % 3)
  if (typeof value === 'boolean') return !value
  if (value === null) return 0
  return which % 2 ? `${value}x` : [value]
}

interface Leaf {
  value: unknown
  set(value: unknown): void
  remove(): void
}

function leavesOf(root: unknown): Leaf[] {
  const leaves: Leaf[] = []
  const walk = (holder: Record<string, unknown>) => {
    for (const key of Object.keys(holder)) {
      const value = holder[key]
      if (typeof value === 'object' && value !== null && Object.keys(value).length > 0) walk(value as Record<string, unknown>)
      else {
        const set = (next: unknown) =>
          Object.defineProperty(holder, key, { value: next, enumerable: true, configurable: true, writable: true })
        leaves.push({ value, set, remove: () => (Array.isArray(holder) ? holder.splice(Number(key), 1) : delete holder[key]) })
      }
    }
  }
  walk(root as Record<string, unknown>)
  return leaves
}

const isEquivalent = (left: TraceFrame[], right: TraceFrame[]) =>
  left.length === right.length &&
  left.every((one, at) => one.direction === right[at]!.direction && frameDifferences(one.bytes, right[at]!.bytes, 1).length === 0)

const call = (id: number, token?: string) =>
  into({ id, method: 'tools/call', params: token === undefined ? {} : { _meta: { progressToken: token } } })

test('missing and extra outputs both count', () => {
  const recorded = traceOf([call(1), out({ id: 1, result: 1 }), call(2), out({ id: 2, result: 2 })])
  const replayed = [call(1), out({ id: 1, result: 1 }), out({ method: 'notifications/message' }), call(2)]
  const comparison = compareTraces(recorded, replayed)
  assert.deepEqual(comparison.frames, { matched: 1, total: 3, fidelity: 1 / 3 })
  assert.deepEqual(
    comparison.differences.map(({ kind, key, frame: ordinal }) => [kind, key, ordinal]),
    [
      ['extra', 'notifications/message[0]', null],
      ['missing', 'tools/call#1 response', 3],
    ],
  )
})

test('a difference names the place and both values', () => {
  const recorded = traceOf([call(1), out({ id: 1, result: { content: [{ text: '{"at":1}' }] } })])
  const replayed = [call(1), out({ id: 1, result: { content: [{ text: '{"at":2}' }] } })]
  assert.deepEqual(compareTraces(recorded, replayed).firstDivergence, {
    kind: 'value',
    key: 'tools/call#0 response',
    frame: 1,
    pointer: '/result/content/0/text/at',
    recorded: 1,
    replayed: 2,
  })
})

test('independent answers in another order are told and not scored', () => {
  const recorded = traceOf([call(1), call(2), out({ id: 1, result: 1 }), out({ id: 2, result: 2 })])
  const replayed = [call(1), call(2), out({ id: 2, result: 2 }), out({ id: 1, result: 1 })]
  const comparison = compareTraces(recorded, replayed)
  assert.equal(comparison.identical, true)
  assert.equal(comparison.reordered, 1)
})

test('progress after its answer is out of order', () => {
  const progress = out({ method: 'notifications/progress', params: { progressToken: 'p', progress: 1 } })
  const recorded = traceOf([call(1, 'p'), progress, out({ id: 1, result: 1 })])
  const comparison = compareTraces(recorded, [call(1, 'p'), out({ id: 1, result: 1 }), progress])
  assert.equal(comparison.identical, false)
})

test('another id on a question to the client is a difference', () => {
  const run = (id: number) =>
    traceOf([call(1), out({ id, method: 'roots/list' }), into({ id, result: {} }), out({ id: 1, result: 1 })])
  const comparison = compareTraces(run(0), run(1))
  assert.equal(comparison.identical, false)
  assert.equal(comparison.firstDivergence?.pointer, '/id')
  assert.deepEqual(comparison.frames, { matched: 1, total: 2, fidelity: 0.5 })
})

test('a run with no outputs on either side is not a failure', () => {
  assert.equal(compareTraces([], []).frames.fidelity, 1)
})
