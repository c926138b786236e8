import { explainTarget } from '@maestro/logic'
import { command, jsonFlag } from '../command.ts'
import { bytes, duration, percent } from '../format.ts'
import { oneLine } from '../visible.ts'

export default command({
  name: 'pool',
  summary: 'Warm, starting and leased sandboxes, why so many, and what is left over',
  flags: jsonFlag,
  examples: ['maestro pool', 'maestro pool --json'],
  async run({ out, client }, { flags }) {
    const view = await (await client()).call('getPool', {})
    if (flags.json !== undefined) return void out.json(view)
    const { warm, frozen, leased, starting, draining, waiting, sandboxesMax, memoryBytes, memoryBytesMax, driver } = view
    const { hits, misses, evictions, orphans, leaks } = view
    out.line(
      `${warm} warm (${frozen} frozen), ${leased} leased, ${starting} starting, ${draining} draining, ${waiting} waiting of ${sandboxesMax} (${driver})`,
    )
    out.line(`${bytes(memoryBytes)} of ${bytes(memoryBytesMax)}, ${hits} of ${hits + misses} leases warm, ${evictions} evictions`)
    const left = leaks && `${leaks.processes} processes, ${leaks.mounts} mounts, ${leaks.cgroups} cgroups, ${leaks.files} files`
    out.line(`left over: ${left ?? 'unknown'}; ${orphans} orphans since start`)
    if (view.tenants.length > 1) {
      out.line('')
      out.rows(
        view.tenants,
        [
          { title: 'TENANT', text: row => row.tenant },
          { title: 'LEASED', text: row => `${row.leased}/${row.leasedMax}`, right: true },
          { title: 'IDLE', text: row => String(row.idle), right: true },
          { title: 'WAITING', text: row => String(row.waiting), right: true },
          { title: 'MEMORY', text: row => bytes(row.memoryBytes), right: true },
        ],
        { json: undefined, empty: '' },
      )
    }
    if (view.deployments.length === 0) return
    out.line('')
    const ms = (value: number | null) => (value === null ? '-' : duration(value))
    out.rows(
      view.deployments,
      [
        { title: 'DEPLOYMENT', text: row => row.name },
        { title: 'WARM', text: row => `${row.warm}/${row.target}`, right: true },
        { title: 'LEASED', text: row => String(row.leased), right: true },
        { title: 'FROZEN', text: row => String(row.frozen), right: true },
        { title: 'STARTING', text: row => String(row.starting), right: true },
        { title: 'SERVED WARM', text: row => (row.hitRatio === null ? '-' : percent(row.hitRatio)), right: true },
        { title: 'EACH', text: row => (row.memoryBytes === null ? '-' : bytes(row.memoryBytes)), right: true },
        { title: 'START P50', text: row => ms(row.startMsP50), right: true },
        { title: 'P95', text: row => ms(row.startMsP95), right: true },
        { title: 'WHY', text: row => (row.lastError === null ? explainTarget(row) : oneLine(row.lastError, 60)) },
      ],
      { json: undefined, empty: '' },
    )
  },
})
