import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checkDrivers, chooseDriver, driverOf } from './drivers.ts'
import { quietWorld } from './testing/specimen.ts'

/** A machine on which no program is installed. */
async function withoutPrograms<T>(use: () => Promise<T>): Promise<T> {
  const path = process.env['PATH']
  process.env['PATH'] = '/nowhere'
  try {
    return await use()
  } finally {
    process.env['PATH'] = path
  }
}

/** Nothing was ever built there. */
const place = { data: '/nowhere', path: '/nowhere' }

describe('choosing a sandbox driver', () => {
  it('never falls back to no isolation by itself, and says how to mend what is missing', () =>
    withoutPrograms(async () => {
      for (const driver of ['auto', 'bubblewrap', 'gvisor', 'microvm', 'firecracker'] as const) {
        await assert.rejects(chooseDriver({ driver, ...place }, quietWorld()), {
          code: 'sandbox_unavailable',
          message: /install (bubblewrap|runsc|it)|mend: |MAESTRO_DRIVER=process/,
        })
      }
    }))

  it('takes what isolates on Linux, and elsewhere what is there', () => {
    assert.equal(driverOf('auto', 'linux'), 'bubblewrap')
    assert.equal(driverOf('auto', 'darwin'), 'process')
    assert.equal(driverOf('auto', 'win32'), 'process')
    assert.equal(driverOf('bubblewrap', 'darwin'), 'bubblewrap')
  })

  it('takes the process driver where it is asked for by name', async () => {
    const driver = await chooseDriver({ driver: 'process', ...place }, quietWorld())
    assert.equal(driver.name, 'process')
    await driver.close()
  })

  it('tells the doctor of every driver, usable or not', () =>
    withoutPrograms(async () => {
      const checks = await checkDrivers(quietWorld(), place)
      assert.deepEqual(
        checks.map(({ name, usable }) => [name, usable]),
        [
          ['bubblewrap', false],
          ['gvisor', false],
          ['microvm', false],
          ['firecracker', false],
          ['process', true],
        ],
      )
      // What is missing and what mends it, one by one.
      for (const missing of process.platform === 'linux' && process.arch === 'x64' ? ['firecracker', 'jailer', 'unshare'] : []) {
        assert.match(checks[3]?.detail ?? '', new RegExp(`(^|; )${missing} was not found \\(mend: .+?\\)`))
      }
      assert.match(checks[4]?.weaknesses[0] ?? '', /isolates nothing/)
    }))
})
