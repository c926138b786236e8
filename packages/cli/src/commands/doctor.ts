import { type Config, checkDrivers, driverOf, readConfig, realWorld } from '@maestro/conductor'
import { ConductorError } from '@maestro/contract'
import { command, jsonFlag } from '../command.ts'
import { absent, type Check, failed, ok, weak } from '../doctor/check.ts'
import { checkKernel } from '../doctor/check-kernel.ts'
import { checkNode } from '../doctor/check-node.ts'
import { checkDatabase, checkDisk, checkPort } from '../doctor/check-place.ts'
import { checkPython } from '../doctor/check-python.ts'
import { checkRegistry } from '../doctor/check-registry.ts'
import { dataFolderOf, findConductor } from '../find-conductor.ts'
import { withProgress } from '../progress.ts'
import { visible } from '../visible.ts'

const signs = {
  ok: ['green', '✓'],
  weak: ['yellow', '!'],
  failed: ['red', '✗'],
  absent: ['dim', '–'],
  unknown: ['dim', '?'],
} as const

export default command({
  name: 'doctor',
  summary: 'What this machine has and lacks, and how to mend it',
  description: 'Needs no running Conductor. Exit code 1 where something is missing that Conductor cannot do without.',
  flags: jsonFlag,
  examples: ['maestro doctor', 'maestro doctor --json'],
  async run({ out, data, environment, cwd, signal }, { flags }) {
    const place = { data, environment, cwd }
    const dataFolder = await dataFolderOf(place)
    const config = readConfig({ data: dataFolder })
    const running = await findConductor(place).catch(error => {
      if (error instanceof ConductorError) return null
      throw error
    })
    const checks = await withProgress(out, 'Looking', async () =>
      (
        await Promise.all([
          checkNode(),
          checkSandboxes(config),
          checkKernel(),
          checkDatabase(config),
          checkDisk(dataFolder),
          checkPort(config, running?.baseUrl ?? null),
          checkRegistry(signal),
          checkPython(),
        ])
      ).flat(),
    )
    if (flags.json !== undefined) out.rows(checks, [], { json: flags.json, empty: '' })
    else {
      const width = Math.max(...checks.map(({ name }) => name.length))
      for (const { name, state, detail, mend } of checks) {
        const [colour, sign] = signs[state]
        out.line(`${out.style(colour, sign)} ${name.padEnd(width)}  ${visible(detail)}`)
        if (mend !== null) out.line(`  ${' '.repeat(width)}  ${out.style('bold', 'mend:')} ${visible(mend)}`)
      }
    }
    return checks.some(({ state }) => state === 'failed') ? 1 : 0
  },
})

const silent = { info() {}, warn() {}, error() {}, with: () => silent }

/** The command that brings what a driver needs; null where there is not one, and the driver names each thing with what mends it. */
const mends = {
  bubblewrap: 'sudo apt-get install bubblewrap',
  gvisor: 'sudo apt-get install runsc bubblewrap',
  microvm: 'sudo apt-get install --no-install-recommends qemu-system-x86 bubblewrap e2fsprogs && maestro image build',
  firecracker: null,
  process: 'run on a Unix system',
}

/** Each driver’s word on this machine. Only the one that would be used must work. */
async function checkSandboxes(config: Config): Promise<Check[]> {
  const used = driverOf(config.driver, process.platform)
  const drivers = await checkDrivers(realWorld(silent), config)
  return drivers.map(({ name, usable, detail, weaknesses }) => {
    const title = name === 'process' ? 'process driver' : name
    const all = [detail, ...weaknesses].join('; ')
    if (name !== used) return usable ? ok(title, `${all}; not used`) : absent(title, `${detail}; not used`, mends[name])
    if (!usable) return failed(title, detail, mends[name])
    return weaknesses.length > 0 ? weak(title, all, null) : ok(title, all)
  })
}
