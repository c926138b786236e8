import assert from 'node:assert/strict'
import { it } from 'node:test'
import { findCgroups } from '../cgroup/cgroups.ts'
import { sandboxContract } from '../sandbox.contract.ts'
import { answerAsNobody } from '../testing/as-nobody.ts'
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
