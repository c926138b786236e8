import { it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { findCgroups } from '../cgroup/cgroups.ts'
import { sandboxContract } from '../sandbox.contract.ts'
import { quietWorld } from '../testing/specimen.ts'
import { MicrovmDriver } from './microvm.ts'

/** Images and snapshots stay from one run to the next: they are named by what they are made of. */
const data = fileURLToPath(new URL('../../../../../node_modules/.cache/maestro-microvm', import.meta.url))
const place = { data, path: process.env['PATH'] ?? '' }
const make = () => new MicrovmDriver(quietWorld(), place)

const trial = make()
const built = await trial.prepare().then(
  () => '',
  cause => String(cause),
)
const { usable, detail } = await trial.check()
await trial.close()

if (usable) {
  sandboxContract({
    title: `microvm (${detail})`,
    make,
    isolates: true,
    counts: findCgroups() !== null,
    knownBy: 'name',
    patienceMs: 60_000,
    data,
  })
} else {
  it('microvm keeps the contract of a sandbox', { skip: `${built} ${detail}` }, () => {})
}
