import type { Deployment } from '@maestro/contract'
import { command, jsonFlag } from '../command.ts'
import { ago } from '../format.ts'

export default command({
  name: 'deployments',
  summary: 'List what is deployed',
  flags: jsonFlag,
  examples: ['maestro deployments', 'maestro deployments --json=name,mcpUrl'],
  async run({ out, client }, { flags }) {
    const { items } = await (await client()).call('listDeployments', {})
    const now = Date.now()
    out.rows(
      items,
      [
        { title: 'NAME', text: row => row.name },
        { title: 'RELEASE', text: row => `${row.release.name}@${row.release.version}` },
        { title: 'TOOLS', text: row => String(row.release.manifest.tools.length), right: true },
        { title: 'START', text: row => startText(row.start) },
        { title: 'EGRESS', text: row => (row.egress.length === 0 ? 'none' : row.egress.join(',')) },
        { title: 'CHANGED', text: row => ago(row.updatedAt, now) },
        { title: 'URL', text: row => row.mcpUrl },
      ],
      { json: flags.json, empty: 'Nothing is deployed yet. Try `maestro deploy @modelcontextprotocol/server-everything`.' },
    )
  },
})

/** How its sandboxes start, and how long that took when it was compared. */
function startText(start: Deployment['start']): string {
  if (!start) return '-'
  if (start.state === 'preparing') return 'preparing'
  const ms = start.measuredMs[start.kind]
  return ms === undefined ? start.kind : `${start.kind} ${Math.round(ms)} ms`
}
