/**
 * Goal: a release that does the same again is identical; whatever else it does is counted, and told where.
 * Method: fake servers in this process, recorded by one run and re-executed by another through a faked pool; then real
 * server processes of the zoo. The world’s clock runs a hundred times as fast, so that waits in vain are short.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { ConductorError, type Replay, type ReplayId, type SessionId } from '@maestro/contract'
import { serverFolders } from '@maestro/testkit'
import type { Pool, Runnable, Upstream } from '../session/stages.ts'
import { realWorld, type World } from '../world.ts'
import { reExecute } from './re-execute.ts'
import { fakeServer, type Mouth } from './testing/fake-server.ts'
import { type ClientStep, header, recordRun } from './testing/record-run.ts'
import { stdioServer } from './testing/stdio-server.ts'

const haste = 100
const real = realWorld({ info() {}, warn() {}, error() {}, with: () => real.log })
const world: World = {
  ...real,
  monotonicMs: () => real.monotonicMs() * haste,
  after(ms, callback) {
    const timer = setTimeout(callback, ms / haste)
    return () => clearTimeout(timer)
  },
}

const runnable = {
  name: 'test',
  release: { digest: header.digest },
  runs: { kind: 'bundle', bundle: '/nowhere', program: { runtime: 'node', entry: 'main.js' }, args: [] },
  env: {},
} as unknown as Runnable

interface Leases {
  pool: Pool
  asked: { runnable: Runnable; fresh: boolean | undefined }[]
  released: number
}

/** A pool that leases what it is given, and counts. */
function poolOf(start: () => Upstream): Leases {
  const leases: Leases = {
    asked: [],
    released: 0,
    pool: {
      async lease(asked: Runnable, options?: { fresh?: boolean }) {
        leases.asked.push({ runnable: asked, fresh: options?.fresh })
        const upstream = start()
        return {
          id: 'lea_1',
          upstream,
          warm: false,
          waitMs: 0,
          startMs: 0,
          async release() {
            leases.released++
            await upstream.close()
          },
        }
      },
    } as unknown as Pool,
  }
  return leases
}

type Hear = (frame: Record<string, any>, mouth: Mouth) => void
const replayOf = async (
  recordedBy: Hear,
  replayedBy: Hear,
  steps: ClientStep[],
  more: Partial<Parameters<typeof reExecute>[0]> = {},
): Promise<Replay> => {
  const recording = await recordRun(fakeServer(recordedBy), steps)
  const leases = poolOf(() => fakeServer(replayedBy))
  try {
    return await reExecute({
      id: 'rpl_1' as ReplayId,
      session: header.session as SessionId,
      recording,
      runnable,
      pool: leases.pool,
      world,
      ...more,
    })
  } finally {
    assert.equal(leases.released, leases.asked.length, 'a lease was not given back')
    for (const asked of leases.asked) assert.equal(asked.fresh, true)
  }
}

const call = (id: number, name = 'echo', meta: object = {}): ClientStep => ({
  send: { id, method: 'tools/call', params: { name, ...meta } },
})
const answer = (frame: Record<string, any>, value: unknown) => ({ id: frame['id'], result: { value } })
const echo: Hear = (frame, mouth) => mouth.say(answer(frame, frame['params']))

test('a server that does the same again is identical', async () => {
  const replay = await replayOf(echo, echo, [call(1), { outputs: 1 }, call(2, 'b'), call(3, 'c'), { outputs: 3 }])
  assert.equal(replay.state, 'done')
  assert.equal(replay.identical, true)
  assert.deepEqual(replay.frames, { matched: 3, total: 3, fidelity: 1 })
  assert.equal(replay.firstDivergence, null)
  assert.equal(replay.error, null)
  assert.equal(replay.session, header.session)
  assert.equal(replay.driver, 'fake')
})

test('an answer that differs is told with its place and both values', async () => {
  let run = 0
  const dice: Hear = (frame, mouth) => mouth.say(answer(frame, { run: run++ }))
  const replay = await replayOf(dice, dice, [call(1), { outputs: 1 }])
  assert.equal(replay.identical, false)
  assert.deepEqual(replay.frames, { matched: 0, total: 1, fidelity: 0 })
  assert.deepEqual(replay.firstDivergence, {
    kind: 'value',
    key: 'tools/call#0 response',
    frame: 1,
    pointer: '/result/value/run',
    recorded: 0,
    replayed: 1,
  })
})

test('an output that is missing and one that is extra both count, also behind the last answer', async () => {
  const chatty: Hear = (frame, mouth) => {
    mouth.say({ method: 'notifications/message', params: { data: 'before' } })
    mouth.say(answer(frame, 1))
  }
  const late: Hear = (frame, mouth) => {
    mouth.say(answer(frame, 1))
    setTimeout(() => mouth.say({ method: 'notifications/tools/list_changed' }), 1)
  }
  const replay = await replayOf(chatty, late, [call(1), { outputs: 2 }])
  assert.deepEqual(replay.frames, { matched: 1, total: 3, fidelity: 1 / 3 })
  assert.deepEqual(
    replay.differences.map(({ kind, key }) => [kind, key]),
    [
      ['missing', 'notifications/message[0]'],
      ['extra', 'notifications/tools/list_changed[0]'],
    ],
  )
  assert.equal(replay.error?.code, 'server_timeout')
})

test('an input is sent only when the outputs before it have come', async () => {
  // Says of each call whether the one before was answered by then: only a client that waits makes it say true twice.
  const watchful = (): Hear => {
    let open = 0
    return (frame, mouth) => {
      const isAlone = open++ === 0
      setTimeout(() => {
        open--
        mouth.say(answer(frame, isAlone))
      }, 5)
    }
  }
  const replay = await replayOf(watchful(), watchful(), [call(1), { outputs: 1 }, call(2), { outputs: 2 }])
  assert.equal(replay.identical, true)
})

const asking = (id: unknown): Hear => {
  let asker: Record<string, any> | null = null
  return (frame, mouth) => {
    if (frame['method'] === 'tools/call') {
      asker = frame
      mouth.say({ id, method: 'elicitation/create', params: { message: 'Who?' } })
    } else if (frame['id'] === id && asker) mouth.say(answer(asker, frame['result']))
  }
}
const askedSteps: ClientStep[] = [
  call(1),
  { outputs: 1 },
  { answer: { action: 'accept', content: { name: 'Zoë' } } },
  { outputs: 2 },
]

test('a question of the server is answered as it was', async () => {
  const replay = await replayOf(asking('q'), asking('q'), askedSteps)
  assert.equal(replay.identical, true)
  assert.equal(replay.frames.total, 2)
})

test('a question under another id is answered under that id, and the id is a difference', async () => {
  const replay = await replayOf(asking(1), asking('other'), askedSteps)
  assert.equal(replay.identical, false)
  assert.deepEqual(replay.frames, { matched: 1, total: 2, fidelity: 0.5 })
  assert.deepEqual(replay.firstDivergence?.pointer, '/id')
  assert.equal(replay.error, null)
})

test('a server that crashes counts with everything it did not say', async () => {
  const crash: Hear = (_, mouth) => mouth.exit({ code: 70, reason: 'sandbox_crashed' })
  const replay = await replayOf(echo, crash, [call(1), { outputs: 1 }, call(2), { outputs: 2 }])
  assert.equal(replay.state, 'done')
  assert.deepEqual(replay.frames, { matched: 0, total: 3, fidelity: 0 })
  assert.equal(replay.error?.code, 'sandbox_crashed')
  assert.deepEqual(replay.differences.at(-1)?.key, 'server exit')
})

test('a server that crashes as it did when it was recorded is identical', async () => {
  const crash: Hear = (frame, mouth) => {
    mouth.say(answer(frame, 1))
    setTimeout(() => mouth.exit({ code: 70, reason: 'sandbox_crashed' }), 3)
  }
  const replay = await replayOf(crash, crash, [call(1), { outputs: 2 }])
  assert.equal(replay.identical, true)
  assert.deepEqual(replay.frames, { matched: 2, total: 2, fidelity: 1 })
  const survived = await replayOf(crash, echo, [call(1), { outputs: 2 }])
  assert.equal(survived.identical, false)
})

test('a server that answers nothing ends in bounded time, however much was recorded', async () => {
  const steps = Array.from({ length: 50 }, (_, index): ClientStep[] => [call(index), { outputs: index + 1 }]).flat()
  const startedMs = world.monotonicMs()
  const replay = await replayOf(echo, () => {}, steps)
  assert.ok(world.monotonicMs() - startedMs < 60_000)
  assert.deepEqual(replay.frames, { matched: 0, total: 50, fidelity: 0 })
  assert.equal(replay.error?.code, 'server_timeout')
  assert.equal(replay.differences.length, 20)
})

test('a server that prints without end is cut off', async () => {
  const flood: Hear = (frame, mouth) => {
    const pad = 'x'.repeat(1024 * 1024)
    for (let line = 0; line < 70; line++) mouth.say({ method: 'notifications/message', params: { pad } })
    mouth.say(answer(frame, 1))
  }
  const replay = await replayOf(echo, flood, [call(1), { outputs: 1 }])
  assert.equal(replay.error?.code, 'sandbox_limit_reached')
  assert.equal(replay.identical, false)
})

test('what a server prints beside JSON-RPC is an output too', async () => {
  const banner =
    (text: string): Hear =>
    (frame, mouth) => {
      mouth.print(text)
      mouth.say(answer(frame, 1))
    }
  assert.equal((await replayOf(banner('ready'), banner('ready'), [call(1), { outputs: 2 }])).identical, true)
  const other = await replayOf(banner('ready'), banner('steady'), [call(1), { outputs: 2 }])
  assert.deepEqual(other.frames, { matched: 1, total: 2, fidelity: 0.5 })
})

test('a release that does not start is the largest divergence; a full pool says nothing of it', async () => {
  const recording = await recordRun(fakeServer(echo), [call(1), { outputs: 1 }])
  const refusing = (code: 'sandbox_start_failed' | 'pool_exhausted') =>
    ({ lease: () => Promise.reject(new ConductorError(code, 'no')) }) as unknown as Pool
  const parts = { id: 'rpl_1' as ReplayId, session: header.session as SessionId, recording, runnable, world }
  const replay = await reExecute({ ...parts, pool: refusing('sandbox_start_failed') })
  assert.equal(replay.state, 'failed')
  assert.deepEqual(replay.frames, { matched: 0, total: 1, fidelity: 0 })
  assert.equal(replay.identical, false)
  await assert.rejects(reExecute({ ...parts, pool: refusing('pool_exhausted') }), { code: 'pool_exhausted' })
})

test('what cannot be run again is refused before anything is leased', async () => {
  const recording = await recordRun(fakeServer(echo), [call(1), { outputs: 1 }])
  const silent = await recordRun(fakeServer(echo), [])
  const { pool, asked } = poolOf(() => fakeServer(echo))
  const parts = { id: 'rpl_1' as ReplayId, session: header.session as SessionId, recording, runnable, pool, world }
  const remote = { ...runnable, runs: { kind: 'remote' as const, url: 'https://example.com' } }
  const other = { ...runnable, release: { ...runnable.release, digest: 'sha256:other' } }
  const damaged = { ...recording, damage: { offset: 900, bytes: 10, because: 'checksum' as const } }
  await assert.rejects(reExecute({ ...parts, runnable: remote }), { code: 'replay_impossible' })
  await assert.rejects(reExecute({ ...parts, runnable: other }), { code: 'replay_impossible' })
  await assert.rejects(reExecute({ ...parts, recording: silent }), { code: 'replay_impossible' })
  await assert.rejects(reExecute({ ...parts, recording: damaged }), { code: 'recording_unreadable' })
  assert.equal(asked.length, 0)
})

test('a replay that is given up releases its sandbox and throws the reason', async () => {
  const abort = new AbortController()
  const hang: Hear = () => abort.abort(new Error('enough'))
  await assert.rejects(replayOf(echo, hang, [call(1), { outputs: 1 }], { signal: abort.signal }), /enough/)
})

test('controls prepare the sandbox, and progress is told frame by frame', async () => {
  const recording = await recordRun(fakeServer(echo), [call(1), { outputs: 1 }])
  const leases = poolOf(() => fakeServer(echo))
  const progress: string[] = []
  await reExecute({
    id: 'rpl_1' as ReplayId,
    session: header.session as SessionId,
    recording,
    runnable,
    pool: leases.pool,
    world,
    controls: { prepare: (given, tape) => ({ ...given, env: { CLOCK: String(tape.header.openedAt) } }) },
    onProgress: (done, total) => progress.push(`${done}/${total}`),
  })
  assert.deepEqual(leases.asked[0]?.runnable.env, { CLOCK: String(header.openedAt) })
  assert.deepEqual(progress, ['1/2', '2/2'])
})

const initialize: ClientStep[] = [
  {
    send: {
      id: 'init',
      method: 'initialize',
      params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 't', version: '1' } },
    },
  },
  { outputs: 1 },
  { send: { method: 'notifications/initialized' } },
]
const zoo: [animal: string, identical: boolean, steps: ClientStep[]][] = [
  [
    'still',
    true,
    [call(1, 'join', { arguments: { words: ['a', 'b'] } }), call(2, 'double', { arguments: { value: 4 } }), { outputs: 3 }],
  ],
  ['progress', true, [call(1, 'walk', { arguments: { steps: 5, stepMs: 2 }, _meta: { progressToken: 'p' } }), { outputs: 7 }]],
  ['asking', true, [call(1, 'roots'), { outputs: 2 }, { answer: { roots: [{ uri: 'file:///a' }] } }, { outputs: 3 }]],
  ['counter', true, [call(1, 'add'), { outputs: 2 }, call(2, 'add'), { outputs: 3 }]],
  ['timer', true, [call(1, 'remind', { arguments: { afterMs: 20 } }), { outputs: 3 }]],
  ['random', false, [call(1, 'uuid'), { outputs: 2 }]],
  ['clock', false, [call(1, 'now'), { outputs: 2 }]],
]
for (const [animal, identical, steps] of zoo) {
  test(`the real server ${animal} is ${identical ? 'identical' : 'told to differ'} when it runs again`, {
    timeout: 30_000,
  }, async () => {
    const start = () => stdioServer(join(serverFolders.zoo, 'main.js'), [animal])
    const recording = await recordRun(start(), [...initialize, ...steps])
    const { pool } = poolOf(start)
    const replay = await reExecute({
      id: 'rpl_1' as ReplayId,
      session: header.session as SessionId,
      recording,
      runnable,
      pool,
      world: { ...world, monotonicMs: real.monotonicMs, after: realAfter },
    })
    assert.equal(replay.identical, identical, JSON.stringify(replay.differences))
    assert.equal(replay.error, null)
    if (!identical) assert.match(replay.firstDivergence?.pointer ?? '', /^\/result\/content\/0\/text/)
  })
}

function realAfter(ms: number, callback: () => void): () => void {
  const timer = setTimeout(callback, ms)
  return () => clearTimeout(timer)
}
