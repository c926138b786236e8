/** Goal: whatever ends a session, its open requests are answered, its lease released and its tape sealed, each exactly once. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { ConductorError } from '@maestro/contract'
import { type Frame, readFrame } from '@maestro/logic'
import { echoServer, type FakeServer, type FakeStages, fakeCapability, fakeRunnable, fakeStages, until } from './fake-stages.ts'
import { openRequestsMax, openSession, type Session } from './session.ts'
import type { Capability } from './stages.ts'

const frame = (message: object | string): Frame => {
  const text = typeof message === 'string' ? message : JSON.stringify({ jsonrpc: '2.0', ...message })
  const read = readFrame(Buffer.from(text))
  assert.ok(read.kind !== 'fault', text)
  return read
}
const initializeFrame = frame({
  id: 0,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', clientInfo: { name: 'c', version: '1' } },
})
const slow = (id: number) => frame({ id, method: 'tools/call', params: { name: 'slow' } })

interface Opened {
  stages: FakeStages
  session: Session
  delivered: Frame[]
  ended: string[]
  tell(frame: Frame, capability?: Capability): ConductorError | null
}

async function open(server: FakeServer = echoServer, change: (stages: FakeStages) => void = () => {}): Promise<Opened> {
  const stages = fakeStages(server)
  change(stages)
  const delivered: Frame[] = []
  const ended: string[] = []
  const capability = fakeCapability()
  const session = await openSession(stages, {
    era: 'session',
    runnable: fakeRunnable(),
    capability,
    face: { deliver: frame => void delivered.push(frame), ended: reason => void ended.push(reason) },
    firstByteMs: stages.world.monotonicMs(),
  })
  return { stages, session, delivered, ended, tell: (frame, by = capability) => session.receive(frame, by) }
}

const errorOf = (frame: Frame | undefined) =>
  frame?.message['error'] as { code: number; message: string; data: Record<string, unknown> }

function assertOver({ stages, session, ended }: Opened, reason: string) {
  assert.deepEqual(ended, [reason])
  assert.deepEqual(stages.tapes[0]?.seals, [reason])
  assert.equal(stages.released, 1)
  assert.equal(stages.upstreams[0]?.isClosed, true)
  const row = stages.rows.get(session.id)
  assert.equal(row?.state, 'closed')
  assert.equal(row?.closeReason, reason)
  assert.equal(session.openRequests, 0)
}

test('the row tells what happened: client, version, start-up, counts', async () => {
  const opened = await open()
  const { stages, session, tell } = opened
  assert.equal(stages.rows.get(session.id)?.state, 'opening')
  tell(initializeFrame)
  const ready = stages.rows.get(session.id)
  assert.equal(ready?.state, 'ready')
  assert.equal(ready?.client, 'c 1')
  assert.equal(ready?.protocolVersion, '2025-11-25')
  assert.ok((ready?.startupMs ?? -1) >= 0)
  tell(frame({ id: 1, method: 'tools/call', params: { name: 'boom' } }))
  tell(frame({ id: 2, method: 'nothing/known' }))
  await until(() => stages.rows.get(session.id)?.frames === 6, 'the counts are saved within a second', 1500)
  assert.equal(stages.rows.get(session.id)?.calls, 1)
  assert.equal(stages.rows.get(session.id)?.errors, 2)
  await session.close('client')
  assertOver(opened, 'client')
})

test('the tape has every frame as sent to and received from the server, in order', async () => {
  const { stages, session, tell } = await open()
  tell(initializeFrame)
  tell(frame('{"jsonrpc":"2.0","id":1,"method":"ping","params":{"n":1.0e2}}'))
  const frames = stages.tapes[0]?.frames ?? []
  assert.deepEqual(
    frames.map(({ direction }) => direction),
    ['inward', 'outward', 'inward', 'outward'],
  )
  assert.equal(frames[2]?.text, '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"n":1.0e2}}')
  assert.equal(stages.tapes[0]?.header.envNames[0], 'API_KEY')
  assert.ok(!JSON.stringify(stages.tapes[0]).includes('hunter2'))
  await session.close('client')
})

test('a server that dies answers every open request with why, and without its secrets', async () => {
  const opened = await open()
  const { stages, session, delivered, tell } = opened
  tell(initializeFrame)
  tell(slow(1))
  tell(slow(2))
  stages.upstreams[0]?.exit({ code: 3, reason: 'sandbox_limit_reached', stderrTail: 'key hunter2-secret\n  out of memory\n' })
  await session.closed
  const errors = delivered.slice(-2).map(errorOf)
  for (const error of errors) {
    assert.equal(error.data['code'], 'sandbox_limit_reached')
    assert.match(error.message, /exit code 3.*out of memory/)
    assert.ok(!error.message.includes('hunter2'))
  }
  assert.deepEqual(
    delivered.slice(-2).map(frame => frame.id),
    [1, 2],
  )
  assertOver(opened, 'sandbox_limit_reached')
  assert.equal(tell(slow(3))?.code, 'session_closed')
})

test('a server that never answers initialize is given up', async () => {
  const opened = await open(
    () => {},
    stages => {
      stages.config.initializeMsMax = 30
    },
  )
  opened.tell(initializeFrame)
  await opened.session.closed
  assert.equal(errorOf(opened.delivered[0]).data['code'], 'server_timeout')
  assertOver(opened, 'server_timeout')
})

test('a session where nothing is said ends', async () => {
  const opened = await open(echoServer, stages => {
    stages.config.sessionIdleMs = 40
  })
  opened.tell(initializeFrame)
  await opened.session.closed
  assertOver(opened, 'idle')
})

test('an error of the server that no text can be made of is passed on like any other', async () => {
  const opened = await open()
  opened.tell(initializeFrame)
  opened.tell(slow(1))
  opened.stages.upstreams[0]?.say({
    id: 1,
    error: { code: { toString: 1, valueOf: 1 } as never, message: { toString: 1 } as never },
  })
  assert.equal(opened.delivered.at(-1)?.id, 1)
  assert.equal(opened.session.isOver, false)
})

test('a session whose recording is full ends, whoever filled it', async () => {
  const opened = await open(echoServer, stages => {
    stages.config.recordingMiBMax = 1
  })
  opened.tell(initializeFrame)
  const data = 'x'.repeat(300_000)
  for (let count = 0; count < 3; count++) opened.stages.upstreams[0]?.say({ method: 'notifications/message', params: { data } })
  assert.equal(opened.session.isOver, false)
  opened.stages.upstreams[0]?.say({ method: 'notifications/message', params: { data } })
  await opened.session.closed
  assertOver(opened, 'session_overloaded')
})

test('no session goes on unrecorded', async () => {
  const opened = await open()
  opened.tell(initializeFrame)
  opened.tell(slow(1))
  opened.stages.tapes[0]?.fail(new Error('disk full'))
  await opened.session.closed
  assert.equal(errorOf(opened.delivered.at(-1)).data['code'], 'recording_unavailable')
  assertOver(opened, 'recording_unavailable')
})

test('a session that cannot be recorded is not opened, and its lease goes back', async () => {
  const stages = fakeStages()
  stages.recorder.open = () => {
    throw new Error('EACCES')
  }
  const face = { deliver() {}, ended() {} }
  await assert.rejects(
    openSession(stages, { era: 'session', runnable: fakeRunnable(), capability: fakeCapability(), face, firstByteMs: 0 }),
    (error: ConductorError) => error.code === 'recording_unavailable',
  )
  assert.equal(stages.released, 1)
})

test('open requests are bounded', async () => {
  const { session, tell } = await open()
  tell(initializeFrame)
  for (let id = 1; id <= openRequestsMax; id++) assert.equal(tell(slow(id)), null)
  assert.equal(tell(slow(openRequestsMax + 1))?.code, 'session_overloaded')
  await session.close('client')
})

test('unread bytes hold the server back, and too many end the session', async () => {
  const opened = await open()
  const { stages, session } = opened
  session.flow(2 * 1024 * 1024)
  assert.equal(stages.upstreams[0]?.isPaused, true)
  session.flow(0)
  assert.equal(stages.upstreams[0]?.isPaused, false)
  session.flow(9 * stages.config.frameBytesMax)
  await session.closed
  assertOver(opened, 'session_overloaded')
})

test('what the server garbles is noted, dropped and, where it answers something, said so', async () => {
  const { stages, session, delivered, tell } = await open()
  tell(initializeFrame)
  tell(slow(1))
  const upstream = stages.upstreams[0]
  upstream?.say('this is no JSON')
  upstream?.say('{"jsonrpc":"2.0","id":77,"result":{}}')
  upstream?.say('{"jsonrpc":"2.0","id":1}')
  assert.equal(delivered.length, 2)
  assert.equal(errorOf(delivered[1]).data['code'], 'server_garbled')
  assert.equal(stages.tapes[0]?.events.filter(event => event.name === 'server.garbled').length, 2)
  await session.close('client')
})

test('a face that fails ends its session and nothing else', async () => {
  const stages = fakeStages()
  const session = await openSession(stages, {
    era: 'session',
    runnable: fakeRunnable(),
    capability: fakeCapability(),
    face: {
      deliver() {
        throw new Error('a mistake of ours')
      },
      ended() {},
    },
    firstByteMs: 0,
  })
  assert.equal(session.receive(initializeFrame, fakeCapability()), null)
  await session.closed
  assert.deepEqual(stages.tapes[0]?.seals, ['internal'])
  assert.equal(stages.released, 1)
})

test('closing from all sides at once is closing once', async () => {
  const opened = await open()
  opened.tell(initializeFrame)
  opened.stages.upstreams[0]?.exit({ code: 1 })
  await Promise.all([opened.session.close('client'), opened.session.close('drain'), opened.session.closed])
  assertOver(opened, 'client')
})

test('a list that cannot be filtered does not reach a scoped client', async () => {
  const { session, delivered, tell } = await open(({ id, method }, upstream) => {
    if (method === 'tools/list') upstream.say({ id: id as number, result: { tools: 'secret' as never } })
    else if (id !== undefined) upstream.say({ id, result: {} })
  })
  tell(frame({ id: 1, method: 'tools/list' }), fakeCapability({ tools: new Set(['echo']) }))
  assert.equal(errorOf(delivered[0]).data['code'], 'server_garbled')
  await session.close('client')
})

test('with telemetry the server gets our trace context, in a place of its own or in that of the client’s', async () => {
  const ends: (string | null)[] = []
  const { stages, session, tell } = await open(echoServer, stages =>
    Object.assign(stages, {
      telemetry: {
        startRequest: () => ({ traceparent: '00-ours', end: (type: string | null) => void ends.push(type) }),
        sessionEnded() {},
      },
    }),
  )
  tell(frame('{"jsonrpc":"2.0","id":1,"method":"ping"}'))
  tell(frame('{"jsonrpc":"2.0","id":2,"method":"ping","params":{"_meta":{"traceparent":"00-theirs","x":1.0}}}'))
  tell(frame({ id: 3, method: 'nothing' }))
  assert.deepEqual(stages.upstreams[0]?.sent.slice(0, 2), [
    '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"traceparent":"00-ours"}}}',
    '{"jsonrpc":"2.0","id":2,"method":"ping","params":{"_meta":{"traceparent":"00-ours","x":1.0}}}',
  ])
  assert.deepEqual(ends, [null, null, '-32601'])
  await session.close('client')
})
