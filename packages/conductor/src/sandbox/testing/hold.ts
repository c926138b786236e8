/**
 * Starts one sandbox and stays; for tests that kill it. Arguments: driver, bundle, mark, and `bare` to do without control groups,
 * `frozen` to freeze it where that can be done, and the data folder of drivers that keep something. Prints the sandbox's id.
 */
import { dirname } from 'node:path'
import { BubblewrapDriver } from '../bubblewrap/bubblewrap.ts'
import { FirecrackerDriver } from '../firecracker/firecracker.ts'
import { fakeDriver, makeFakes } from '../firecracker/testing/fakes.ts'
import { GvisorDriver } from '../gvisor/gvisor.ts'
import { MicrovmDriver } from '../microvm/microvm.ts'
import { ProcessDriver } from '../process/process.ts'
import type { SandboxDriver } from '../sandbox.ts'
import { quietWorld, startSpecimen } from './specimen.ts'

const [name, bundle, mark, groups, state, data] = process.argv.slice(2)
const options = groups === 'bare' ? { cgroups: null } : {}
const makers: Record<string, () => SandboxDriver> = {
  process: () => new ProcessDriver(quietWorld()),
  bubblewrap: () => new BubblewrapDriver(quietWorld(), options),
  // The stand-in, unless there is the data folder of a real one.
  firecracker: () =>
    data
      ? new FirecrackerDriver(quietWorld(), { data, path: process.env['PATH'] ?? '' }, options)
      : fakeDriver(makeFakes(dirname(bundle!)), quietWorld()),
  gvisor: () => new GvisorDriver(quietWorld(), options),
  microvm: () => new MicrovmDriver(quietWorld(), { data: data!, path: process.env['PATH'] ?? '' }, options),
}
const driver = makers[name!]!()
const specimen = await startSpecimen(driver, bundle!, name === 'microvm' ? {} : { env: { SPECIMEN: mark! } }, name !== 'microvm')
await specimen.ask('globalThis.stubborn = true; setInterval(() => {}, 1000); process.on("SIGTERM", () => {})')
await specimen.ask('require("node:child_process").spawn("sleep", ["1000"], { detached: true, stdio: "ignore" }).unref()')
if (state === 'frozen') specimen.sandbox.freeze?.()
process.stdout.write(`${specimen.sandbox.id}\n`)
process.stdin.resume()
