import { command, jsonFlag } from '../command.ts'
import { bytes, duration } from '../format.ts'

export default command({
  name: 'status',
  summary: 'What runs, where, since when',
  flags: jsonFlag,
  examples: ['maestro status', 'maestro status --json'],
  async run({ out, client }, { flags }) {
    const status = await (await client()).call('getStatus', {})
    if (flags.json !== undefined) return void out.json(status)
    const lines: [string, string][] = [
      [
        'Conductor',
        `${status.version}, ${status.ready ? 'ready' : 'not ready'}, pid ${status.pid}, up ${duration(Date.now() - status.startedAt)}`,
      ],
      ['API', status.apiUrl],
      ['Console', `${status.consoleUrl}  (sign in with \`maestro open\`)`],
      ['Data', status.dataFolder],
      ['Database', status.database],
      ['Sandboxes', status.driver],
      ['Sessions', `${status.sessionsOpen} open`],
      ['Memory', bytes(status.rssBytes)],
      ['MCP', status.revisions.join(', ')],
    ]
    for (const [name, value] of lines) out.line(`${out.style('dim', name.padEnd(10))} ${value}`)
  },
})
