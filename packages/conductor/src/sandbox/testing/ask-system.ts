/** Starts one sandbox and asks the server in it for the name of its system. Argument: the driver. Prints JSON; for tests. */
import { BubblewrapDriver } from '../bubblewrap/bubblewrap.ts'
import { GvisorDriver } from '../gvisor/gvisor.ts'
import { makeProbeBundle, quietWorld, startSpecimen } from './specimen.ts'

const driver = process.argv[2] === 'gvisor' ? new GvisorDriver(quietWorld()) : new BubblewrapDriver(quietWorld())
const bundle = makeProbeBundle()
try {
  const { usable, detail } = await driver.check()
  const ask = async () => {
    const specimen = await startSpecimen(driver, bundle.folder)
    return specimen.ask('const os = require("node:os"); return `${os.type()} ${os.hostname()}`')
  }
  process.stdout.write(JSON.stringify(usable ? { value: await ask() } : { skip: detail }))
} finally {
  await driver.close()
  bundle.remove()
}
