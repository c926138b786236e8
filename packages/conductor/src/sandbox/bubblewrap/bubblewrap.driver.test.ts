import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { it } from 'node:test'
import { promisify } from 'node:util'
import { findCgroups } from '../cgroup/cgroups.ts'
import { sandboxContract } from '../sandbox.contract.ts'
import { quietWorld } from '../testing/specimen.ts'
import { BubblewrapDriver } from './bubblewrap.ts'

const cgroups = findCgroups()

const trial = new BubblewrapDriver(quietWorld())
const { usable, detail } = await trial.check()
await trial.close()

if (usable) {
  if (cgroups) {
    sandboxContract({
      title: 'bubblewrap with control groups',
      make: () => new BubblewrapDriver(quietWorld(), { cgroups }),
      isolates: true,
      counts: true,
    })
  }
  sandboxContract({
    title: 'bubblewrap without control groups',
    make: () => new BubblewrapDriver(quietWorld(), { cgroups: null }),
    isolates: true,
    counts: false,
  })
} else {
  it('bubblewrap keeps the contract of a sandbox', { skip: detail }, () => {})
}

it('an ordinary user can use bubblewrap too', { skip: !usable || process.getuid?.() !== 0 }, async context => {
  const program = `
    const { BubblewrapDriver } = await import(${JSON.stringify(new URL('./bubblewrap.ts', import.meta.url).href)})
    const { quietWorld } = await import(${JSON.stringify(new URL('../testing/specimen.ts', import.meta.url).href)})
    const driver = new BubblewrapDriver(quietWorld())
    process.stdout.write(JSON.stringify(await driver.check()))
    await driver.close()`
  const nobody = { uid: 65_534, gid: 65_534, cwd: '/', env: { PATH: process.env['PATH'] ?? '' } }
  try {
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], nobody)
    const check = JSON.parse(stdout)
    if (!check.usable) return context.skip(check.detail)
    assert.deepEqual(check.usable, true)
  } catch (failure) {
    // Where the repository lies in a folder that only root may enter there is nothing to try.
    if (/EACCES|ERR_MODULE_NOT_FOUND/.test(String(failure))) return context.skip('the repository is not readable by others')
    throw failure
  }
})
