import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checkDrivers, chooseDriver } from './drivers.ts'
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

describe('choosing a sandbox driver', () => {
  it('never falls back to no isolation by itself, and says how to mend what is missing', () =>
    withoutPrograms(async () => {
      for (const driver of ['auto', 'bubblewrap', 'gvisor'] as const) {
        await assert.rejects(chooseDriver({ driver }, quietWorld()), {
          code: 'sandbox_unavailable',
          message: /install (bubblewrap|runsc)|MAESTRO_DRIVER=process/,
        })
      }
    }))

  it('takes the process driver where it is asked for by name', async () => {
    const driver = await chooseDriver({ driver: 'process' }, quietWorld())
    assert.equal(driver.name, 'process')
    await driver.close()
  })

  it('tells the doctor of every driver, usable or not', () =>
    withoutPrograms(async () => {
      const checks = await checkDrivers(quietWorld())
      assert.deepEqual(
        checks.map(({ name, usable }) => [name, usable]),
        [
          ['bubblewrap', false],
          ['gvisor', false],
          ['process', true],
        ],
      )
      assert.match(checks[2]?.weaknesses[0] ?? '', /isolates nothing/)
    }))
})
