import { ConductorError } from '@maestro/contract'
import type { Config } from '../config.ts'
import type { World } from '../world.ts'
import { BubblewrapDriver } from './bubblewrap/bubblewrap.ts'
import { ProcessDriver } from './process/process.ts'
import type { DriverCheck, SandboxDriver } from './sandbox.ts'

/**
 * The driver that the configuration asks for, checked. `auto` means bubblewrap: what isolates nothing must be asked for by name.
 * Throws `sandbox_unavailable` with what is missing and the command that mends it.
 */
export async function chooseDriver(config: Pick<Config, 'driver'>, world: World): Promise<SandboxDriver> {
  const driver = config.driver === 'process' ? new ProcessDriver(world) : new BubblewrapDriver(world)
  const { usable, detail, weaknesses } = await driver.check()
  if (!usable) {
    await driver.close()
    throw new ConductorError('sandbox_unavailable', `${driver.name}: ${detail}`, { driver: driver.name })
  }
  world.log.info('sandbox.driver_chosen', { driver: driver.name, detail, weaknesses })
  return driver
}

/** Every driver with what it says of this machine, for `maestro doctor`. */
export async function checkDrivers(world: World): Promise<(DriverCheck & { name: SandboxDriver['name'] })[]> {
  const drivers: SandboxDriver[] = [new BubblewrapDriver(world), new ProcessDriver(world)]
  return Promise.all(
    drivers.map(async driver => {
      try {
        return { name: driver.name, ...(await driver.check()) }
      } finally {
        await driver.close()
      }
    }),
  )
}
