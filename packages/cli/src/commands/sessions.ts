import { command, jsonFlag } from '../command.ts'
import { ago, duration, percent } from '../format.ts'
import { parseCount } from '../parse-count.ts'
import { oneLine } from '../visible.ts'

export default command({
  name: 'sessions',
  summary: 'List sessions, newest first',
  flags: {
    deployment: { summary: 'Only of this deployment', value: '<name>' },
    state: { summary: 'Only in this state: opening, ready or closed', value: '<state>' },
    search: { summary: 'Part of id, client, subject or deployment name', value: '<text>' },
    limit: { summary: 'At most so many; 50 unless said otherwise', value: '<count>' },
    ...jsonFlag,
  },
  examples: [
    'maestro sessions',
    'maestro sessions --state ready',
    'maestro sessions --deployment everything --json=id,calls,errors',
  ],
  async run({ out, client }, { flags }) {
    const { items, open } = await (await client()).call('listSessions', {
      query: {
        ...(flags.deployment === undefined ? {} : { deployment: flags.deployment }),
        ...(flags.state === undefined ? {} : { state: flags.state }),
        ...(flags.search === undefined ? {} : { search: flags.search }),
        ...(flags.limit === undefined ? {} : { limit: parseCount('--limit', flags.limit, 1, 500) }),
      },
    })
    const now = Date.now()
    out.rows(
      items,
      [
        { title: 'SESSION', text: row => row.id },
        { title: 'DEPLOYMENT', text: row => row.deploymentName },
        { title: 'STATE', text: row => (row.state === 'closed' ? `closed: ${row.closeReason ?? 'unknown'}` : row.state) },
        { title: 'CLIENT', text: row => oneLine(row.client ?? '-', 30) },
        { title: 'START', text: row => (row.startupMs === null ? '-' : `${duration(row.startupMs)}${row.warm ? ' warm' : ''}`) },
        { title: 'CALLS', text: row => String(row.calls), right: true },
        { title: 'ERRORS', text: row => String(row.errors), right: true },
        {
          title: 'REPLAY',
          text: row => (row.replay === null ? '-' : row.replay.identical ? 'identical' : percent(row.replay.fidelity)),
        },
        { title: 'OPENED', text: row => ago(row.openedAt, now) },
      ],
      { json: flags.json, empty: 'No sessions. Open one with `maestro call <deployment> <tool>`.' },
    )
    if (flags.json === undefined && open > 0) out.note(`${open} open`)
  },
})
