import { command, jsonFlag } from '../command.ts'
import { duration } from '../format.ts'
import { oneLine } from '../visible.ts'

export default command({
  name: 'pool',
  summary: 'Warm, starting and leased sandboxes',
  flags: jsonFlag,
  examples: ['maestro pool', 'maestro pool --json'],
  async run({ out, client }, { flags }) {
    const view = await (await client()).call('getPool', {})
    if (flags.json !== undefined) return void out.json(view)
    const { warm, leased, starting, draining, sandboxesMax, hits, misses, orphans, driver } = view
    const share = hits + misses === 0 ? '' : `, ${hits} of ${hits + misses} leases warm`
    out.line(
      `${warm} warm, ${leased} leased, ${starting} starting, ${draining} draining of ${sandboxesMax} (${driver})${share}, ${orphans} orphans`,
    )
    if (view.deployments.length === 0) return
    out.line('')
    const ms = (value: number | null) => (value === null ? '-' : duration(value))
    out.rows(
      view.deployments,
      [
        { title: 'DEPLOYMENT', text: row => row.name },
        { title: 'WARM', text: row => `${row.warm}/${row.target}`, right: true },
        { title: 'LEASED', text: row => String(row.leased), right: true },
        { title: 'STARTING', text: row => String(row.starting), right: true },
        { title: 'HITS', text: row => String(row.hits), right: true },
        { title: 'MISSES', text: row => String(row.misses), right: true },
        { title: 'START P50', text: row => ms(row.startMsP50), right: true },
        { title: 'P95', text: row => ms(row.startMsP95), right: true },
        { title: 'LAST ERROR', text: row => oneLine(row.lastError ?? '', 60) },
      ],
      { json: undefined, empty: '' },
    )
  },
})
