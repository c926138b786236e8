/**
 * Goal: a real server of npm lives in a virtual machine as it does in any sandbox, from its first deployment on.
 * Method: Conductor alone, told to use microVMs; it builds their image, deploys its first server, keeps copies of it warm and stopped,
 * and runs a session and its replay in such copies. Emulated where KVM does not work, so the times say nothing of a real machine.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import { checkDrivers } from '../../packages/conductor/src/sandbox/drivers.ts'
import { quietWorld } from '../../packages/conductor/src/sandbox/testing/specimen.ts'
import { startConductor } from './support/conductor.ts'
import { eventually } from './support/eventually.ts'
import { openRawSession } from './support/raw-session.ts'
import { temporaryFolder } from './support/temporary-folder.ts'

/** Null where only the image is missing, which Conductor builds. */
async function missing(): Promise<string | null> {
  await using empty = await temporaryFolder('no-image')
  const found = await checkDrivers(quietWorld(), { data: empty.path, path: process.env['PATH'] ?? '' })
  const parts = found.find(({ name }) => name === 'microvm')!.detail.split('; ')
  return parts.filter(part => !part.startsWith('there is no guest image')).join('; ') || null
}

test('server-everything starts in a microVM, lists its tools, answers from a copy that was stopped, and replays', {
  timeout: 540_000,
  skip: (await missing()) ?? false,
}, async t => {
  await using conductor = await startConductor({ env: { MAESTRO_DRIVER: 'microvm' }, startMsMax: 300_000 })
  const { release } = await conductor.deploy('@modelcontextprotocol/server-everything@2026.8.31', { name: 'everything' })
  const names = release.manifest.tools.map(({ name }) => name)
  assert.equal(names.length, 13)
  assert.ok(names.includes('echo') && names.includes('get-sum'))
  t.diagnostic(`first start: ${Math.round(release.manifest.startupMs)} ms`)

  await eventually(
    'a copy waits and is stopped',
    async () => {
      const { deployments } = await conductor.api('getPool')
      return deployments.some(({ name, frozen }) => name === 'everything' && frozen > 0)
    },
    240_000,
  )
  const session = await openRawSession(await conductor.mint('everything'), 'in-a-microvm')
  const listed = await session.request('tools/list', {})
  const tools = (listed.last?.result?.['tools'] ?? []) as { name: string }[]
  assert.deepEqual(
    tools.map(({ name }) => name),
    names,
  )
  assert.match(JSON.stringify((await session.call('get-sum', { a: 2, b: 40 })).last?.result), /is 42\./)
  await session.end()
  const { id, driver, warm, startupMs } = await conductor.closedSession((await conductor.sessionOf('in-a-microvm')).id)
  assert.deepEqual([driver, warm], ['microvm', true])
  t.diagnostic(`session start: ${Math.round(startupMs ?? 0)} ms`)
  const replay = await conductor.api('replaySession', { params: { id } })
  assert.equal(replay.state, 'done', JSON.stringify(replay.error))
  assert.equal(replay.identical, true, JSON.stringify(replay.differences))
})
