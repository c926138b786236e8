import { sessionRevisions, statelessRevision } from '@maestro/contract'
import { command, jsonFlag } from '../command.ts'
import { version } from '../version.ts'

export default command({
  name: 'version',
  summary: 'Print versions',
  flags: jsonFlag,
  examples: ['maestro version', 'maestro version --json'],
  async run({ out }, { flags }) {
    const revisions = [...sessionRevisions, statelessRevision]
    if (flags.json !== undefined) return void out.json({ version, node: process.version, revisions })
    out.line(`maestro ${version}, Node ${process.version}, MCP ${revisions.join(', ')}`)
  },
})
