import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { dataFolderOf, findConductor } from './find-conductor.ts'

async function project(t: TestContext) {
  const root = await mkdtemp(join(tmpdir(), 'maestro-find-'))
  t.after(() => rm(root, { recursive: true }))
  const data = join(root, '.maestro')
  const deep = join(root, 'a', 'b')
  await mkdir(join(data, 'run'), { recursive: true })
  await mkdir(join(data, 'keys'))
  await mkdir(deep, { recursive: true })
  return { root, data, deep }
}

test('the data folder is the one named, else the one of the environment, else the nearest upward', async t => {
  const { root, data, deep } = await project(t)
  const at = (given: { data?: string; MAESTRO_DATA?: string }, cwd = deep) =>
    dataFolderOf({ data: given.data, environment: { MAESTRO_DATA: given.MAESTRO_DATA }, cwd })
  assert.equal(await at({ data: 'x', MAESTRO_DATA: '/y' }), join(deep, 'x'))
  assert.equal(await at({ MAESTRO_DATA: '/y' }), '/y')
  assert.equal(await at({}), data)
  assert.equal(await at({}, join(root, 'a')), data)
})

test('a running Conductor is found with its key', async t => {
  const { data, deep } = await project(t)
  await writeFile(
    join(data, 'run/conductor.json'),
    JSON.stringify({ pid: 7, port: 1, apiUrl: 'http://127.0.0.1:1/v1', startedAt: 0 }),
  )
  const place = { data: undefined, environment: {}, cwd: deep }
  await assert.rejects(findConductor(place), { code: 'operator_required' })
  await writeFile(join(data, 'keys/operator.key'), 'abc\n')
  assert.deepEqual(await findConductor(place), { dataFolder: data, pid: 7, baseUrl: 'http://127.0.0.1:1', operatorKey: 'abc' })
})

test('without a Conductor, or with half a file of one, the error says so', async t => {
  const { data, deep } = await project(t)
  const place = { data: undefined, environment: {}, cwd: deep }
  await assert.rejects(findConductor(place), { code: 'conductor_unreachable' })
  await writeFile(join(data, 'run/conductor.json'), '{"pid":')
  await assert.rejects(findConductor(place), { code: 'conductor_unreachable' })
})
