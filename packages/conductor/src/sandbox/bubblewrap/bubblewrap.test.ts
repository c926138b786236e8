import { it } from 'node:test'
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
