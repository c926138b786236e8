import { ConductorError } from '@maestro/contract'
import type { Config } from '../config.ts'
import type { World } from '../world.ts'
import { BubblewrapDriver } from './bubblewrap/bubblewrap.ts'
import type { EgressRules } from './egress/egress-rules.ts'
import { GvisorDriver } from './gvisor/gvisor.ts'
import { ProcessDriver } from './process/process.ts'
import type { DriverCheck, DriverName, SandboxDriver } from './sandbox.ts'

/** Every driver, in the order `maestro doctor` lists them. */
const makers: Partial<Record<DriverName, (world: World, egress: EgressRules) => SandboxDriver>> = {
  bubblewrap: (world, egress) => new BubblewrapDriver(world, { egress }),
  gvisor: (world, egress) => new GvisorDriver(world, { egress }),
  process: world => new ProcessDriver(world),
}

/**
 * The driver that the configuration asks for, checked. `auto` means bubblewrap: what isolates nothing must be asked for by name.
 * Throws `sandbox_unavailable` with what is missing and the command that mends it.
 */
export async function chooseDriver(
  config: Pick<Config, 'driver'>,
  world: World,
  egress: EgressRules = {},
): Promise<SandboxDriver> {
  const name = config.driver === 'auto' ? 'bubblewrap' : config.driver
  const driver = makers[name]!(world, egress)
  const { usable, detail, weaknesses } = await driver.check()
  if (!usable) {
    await driver.close()
    throw new ConductorError('sandbox_unavailable', `${driver.name}: ${detail}`, { driver: driver.name })
  }
  world.log.info('sandbox.driver_chosen', { driver: driver.name, detail, weaknesses })
  return driver
}

/** Every driver with what it says of this machine, for `maestro doctor`. */
export async function checkDrivers(world: World): Promise<(DriverCheck & { name: DriverName })[]> {
  return Promise.all(
    Object.values(makers).map(async make => {
      const driver = make(world, {})
      try {
        return { name: driver.name, ...(await driver.check()) }
      } finally {
        await driver.close()
      }
    }),
  )
}
