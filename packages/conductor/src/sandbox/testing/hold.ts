/**
 * Starts one sandbox and stays; for tests that kill it. Arguments: driver, bundle, mark, and `bare` to do without control groups,
 * `frozen` to freeze it where that can be done. Prints the sandbox's id.
 */
import { BubblewrapDriver } from '../bubblewrap/bubblewrap.ts'
import { GvisorDriver } from '../gvisor/gvisor.ts'
import { ProcessDriver } from '../process/process.ts'
import type { SandboxDriver } from '../sandbox.ts'
import { quietWorld, startSpecimen } from './specimen.ts'

const [name, bundle, mark, groups, state] = process.argv.slice(2)
const options = groups === 'bare' ? { cgroups: null } : {}
const makers: Record<string, () => SandboxDriver> = {
  process: () => new ProcessDriver(quietWorld()),
  bubblewrap: () => new BubblewrapDriver(quietWorld(), options),
  gvisor: () => new GvisorDriver(quietWorld(), options),
}
const driver = makers[name!]!()
const specimen = await startSpecimen(driver, bundle!, { env: { SPECIMEN: mark! } })
await specimen.ask('globalThis.stubborn = true; setInterval(() => {}, 1000); process.on("SIGTERM", () => {})')
await specimen.ask('require("node:child_process").spawn("sleep", ["1000"], { detached: true, stdio: "ignore" }).unref()')
if (state === 'frozen') specimen.sandbox.freeze?.()
process.stdout.write(`${specimen.sandbox.id}\n`)
process.stdin.resume()
