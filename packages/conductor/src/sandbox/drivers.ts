import { ConductorError } from '@maestro/contract'
import type { Config } from '../config.ts'
import type { World } from '../world.ts'
import { BubblewrapDriver } from './bubblewrap/bubblewrap.ts'
import type { EgressRules } from './egress/egress-rules.ts'
import { FirecrackerDriver } from './firecracker/firecracker.ts'
import { GvisorDriver } from './gvisor/gvisor.ts'
import { MicrovmDriver } from './microvm/microvm.ts'
import { ProcessDriver } from './process/process.ts'
import type { DriverCheck, DriverName, SandboxDriver } from './sandbox.ts'

/** What drivers that keep something need to know. */
type DriverPlace = Pick<Config, 'data' | 'path'>

interface Given {
  world: World
  place: DriverPlace
  egress: EgressRules
}

/** Every driver, in the order `maestro doctor` lists them. */
const makers: Record<DriverName, (given: Given) => SandboxDriver> = {
  bubblewrap: ({ world, egress }) => new BubblewrapDriver(world, { egress }),
  gvisor: ({ world, egress }) => new GvisorDriver(world, { egress }),
  microvm: ({ world, place, egress }) => new MicrovmDriver(world, place, { egress }),
  firecracker: ({ world, place, egress }) => new FirecrackerDriver(world, place, { egress }),
  process: ({ world }) => new ProcessDriver(world),
}

/**
 * The driver that a choice means on a system. On Linux `auto` is bubblewrap, and what isolates nothing must be asked for by name; elsewhere
 * nothing isolates, so `auto` is the process driver, which says at its start what that means.
 */
export function driverOf(choice: Config['driver'], platform: NodeJS.Platform): DriverName {
  if (choice !== 'auto') return choice
  return platform === 'linux' ? 'bubblewrap' : 'process'
}

/**
 * The driver that the configuration asks for, checked. `egress` is what its sandboxes may do on the network beyond their deployments' lists.
 * Throws `sandbox_unavailable` with what is missing and the command that mends it.
 */
export async function chooseDriver(
  config: Pick<Config, 'driver'> & DriverPlace,
  world: World,
  egress: EgressRules = {},
): Promise<SandboxDriver> {
  const driver = makers[driverOf(config.driver, process.platform)]({ world, place: config, egress })
  try {
    await driver.prepare?.()
    const { usable, detail, weaknesses } = await driver.check()
    if (!usable) throw new ConductorError('sandbox_unavailable', `${driver.name}: ${detail}`, { driver: driver.name })
    world.log.info('sandbox.driver_chosen', { driver: driver.name, detail, weaknesses })
    return driver
  } catch (cause) {
    await driver.close()
    throw cause
  }
}

/** Every driver with what it says of this machine, for `maestro doctor`. */
export async function checkDrivers(world: World, place: DriverPlace): Promise<(DriverCheck & { name: DriverName })[]> {
  return Promise.all(
    Object.values(makers).map(async make => {
      const driver = make({ world, place, egress: {} })
      try {
        return { name: driver.name, ...(await driver.check()) }
      } finally {
        await driver.close()
      }
    }),
  )
}
