import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { SandboxId } from '@maestro/contract'
import { encodeRecording } from '@maestro/logic'
import type { Runnable } from '../session/stages.ts'
import { realWorld } from '../world.ts'
import { startStub, stubUpstream } from './stub-upstream.ts'
import { fakeServer } from './testing/fake-server.ts'
import { header, recordRun } from './testing/record-run.ts'

const world = realWorld({ info() {}, warn() {}, error() {}, with: () => world.log })
const id = 'sbx_00000000000000000009' as SandboxId
const bytesOf = (frame: object) => new TextEncoder().encode(JSON.stringify({ jsonrpc: '2.0', ...frame }))

const recording = await recordRun(
  fakeServer((frame, mouth) => {
    mouth.say({ method: 'notifications/message', params: { data: frame['id'] } })
    mouth.say({ id: frame['id'], result: { echoed: frame['params'] } })
  }),
  [
    { send: { id: 1, method: 'tools/call', params: { name: 'a' } } },
    { outputs: 2 },
    { send: { id: 2, method: 'tools/call', params: { name: 'b' } } },
    { outputs: 4 },
  ],
)

test('a recording answers as the server did, after it was asked and not within', async () => {
  const upstream = stubUpstream(recording, id)
  const heard: any[] = []
  upstream.onFrame(frame => heard.push(JSON.parse(new TextDecoder().decode(frame))))
  upstream.send(bytesOf({ id: 'x', method: 'tools/call', params: { name: 'a' } }))
  assert.equal(heard.length, 0)
  await setImmediate()
  assert.deepEqual(
    heard.map(frame => frame.method ?? frame.result),
    ['notifications/message', { echoed: { name: 'a' } }],
  )
  assert.equal(heard[1].id, 'x')
  assert.equal(upstream.driver, 'recording')
})

test('while it is paused it says nothing; resumed, everything in order', async () => {
  const upstream = stubUpstream(recording, id)
  const heard: string[] = []
  upstream.onFrame(frame => {
    heard.push(JSON.parse(new TextDecoder().decode(frame)).id ?? 'notice')
    upstream.pause()
  })
  upstream.send(bytesOf({ id: 'x', method: 'tools/call', params: { name: 'a' } }))
  await setImmediate()
  assert.deepEqual(heard, ['notice'])
  upstream.resume()
  await setImmediate()
  assert.deepEqual(heard, ['notice', 'x'])
})

test('closed, it ends once and hears no more', async () => {
  const upstream = stubUpstream(recording, id)
  upstream.onFrame(() => assert.fail('a closed server spoke'))
  upstream.send(bytesOf({ id: 'x', method: 'tools/call', params: { name: 'a' } }))
  await Promise.all([upstream.close(), upstream.close()])
  upstream.send(bytesOf({ id: 'y', method: 'ping' }))
  await setImmediate()
  assert.deepEqual(await upstream.exited, { code: null, signal: null, reason: 'closed', stderrTail: '' })
})

test('a deployment is served from its session’s tape, each time from the beginning; without a tape it is refused', async t => {
  const folder = mkdtempSync('/tmp/maestro-stub-test-')
  t.after(() => rmSync(folder, { recursive: true }))
  const recorder = { pathOf: (session: string) => join(folder, session) }
  writeFileSync(recorder.pathOf(header.session), encodeRecording(header, recording.records))
  const runnable = (session: string) => ({ name: 'demo', runs: { kind: 'recording', session } }) as unknown as Runnable
  for (let round = 0; round < 2; round++) {
    const upstream = await startStub(runnable(header.session), recorder, world)
    const heard = new Promise<any>(resolve =>
      upstream.onFrame(frame => {
        const message = JSON.parse(new TextDecoder().decode(frame))
        if (message.id !== undefined) resolve(message)
      }),
    )
    upstream.send(bytesOf({ id: 7, method: 'tools/call', params: { name: 'a' } }))
    assert.deepEqual((await heard).result, { echoed: { name: 'a' } })
  }
  await assert.rejects(startStub(runnable('ses_0000000000000000none'), recorder, world), { code: 'recording_unreadable' })
})
