import { it } from 'node:test'
import { findCgroups } from '../cgroup/cgroups.ts'
import { sandboxContract } from '../sandbox.contract.ts'
import { quietWorld } from '../testing/specimen.ts'
import { GvisorDriver } from './gvisor.ts'

const cgroups = findCgroups()

const trial = new GvisorDriver(quietWorld())
const { usable, detail } = await trial.check()
await trial.close()

if (usable) {
  if (cgroups) {
    sandboxContract({
      title: 'gVisor with control groups',
      make: () => new GvisorDriver(quietWorld(), { cgroups }),
      isolates: true,
      counts: true,
      ownKernel: true,
    })
  }
  sandboxContract({
    title: 'gVisor without control groups',
    make: () => new GvisorDriver(quietWorld(), { cgroups: null }),
    isolates: true,
    counts: false,
    ownKernel: true,
  })
} else {
  it('gVisor keeps the contract of a sandbox', { skip: detail }, () => {})
}
