import assert from 'node:assert/strict'
import { it } from 'node:test'
import { findCgroups } from '../cgroup/cgroups.ts'
import { sandboxContract } from '../sandbox.contract.ts'
import { answerAsNobody } from '../testing/as-nobody.ts'
import { makeProbeBundle, quietWorld, startSpecimen } from '../testing/specimen.ts'
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
      seesProcesses: true,
    })
  }
  sandboxContract({
    title: 'bubblewrap without control groups',
    make: () => new BubblewrapDriver(quietWorld(), { cgroups: null }),
    isolates: true,
    counts: false,
    seesProcesses: true,
  })
} else {
  it('bubblewrap keeps the contract of a sandbox', { skip: detail }, () => {})
}

it('an ordinary user can use bubblewrap too', { skip: !usable || process.getuid?.() !== 0 }, async context => {
  const answer = await answerAsNobody('bubblewrap')
  if ('skip' in answer) return context.skip(answer.skip)
  assert.equal(answer.value, 'Linux sandbox')
})

it('a variable that leads programs leads the server, and nothing that is still root', {
  skip: !usable || process.getuid?.() !== 0,
}, async () => {
  const bundle = makeProbeBundle()
  const driver = new BubblewrapDriver(quietWorld())
  try {
    // The dynamic linker writes a file for each program that it starts so.
    const specimen = await startSpecimen(driver, bundle.folder, { env: { LD_DEBUG: 'files', LD_DEBUG_OUTPUT: '/tmp/linked' } })
    const owners = await specimen.ask<number[]>(
      'const fs = require("node:fs"); return fs.readdirSync("/tmp").filter(name => name.startsWith("linked")).map(name => fs.statSync("/tmp/" + name).uid)',
    )
    assert.ok(owners.length > 0, 'the server itself is led')
    assert.deepEqual([...new Set(owners)], [65_534])
    assert.equal(await specimen.ask('return process.env.MAESTRO_LATE_LD_DEBUG ?? null'), null)
  } finally {
    await driver.close()
    bundle.remove()
  }
})
