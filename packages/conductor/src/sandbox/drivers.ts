import { ConductorError } from '@maestro/contract'
import type { Config } from '../config.ts'
import type { World } from '../world.ts'
import { BubblewrapDriver } from './bubblewrap/bubblewrap.ts'
import { GvisorDriver } from './gvisor/gvisor.ts'
import { MicrovmDriver } from './microvm/microvm.ts'
import { ProcessDriver } from './process/process.ts'
import type { DriverCheck, DriverName, SandboxDriver } from './sandbox.ts'

/** What drivers that keep something need to know. */
type DriverPlace = Pick<Config, 'data' | 'path'>

/** Every driver, in the order `maestro doctor` lists them. */
const makers: Partial<Record<DriverName, (world: World, place: DriverPlace) => SandboxDriver>> = {
  bubblewrap: world => new BubblewrapDriver(world),
  gvisor: world => new GvisorDriver(world),
  microvm: (world, place) => new MicrovmDriver(world, place),
  process: world => new ProcessDriver(world),
}

/**
 * The driver that the configuration asks for, checked. `auto` means bubblewrap: what isolates nothing must be asked for by name.
 * Throws `sandbox_unavailable` with what is missing and the command that mends it.
 */
export async function chooseDriver(config: Pick<Config, 'driver'> & DriverPlace, world: World): Promise<SandboxDriver> {
  const name = config.driver === 'auto' ? 'bubblewrap' : config.driver
  const driver = makers[name]!(world, config)
  await driver.prepare?.()
  const { usable, detail, weaknesses } = await driver.check()
  if (!usable) {
    await driver.close()
    throw new ConductorError('sandbox_unavailable', `${driver.name}: ${detail}`, { driver: driver.name })
  }
  world.log.info('sandbox.driver_chosen', { driver: driver.name, detail, weaknesses })
  return driver
}

/** Every driver with what it says of this machine, for `maestro doctor`. */
export async function checkDrivers(world: World, place: DriverPlace): Promise<(DriverCheck & { name: DriverName })[]> {
  return Promise.all(
    Object.values(makers).map(async make => {
      const driver = make(world, place)
      try {
        return { name: driver.name, ...(await driver.check()) }
      } finally {
        await driver.close()
      }
    }),
  )
}
