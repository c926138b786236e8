/**
 * Goal: however many sessions come and go, and whatever is killed meanwhile, nothing of them stays on the machine.
 * Method: sessions under load, with random processes of sandboxes killed; then Conductor itself is killed in the middle. Counted from
 * outside: processes, mounts, control groups, files, descriptors. `npm run bench churn` does the same ten thousand times.
 * Repeat a failure with SEED=<number>.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import { serverFolders } from '@maestro/testkit'
import { churn, footprintOf, seeded } from './support/churn.ts'
import { startConductor } from './support/conductor.ts'
import { eventually } from './support/eventually.ts'
import { temporaryFolder } from './support/temporary-folder.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
/** Warm sandboxes are there or not, and the runtime opens a few descriptors of its own when it likes. */
const descriptorsSpare = 24

test(`sessions under load with random kills leave nothing behind (SEED=${seed})`, async () => {
  await using data = await temporaryFolder('churn')
  const random = seeded(seed)
  {
    await using conductor = await startConductor({
      data: data.path,
      env: { MAESTRO_WARM: '0', MAESTRO_SANDBOXES_MAX: '16', MAESTRO_FAST_START: 'off' },
    })
    await conductor.deploy(serverFolders.echo, { name: 'echo' })
    const warmUp = { sessions: 20, parallel: 4, killShare: 0, random }
    assert.equal((await churn(conductor, warmUp)).ended, 20)
    const atRest = () =>
      eventually('nothing is leased', async () => {
        const pool = await conductor.api('getPool')
        return pool.leased + pool.starting + pool.draining === 0
      })
    await atRest()
    const before = footprintOf(conductor.pid)

    const result = await churn(conductor, { sessions: 200, parallel: 8, killShare: 0.15, random })
    assert.ok(result.kills >= 5, `only ${result.kills} kills`)
    assert.ok(result.ended >= 100, JSON.stringify(result))
    await atRest()

    const after = footprintOf(conductor.pid)
    for (const what of ['processes', 'mounts', 'cgroups', 'files'] as const) assert.equal(after[what], before[what], what)
    assert.ok(
      after.descriptors <= before.descriptors + descriptorsSpare,
      `${before.descriptors} → ${after.descriptors} descriptors`,
    )
    assert.equal((await conductor.api('getPool')).orphans, 0)
  }

  // Killed in the middle of it all: what it left dies by itself or is removed by the next one.
  const dying = await startConductor({ data: data.path, env: { MAESTRO_SANDBOXES_MAX: '16' } })
  const load = churn(dying, { sessions: 200, parallel: 8, killShare: 0.1, random }).catch(() => {})
  await eventually('sessions run', async () => (await dying.api('getPool')).leased > 3)
  await dying.kill9()
  await load
  await eventually('its sandboxes are gone', () => dying.survivors().every(({ command }) => !/bwrap|\/bundle\//.test(command)))
  await using next = await startConductor({ data: data.path })
  await eventually('folders and groups are gone', () => {
    const { cgroups, files, mounts } = footprintOf(dying.pid)
    return cgroups + files + mounts === 0
  })
  assert.equal((await churn(next, { sessions: 5, parallel: 1, killShare: 0, random })).ended, 5)
})
